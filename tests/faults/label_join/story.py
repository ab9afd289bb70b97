"""What is written: predictions and labels as in issue 7, and the errors that a batch makes of them."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field

import msgspec
from tests.join_world import Expected, Figures, Mix, figures_of, made, undisturbed

from longshore.monitor.messages import ErrorDelta, Errors, decode
from longshore.stream import Message

PARTITIONS = 4
DAY_MS = 86_400_000
SPAN_DAYS = 6
PANE_MS = 3_600_000
MIX = Mix(late=0.1, missing=0.05, duplicated=0.01, conflicting=0.01, repeated=0.01)
"""A tenth of the labels late beyond a day, which is what is allowed."""

COUNTED = ("duplicates", "conflicting", "late", "unmatched", "unlabelled")


class _Timed(msgspec.Struct):
    record_id: str
    event_time: int
    observed_at: int | None = None
    scored_at: int | None = None


class Story:
    """Messages as (side, partition, value), side 0 predictions, in the order of their times."""

    def __init__(self, seed: int, records: int) -> None:
        step_ms = SPAN_DAYS * DAY_MS // records
        predictions, labels = made(seed, records, DAY_MS, MIX, step_ms=step_ms)
        decode_one = msgspec.json.Decoder(_Timed).decode
        sides = []
        for side, values in enumerate((predictions, labels)):
            timed, latest = [], 0
            for value in values:
                one = decode_one(value)
                latest = max(latest, one.event_time if side == 0 else one.observed_at or 0)
                timed.append((latest, side, int(one.record_id[1:]) % PARTITIONS, value))
            sides.append(timed)
        self.messages = [(side, partition, value) for _, side, partition, value in heapq.merge(*sides)]


@dataclass(slots=True)
class Seen:
    """What stands on `drift.panes`, added up."""

    deltas: list[ErrorDelta] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    labels: Counter[int] = field(default_factory=Counter)
    """How far the labels of each partition have come."""

    def __call__(self, message: Message) -> None:
        """Take in a message of `drift.panes`."""
        value = decode(message.value())
        if isinstance(value, Errors):
            self.deltas += value.panes
            self.counts.update({name: getattr(value, name) for name in COUNTED})
            self.labels[value.partition] = max(self.labels[value.partition], value.last_offset + 1)

    def differences(self, expected: Figures, counts: Counter[str]) -> list[str]:
        """What is not as in the batch."""
        found = figures_of(self.deltas)
        wrong = [
            f"{key}: {found.get(key)}, not {expected.get(key)}"
            for key in sorted(found.keys() | expected.keys())
            if found.get(key) != expected.get(key)
        ]
        wrong += [
            f"{name}: {self.counts[name]}, not {counts[name]}" for name in COUNTED if self.counts[name] != counts[name]
        ]
        return wrong


def batch(partitions: dict[int, tuple[list[Message], list[Message]]]) -> tuple[Figures, Counter[str]]:
    """The errors and counts of whole partitions, each as (predictions, labels) read back from Kafka."""
    found: Figures = {}
    counts: Counter[str] = Counter()
    for predictions, labels in partitions.values():
        one: Expected = undisturbed(predictions, labels, DAY_MS)
        counts.update(one.counts)
        for key, numbers in one.figures(PANE_MS).items():
            before = found.get(key, (0,) * len(numbers))
            found[key] = tuple(a + b for a, b in zip(before, numbers, strict=True))
    return found, counts
