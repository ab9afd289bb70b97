"""What stands on the monitor's topics as a read_committed reader sees it, added up to be compared."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import msgspec
import numpy as np

from longshore.monitor.messages import Counted, LabelsSeen, decode, unpack
from longshore.monitor.snapshots import Snapshot, load_snapshot
from longshore.profile import Ints
from longshore.records import DriftEvent
from longshore.topics import Topics

PLACES = {"offset", "replay_from", "look"}
"""What a snapshot says of places on `drift.panes`, which differ with every commit, and of provisional verdicts."""


class Seen:
    """Everything that was told, and how far each role has come."""

    def __init__(self, topics: Topics | None = None) -> None:
        self._topics = topics
        self.counted: Counter[int] = Counter()
        self.labels: Counter[int] = Counter()
        self.panes: dict[tuple[int, str, str], tuple[int, Ints]] = {}
        self.ends: dict[int, int] = {}
        self.twice: list[str] = []
        self.aside: Counter[str] = Counter()
        self.events: list[bytes] = []
        self.looks: list[tuple[int, int, int]] = []
        self.requests: list[bytes] = []
        self.snapshot: Snapshot | None = None
        self._panes_end = 0

    def __call__(self, message: Any) -> None:
        """Take in a message of any of the four topics."""
        assert self._topics is not None
        takers = {
            self._topics.panes: self.take_panes,
            self._topics.events: self._take_event,
            self._topics.requests: self.requests.append,
            self._topics.state: self._take_snapshot,
        }
        takers[message.topic()](message.value())
        if message.topic() == self._topics.panes:
            self._panes_end = message.offset() + 1

    def take_panes(self, value: bytes) -> None:
        """Add up a message of `drift.panes`, on which no offset may be counted again."""
        message = decode(value)
        if isinstance(message, Counted):
            if message.first_offset < self.ends.get(message.partition, 0):
                self.twice.append(f"partition {message.partition}, {message.first_offset} to {message.last_offset}")
            self.ends[message.partition] = message.last_offset + 1
            self.aside.update(late=message.late, future=message.future, unreadable=message.unreadable)
            self.counted[message.partition] += sum(delta.records for delta in message.panes)
            for delta in message.panes:
                key = (delta.pane, delta.version, delta.route)
                records, bins = self.panes.get(key, (0, np.int64(0)))
                self.panes[key] = records + delta.records, bins + np.concatenate(unpack(delta.bins))
        elif isinstance(message, LabelsSeen):
            self.labels.update(dict(message.panes))
        else:
            self.aside[type(message).__name__] += 1

    def decided(self) -> int:
        """The offset of `drift.panes` up to which it was decided."""
        return self.snapshot.offset if self.snapshot else 0

    def all_decided(self) -> bool:
        """Whether that is all there is."""
        return self.decided() >= self._panes_end

    def facts(self) -> dict[str, Any]:
        """All that must be equal, under what it is called in a complaint."""
        state = msgspec.to_builtins(self.snapshot) if self.snapshot else {}
        return {
            "events": self.events,
            "provisional verdicts told again": [
                later for earlier, later in itertools.pairwise(self.looks) if later <= earlier
            ],
            "requests": self.requests,
            "records counted": dict(self.counted),
            "offsets counted twice": self.twice,
            "late, unreadable, idle and relayed": dict(+self.aside),
            "labels counted": dict(self.labels),
            "panes": {key: (records, bins.tolist()) for key, (records, bins) in self.panes.items()},
            "final state": {name: state[name] for name in sorted(state.keys() - PLACES)},
        }

    def differences(self, expected: Seen) -> list[str]:
        """What is not as expected, and where it first is not."""
        mine, theirs = self.facts(), expected.facts()
        return [f"{what}: {_first(mine[what], theirs[what])}" for what in mine if mine[what] != theirs[what]]

    def _take_event(self, value: bytes) -> None:
        """Provisional verdicts differ with the order of arrival; each revision is told once, in order."""
        event = msgspec.json.decode(value, type=DriftEvent)
        if event.provisional:
            self.looks.append((event.generation, event.window_index, event.detail["revision"]))
        else:
            self.events.append(value)

    def _take_snapshot(self, value: bytes) -> None:
        self.snapshot = load_snapshot(value)


def _first(found: Any, expected: Any) -> str:
    """The first difference of two lists or dicts, shortened."""
    if isinstance(found, dict):
        keys = [key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)]
        return "; ".join(f"{key}: {_short(found.get(key))}, not {_short(expected.get(key))}" for key in keys[:3])
    at = next((i for i, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        return f"{len(found)}, not {len(expected)}"
    return f"number {at}: {_short(found[at])}, not {_short(expected[at])}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 300 else text[:300] + " …"
