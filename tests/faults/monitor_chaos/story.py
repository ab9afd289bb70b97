"""What is written to the monitors: predictions with a drift in their midst, a tenth late within bounds; and labels."""

from __future__ import annotations

import msgspec
import numpy as np
from tests.drift_stream import LATENESS_MS, PANE_MS, STEP_MS, counter, decider, model_event, predictions, rows
from tests.faults.monitor_chaos.seen import Seen

from longshore.monitor.decide import decide_all
from longshore.monitor.messages import LabelsSeen, encode
from longshore.monitor.panes import Tally
from longshore.monitor.snapshots import load_snapshot

PARTITIONS, LABELS = 4, 800
LATE_SHARE, LEAST_DELAY_MS = 0.1, 300
LEAST_RECORDS = 6_000
"""Windows enough before the drift and after it."""


class Story:
    """The records in the order in which they arrive, each with its partition; half of them calm, the rest moved.

    A record arrives at its event time + a delay of at most the allowed lateness, so that it is within bounds in
    whatever partition it is. The labels' records are some seconds after the beginning of the drift.
    """

    def __init__(self, seed: int, total: int) -> None:
        random = np.random.default_rng(seed)
        self.shift_at = total // 2
        values = predictions(rows(self.shift_at, seed + 1))
        values += predictions(rows(total - self.shift_at, seed + 2, factor=1.4), first_ms=self.shift_at * STEP_MS)
        late = random.random(total) < LATE_SHARE
        arrivals = np.arange(total) * STEP_MS + late * random.integers(LEAST_DELAY_MS, LATENESS_MS + 1, total)
        order = np.argsort(arrivals, kind="stable").tolist()
        self.records = [(int(random.integers(PARTITIONS)), values[i]) for i in order]
        self._labelled_ms = self.shift_at * STEP_MS + 10_000
        label = {"event_time": self._labelled_ms, "observed_at": self._labelled_ms, "label": 1.0}
        self.labels = [msgspec.json.encode({"record_id": f"r{i}"} | label) for i in range(LABELS)]

    def undisturbed(self) -> Seen:
        """What is told when every partition is counted at once and nothing is ever killed."""
        labels = LabelsSeen(0, [(self._labelled_ms // PANE_MS, LABELS)])
        values = [model_event("promoted"), encode(labels)]
        for partition in range(PARTITIONS):
            tally, own = Tally(), [value for number, value in self.records if number == partition]
            counter().count(tally, own, range(len(own)))
            values.append(encode(tally.message(partition, PARTITIONS)))
        one, seen = decider(), Seen()
        told = decide_all(one, enumerate(values))
        for value in values:
            seen.take_panes(value)
        seen.events = [msgspec.json.encode(event) for event in told.events]
        seen.requests = [msgspec.json.encode(request) for request in told.requests]
        seen.snapshot = load_snapshot(one.snapshot())
        alerts = [event.window.end for event in told.events if event.kind == "alert"]
        assert alerts, "there is no alert: take more records"
        assert alerts[0] > self.shift_at * STEP_MS, "this seed alarms before the drift: take another"
        return seen
