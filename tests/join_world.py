"""Predictions and labels of one partition to be joined, and what must come of them: the rules again, without state."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from tests.drift_stream import PROFILES, rows
from tests.memory_stream import Record

from longshore.monitor.errors import scales_of
from longshore.monitor.join_rules import Lateness
from longshore.monitor.messages import ErrorDelta
from longshore.monitor.packing import unpack_counts
from longshore.stream import Message

SENT_MS = 4_000_000_000_000
"""Message timestamps after all event times."""

HOUR_MS = 3_600_000


def prediction(
    record_id: str, when: int, row: Any, version: str = "v1", *, half_width: float | None = None, ship: str = "s"
) -> bytes:
    """A prediction of a row of `drift_stream.rows`, with an interval if a half-width is given."""
    crew = None if np.isnan(row.crew) else row.crew
    record = {"record_id": record_id, "ship": ship, "event_time": when, "cargo": row.cargo, "crew": crew}
    value = {"record_id": record_id, "ship": ship, "event_time": when, "scored_at": when + 5}
    value |= {"prediction": row.prediction, "model_version": version, "route": "champion"}
    value |= {"source": {"topic": "ships", "partition": 0, "offset": 0}, "record": record | {"flag": row.flag}}
    if half_width is not None:
        low, high = row.prediction - half_width, row.prediction + half_width
        value["prediction_interval"] = {"level": 0.9, "low": low, "high": high}
    return msgspec.json.encode(value)


def label(record_id: str, when: int, observed: int, value: Any, ship: str | None = "s") -> bytes:
    """A label as its users send it."""
    fields = {"record_id": record_id, "event_time": when, "observed_at": observed, "label": value}
    return msgspec.json.encode(fields if ship is None else fields | {"ship": ship})


def log(topic: str, values: Iterable[bytes], partition: int = 0) -> list[Record]:
    """Values as a partition holds them; every fifth offset is a transaction's marker."""
    offsets = (offset for offset in itertools.count() if offset % 5 != 4)
    return [
        Record(topic, partition, at, b"s", value, None, SENT_MS) for at, value in zip(offsets, values, strict=False)
    ]


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the labels: beyond the lateness, missing, sent twice, sent again with another value."""

    late: float = 0.1
    missing: float = 0.05
    duplicated: float = 0.05
    conflicting: float = 0.05
    repeated: float = 0.03
    """Of the predictions: made twice."""


def made(
    seed: int, count: int, lateness_ms: int, mix: Mix = Mix(), *, step_ms: int = 10
) -> tuple[list[bytes], list[bytes]]:
    """Predictions, some out of order, and their labels, in the order in which they were observed."""
    random = np.random.default_rng(seed)
    frame = rows(count, seed + 1)
    times = np.arange(count) * step_ms
    arrivals = times + random.integers(0, 20 * step_ms, count)
    predictions, labels = [], []
    for i, row in enumerate(frame.itertuples(index=False)):
        version = "v1" if i < count // 2 else "v2"
        one = prediction(f"r{i}", int(times[i]), row, version, half_width=1.0 if i % 3 else None)
        predictions.append((int(arrivals[i]), one))
        if random.random() < mix.repeated:
            predictions.append((int(arrivals[i]) + int(random.integers(1, 50 * step_ms)), one))
        if random.random() < mix.missing:
            continue
        delay = int(random.integers(0, lateness_ms))
        if random.random() < mix.late:
            delay = lateness_ms + 1 + int(random.integers(0, lateness_ms))
        truth, observed = float(np.round(row.prediction + random.normal(), 3)), int(times[i]) + delay
        labels.append((observed, label(f"r{i}", int(times[i]), observed, truth, ship=None)))
        for share, value in ((mix.duplicated, truth), (mix.conflicting, truth + 1)):
            if random.random() < share:
                later = observed + int(random.integers(0, lateness_ms // 2))
                labels.append((later, label(f"r{i}", int(times[i]), later, value, ship=None)))
    ordered = [sorted(side, key=lambda one: one[0]) for side in (predictions, labels)]
    return [value for _, value in ordered[0]], [value for _, value in ordered[1]]


Figures = dict[tuple[int, str, str], tuple[int, ...]]
"""By pane, version and route: rows, Σe, Σ|e|, Σe² (fixed point), intervals that hold, intervals, rows by segment."""


@dataclass(slots=True)
class Expected:
    """What the join of one partition tells in all: a prediction and a label by record id, and what is left out."""

    pairs: dict[str, tuple[dict[str, Any], float]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def figures(self, pane_ms: int) -> Figures:
        """The errors of all pairs, each added up for itself."""
        found: dict[tuple[int, str, str], Counter[int]] = defaultdict(Counter)
        for one, truth in self.pairs.values():
            watched = PROFILES.of(one["model_version"])
            assert watched is not None
            scale = scales_of(watched.profile).error
            error = round((one["prediction"] - truth) * scale)
            interval = one.get("prediction_interval")
            held = interval is not None and interval["low"] <= truth <= interval["high"]
            numbers = [1, error, abs(error), error * error, int(held), int(interval is not None)]
            numbers += [int(one["record"]["flag"] == label) for label in watched.profile.segmentations[0].labels]
            key = one["event_time"] // pane_ms, one["model_version"], one["route"]
            for place, number in enumerate(numbers):
                found[key][place] += number
        return {key: tuple(sums[place] for place in range(len(sums))) for key, sums in found.items()}


def figures_of(deltas: Iterable[ErrorDelta]) -> Figures:
    """The same of what stands on `drift.panes`; a pane may come more than once."""
    found: Figures = {}
    for one in deltas:
        rows_in = unpack_counts(one.segments).reshape(-1, 4)[:, 0].tolist()
        numbers = (one.n, one.error, one.absolute, one.squared, one.covered, one.intervals, *rows_in)
        key = one.pane, one.version, one.route
        found[key] = tuple(map(sum, zip(found[key], numbers, strict=True))) if key in found else numbers
    return found


def undisturbed(predictions: Sequence[Message], labels: Sequence[Message], lateness_ms: int) -> Expected:
    """The rules of docs/labels.md applied to whole partitions at once: no state, no order between the two."""
    told = Expected()
    firsts, seen = _first_predictions(predictions, lateness_ms, told.counts)
    known, seen_of_labels = _first_labels(labels, lateness_ms, told.counts)
    horizon = Lateness(lateness_ms).horizon([seen, seen_of_labels])
    for record_id, (when, mark, truth) in known.items():
        first = firsts.get(record_id)
        if first is not None and mark <= first[0]["event_time"] + lateness_ms and first[1] <= when + lateness_ms:
            told.pairs[record_id] = (first[0], truth)
        elif when < horizon:
            told.counts["unmatched"] += 1
    waiting = (one for name, (one, _) in firsts.items() if name not in told.pairs)
    told.counts["unlabelled"] += sum(one["event_time"] < horizon for one in waiting)
    return told


def _first_predictions(
    messages: Sequence[Message], lateness_ms: int, counts: Counter[str]
) -> tuple[dict[str, tuple[dict[str, Any], int]], int]:
    """The first of each record id with the watermark after it; the last watermark."""
    found: dict[str, tuple[dict[str, Any], int]] = {}
    seen = -1
    for message in messages:
        value = msgspec.json.decode(message.value() or b"")
        when = value["event_time"]
        if when > value["scored_at"] + HOUR_MS:
            continue
        seen = max(seen, when)
        if seen > when + lateness_ms:
            counts["unlabelled"] += 1
        elif value["record_id"] in found:
            counts["repeated"] += 1
        else:
            found[value["record_id"]] = (value, seen)
    return found, seen


def _first_labels(
    messages: Sequence[Message], lateness_ms: int, counts: Counter[str]
) -> tuple[dict[str, tuple[int, int, float]], int]:
    """The first in time of each record id, as event time, watermark after it, and label; the last watermark."""
    found: dict[str, tuple[int, int, float]] = {}
    seen = -1
    for message in messages:
        value = msgspec.json.decode(message.value() or b"")
        when, record_id = value["event_time"], value["record_id"]
        if when > message.timestamp()[1] + HOUR_MS:
            counts["future"] += 1
            continue
        seen = max(seen, when)
        if value["observed_at"] - when > lateness_ms or seen > when + lateness_ms:
            counts["late"] += 1
        elif record_id in found:
            counts["duplicates" if found[record_id][2] == value["label"] else "conflicting"] += 1
        else:
            found[record_id] = (when, seen, value["label"])
    return found, seen
