"""Which label meets which prediction: the rules of the stream's join, as values. Pure.

All rules ask only what stands in a message and what stood before it in its own partition, never what had been read of
the other topic by then: so the same two partitions give the same pairs, however reading them was interleaved.

- A watermark (`seen`) is the highest event time of a partition up to and including a message.
- A message is too late when it was observed more than the lateness after its event, or stands behind its own
  partition's watermark by more than that.
- The first prediction of a record id and its first label meet; what follows is repeated, a duplicate (the same value)
  or conflicting (another).
- What both watermarks have left behind by more than the lateness waits no more: `horizon`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from longshore.monitor.groups import Scheme
from longshore.monitor.messages import NEVER
from longshore.monitor.panes import FUTURE_MS
from longshore.monitor.scored import ScoredColumns, ScoredDecoder
from longshore.partitioner import partition_of
from longshore.profile import Floats, Ints
from longshore.records import UNREADABLE, Interval
from longshore.schema import Schema

NOTE_FORMAT = 1

MARKS = 16
"""Stretches of event time in one lateness for each of which it is kept where reading it again would begin."""


class Side(IntEnum):
    """Of the two topics that meet; also a position in pairs."""

    PREDICTIONS = 0
    LABELS = 1


@dataclass(frozen=True, slots=True)
class Lateness:
    """How long after its event a label counts, ms, and what follows from that."""

    ms: int

    @property
    def width(self) -> int:
        """The length of a mark's stretch, ms."""
        return max(1, self.ms // MARKS)

    def horizon(self, seen: Sequence[int]) -> int:
        """The event time before which nothing can meet any more, given both watermarks.

        A label is waited for until labels of later events have come. Where one side is silent, the other's watermark
        alone ends the wait, after twice the lateness: what waits has a bound.
        """
        low, high = sorted(seen)
        return max(low, high - self.ms) - self.ms

    def too_far_ahead(self, seen: Sequence[int]) -> Side | None:
        """The side to read no further for now: from here on what it meets could expire before it is read."""
        ahead = seen[Side.PREDICTIONS] - seen[Side.LABELS]
        if 2 * abs(ahead) <= self.ms:
            return None
        return Side.PREDICTIONS if ahead > 0 else Side.LABELS

    def meet(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """Whether a prediction and a label of one record, as (event time, `seen`), came in time for each other."""
        return one[1] <= other[0] + self.ms and other[1] <= one[0] + self.ms


def seen_after(before: int, times: Ints) -> Ints:
    """The watermark after each of n messages, int64[n]."""
    return np.maximum.accumulate(np.r_[before, times])[1:]


@dataclass(frozen=True, slots=True, eq=False)
class ReadPredictions:
    """The predictions that count, of a stretch of messages: `rows` are their places in the other columns.

    Attributes:
        columns: the decoded ones, of which some may not count.
        rows: int64[n]: the record fits the schema, and was not ahead of its own scoring.
        positions: int64[len(columns)], where they stood among the messages.
        ids: record ids, one for each of `columns`.
        low: float64[len(columns)], lower end of the published interval, NaN where there is none.
        high: likewise.
        fields: what groups are made of (`groups.Scheme.reader`), None where there are none.

    """

    columns: ScoredColumns
    rows: Ints
    positions: Ints
    ids: list[str]
    low: Floats
    high: Floats
    fields: list[Any]


class _Named(msgspec.Struct, gc=False):
    record_id: str
    prediction_interval: Interval | None = None


class PredictionReader:
    """Reads predictions of one schema's records, with the record's fields that a scheme's groups are made of."""

    def __init__(self, schema: Schema, scheme: Scheme) -> None:
        self._decoder = ScoredDecoder(schema)
        record: Any = scheme.reader()
        fields = [("record", record | None, None)] if record else []
        named: Any = msgspec.defstruct("Grouped", fields, bases=(_Named,), gc=False)
        self._named: Callable[[bytes], Any] = msgspec.json.Decoder(named).decode

    def read(self, values: Sequence[bytes | None]) -> ReadPredictions:
        """The readable ones of n values."""
        columns = self._decoder.decode(values)
        positions: Sequence[int] = range(len(values))
        if len(columns) < len(values):
            readable = [len(self._decoder.decode([value])) > 0 for value in values]
            positions = np.flatnonzero(readable).tolist()
            columns = self._decoder.decode([values[i] for i in positions])
        named = [self._name(values[i]) for i in positions]
        good = columns.good & (columns.times <= columns.scored_at + FUTURE_MS)
        good &= np.fromiter((one is not None for one in named), dtype=np.bool_, count=len(named))
        ends = [one.prediction_interval if one is not None else None for one in named]
        return ReadPredictions(
            columns,
            np.flatnonzero(good),
            np.array(positions, dtype=np.int64),
            [one.record_id if one is not None else "" for one in named],
            np.array([math.nan if end is None else end.low for end in ends], dtype=np.float64),
            np.array([math.nan if end is None else end.high for end in ends], dtype=np.float64),
            [getattr(one, "record", None) for one in named],
        )

    def _name(self, value: bytes | None) -> Any:
        try:
            return self._named(value or b"")
        except UNREADABLE:
            return None


def ahead_of_its_clock(times: Ints, stamps: Ints) -> npt.NDArray[np.bool_]:
    """Which labels are of events later than their own message by more than an hour: a wrong clock, as of a prediction.

    `stamps`: the messages' timestamps, ms; 0 where there is none.
    """
    return (stamps > 0) & (times > stamps + FUTURE_MS)


def is_misplaced(entity: Any, partition: int, partitions: int) -> bool:
    """Whether a label's entity leads to another partition than that in which it stands."""
    if entity is None:
        return False
    return partition_of(str(entity).encode(), partitions) != partition


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A place to read again from: an offset, and the watermark as it was with that message."""

    offset: int
    seen: int


class Note(msgspec.Struct, frozen=True):
    """What a group keeps beside its offsets: all that is needed to make the state again by reading.

    Pairs are by `Side`. `life` names the history that the offsets belong to; `next`: what was read before these is
    told; `begin`: where reading begins to get all that may still meet; what is from before `horizon` may not.
    """

    life: str
    next: tuple[int, int]
    seen: tuple[int, int]
    horizon: int
    begin: tuple[Mark, Mark]
    format: int = NOTE_FORMAT


class Progress(msgspec.Struct):
    """How far one partition is joined, and what waits; pairs are by `Side`, `marks` by stretch of event time."""

    life: str
    width: int
    next: list[int]
    seen: list[int]
    horizon: int
    waiting: list[int]
    marks: dict[int, list[Mark | None]]

    @classmethod
    def anew(cls, life: str, width: int, beginning: int) -> Progress:
        """From the first message of either topic."""
        return cls(life, width, [beginning, beginning], [NEVER, NEVER], NEVER, [0, 0], {})

    @classmethod
    def of_note(cls, note: Note, width: int) -> Progress:
        """From where all that may still meet can be read again."""
        begin, seen = [mark.offset for mark in note.begin], [mark.seen for mark in note.begin]
        return cls(note.life, width, begin, seen, note.horizon, [0, 0], {})

    def note(self) -> Note:
        """What the group keeps of it."""
        begins = []
        for side in Side:
            marks = [pair[side] for pair in self.marks.values()]
            here = Mark(max(self.next[side], 0), self.seen[side])
            begins.append(min((mark for mark in marks if mark is not None), key=lambda mark: mark.offset, default=here))
        (p, q), (s, t) = self.next, self.seen
        return Note(self.life, (max(p, 0), max(q, 0)), (s, t), self.horizon, (begins[0], begins[1]))

    def keep(self, side: Side, times: Ints, offsets: Ints, seen: Ints) -> None:
        """Note where messages of these event times can be read again."""
        in_order = np.argsort(offsets, kind="stable")  # mostly they rise
        stretches, first = np.unique(times[in_order] // self.width, return_index=True)
        for stretch, row in zip(stretches.tolist(), in_order[first].tolist(), strict=True):
            pair = self.marks.setdefault(stretch, [None, None])
            held = pair[side]
            if held is None or offsets[row] < held.offset:
                pair[side] = Mark(int(offsets[row]), int(seen[row]))

    def forget(self) -> None:
        """Drop the marks of what is from before the horizon."""
        self.marks = {at: pair for at, pair in self.marks.items() if (at + 1) * self.width > self.horizon}
