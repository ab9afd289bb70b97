"""Predictions and labels to labelled rows: the pure rules of the join by record id.

- A prediction's input record is decoded by the schema; what cannot be decoded is counted and left out.
- Two predictions of one record id: the first in its partition wins (of the lowest partition), the others are counted.
- Two labels of one record id: equal ones are one; different ones contradict each other, the record is left out.
- A label that is not a finite number is counted and left out.
- Nothing from after the cut counts: no record that happened, no label that was observed later.
- Of the labelled rows the newest by event time are kept.

What comes out depends on what was read, not on the order in which partitions were read or in how many batches: the
same offsets give the same rows. Reading the topics is `longshore.trainer.dataset_stream`'s work.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from longshore.codec import MAX_EVENT_TIME, Codec
from longshore.columns import Columns
from longshore.records import UNREADABLE
from longshore.schema import Schema
from longshore.trainer.rows import LabelledRows, concatenate_columns
from longshore.trainer.split import Indexes

SLACK = 1.5
"""How much more than its capacity a join holds before it drops the oldest: dropping costs a pass over all."""


class _Prediction(msgspec.Struct, gc=False):
    record: msgspec.Raw


_Time = Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENT_TIME)]


class _Label(msgspec.Struct, gc=False):
    record_id: str
    event_time: _Time
    observed_at: _Time
    label: float


_prediction_decoder = msgspec.json.Decoder(_Prediction)
_label_decoder = msgspec.json.Decoder(_Label)


@dataclass(slots=True)
class Counts:
    """What the join left out, and why: messages (`undecodable`), labels (`labels_after_cut`), else records."""

    undecodable: int = 0
    duplicates: int = 0
    contradictory: int = 0
    unlabelled: int = 0
    records_after_cut: int = 0
    labels_after_cut: int = 0


@dataclass(slots=True)
class Readable:
    """How many of the last messages, about `room`, could not be decoded; `reason` is the last one's."""

    room: int
    reason: str = ""
    messages: int = 0
    undecodable: int = 0
    _batches: deque[tuple[int, int]] = field(default_factory=deque)

    def add(self, messages: int, undecodable: int) -> None:
        """Count a batch."""
        self._batches.append((messages, undecodable))
        self.messages += messages
        self.undecodable += undecodable
        while self.messages - self._batches[0][0] >= self.room:
            messages, undecodable = self._batches.popleft()
            self.messages -= messages
            self.undecodable -= undecodable

    @property
    def undecodable_share(self) -> float:
        """0 … 1; 0 where nothing was read."""
        return self.undecodable / max(self.messages, 1)


@dataclass(slots=True)
class _Labels:
    """Labels as columns: ids, and event_time, observed_at (ms) and label as int64, int64 and float64."""

    ids: list[str] = field(default_factory=list)
    times: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    observed: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    values: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def take(self, rows: Indexes) -> _Labels:
        return _Labels([self.ids[i] for i in rows.tolist()], self.times[rows], self.observed[rows], self.values[rows])

    def and_then(self, more: Sequence[_Label]) -> _Labels:
        return _Labels(
            self.ids + [label.record_id for label in more],
            np.append(self.times, np.array([label.event_time for label in more], dtype=np.int64)),
            np.append(self.observed, np.array([label.observed_at for label in more], dtype=np.int64)),
            np.append(self.values, np.array([label.label for label in more], dtype=np.float64)),
        )


@dataclass(slots=True)
class Join:
    """Collects messages in any order; holds at most about `capacity` records and labels, the newest by event time."""

    schema: Schema
    capacity: int
    counts: Counts = field(default_factory=Counts)
    predictions: Readable = field(init=False)
    labels: Readable = field(init=False)
    conflict: str = ""
    _codec: Codec = field(init=False)
    _chunks: list[tuple[Columns, npt.NDArray[np.int32]]] = field(default_factory=list)
    _labels: _Labels = field(default_factory=_Labels)
    _new_labels: list[_Label] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._codec = Codec(self.schema)
        self.predictions, self.labels = Readable(self.capacity), Readable(self.capacity)

    def add_predictions(self, values: Sequence[bytes | None], partitions: Iterable[int] = ()) -> None:
        """Decode a batch of prediction messages into columns; `partitions` are those they came from."""
        records: list[bytes | None] = []
        numbers: list[int] = []
        for value, partition in zip(values, partitions or repeat(0), strict=False):
            try:
                records.append(bytes(_prediction_decoder.decode(value or b"").record))
                numbers.append(partition)
            except UNREADABLE as error:
                self.predictions.reason = str(error)
        decoded = self._codec.decode(records)
        if decoded.rejects:
            self.predictions.reason = decoded.rejects[-1].message
        bad = len(values) - len(decoded.columns)
        self.predictions.add(len(values), bad)
        self.counts.undecodable += bad
        if len(decoded.columns):
            self._chunks.append((decoded.columns, np.array(numbers, dtype=np.int32)[decoded.positions]))
        if sum(len(columns) for columns, _ in self._chunks) > SLACK * self.capacity:
            self._compact_records()

    def add_labels(self, values: Sequence[bytes | None]) -> None:
        """Take in a batch of label messages."""
        good: list[_Label] = []
        for value in values:
            try:
                label = _label_decoder.decode(value or b"")
            except UNREADABLE as error:
                self.labels.reason = str(error)
                continue
            if math.isfinite(label.label):
                good.append(label)
            else:
                self.labels.reason = f"the label is {label.label}"
        self.labels.add(len(values), len(values) - len(good))
        self.counts.undecodable += len(values) - len(good)
        self._new_labels += good
        if len(self._labels.ids) + len(self._new_labels) > SLACK * self.capacity:
            self._compact_labels()

    def rows(self, max_rows: int, cut_ms: int | None = None) -> LabelledRows:
        """The labelled rows as they were known at `cut_ms` (None: as far as was read), the newest `max_rows`.

        In order of event time, then of record id. Fills `counts` and `conflict` (an example, in words).
        """
        columns = self._compact_records()
        target = self._targets(cut_ms)
        first: dict[str, int] = {}
        for position, record_id in enumerate(columns.record_ids):
            first.setdefault(record_id, position)
        self.counts.duplicates = len(columns) - len(first)
        chosen = np.fromiter(first.values(), dtype=np.intp, count=len(first))
        if cut_ms is not None:
            chosen = chosen[columns.event_times[chosen] <= cut_ms]
        self.counts.records_after_cut = len(first) - len(chosen)
        labels = np.array([target.get(columns.record_ids[i], math.inf) for i in chosen.tolist()], dtype=np.float64)
        self.counts.contradictory, self.counts.unlabelled = int(np.isnan(labels).sum()), int(np.isinf(labels).sum())
        known = np.isfinite(labels)
        chosen, labels = chosen[known], labels[known]
        kept = newest(columns.event_times[chosen], [columns.record_ids[i] for i in chosen.tolist()], max_rows)
        return LabelledRows(columns.take(chosen[kept]), labels[kept]).in_order()

    def _targets(self, cut_ms: int | None) -> dict[str, float]:
        """Each record id's label; NaN where its labels contradict each other."""
        labels, self.conflict = self._compact_labels(), ""
        known = np.arange(len(labels.ids)) if cut_ms is None else np.flatnonzero(labels.observed <= cut_ms)
        self.counts.labels_after_cut = len(labels.ids) - len(known)
        target: dict[str, float] = {}
        for position, value in zip(known.tolist(), labels.values[known].tolist(), strict=True):
            record_id = labels.ids[position]
            other = target.setdefault(record_id, value)
            if other != value and not math.isnan(other):
                self.conflict = f"{record_id!r} is labelled {other:g} and {value:g}"
                target[record_id] = math.nan
        return target

    def _compact_records(self) -> Columns:
        """All records held, the newest `capacity`, by partition and within one as they were read."""
        if not self._chunks:
            return concatenate_columns(self.schema, [])
        columns = concatenate_columns(self.schema, [columns for columns, _ in self._chunks])
        partitions = np.concatenate([numbers for _, numbers in self._chunks])
        if np.any(np.diff(partitions) < 0):
            by_partition = np.argsort(partitions, kind="stable")
            columns, partitions = columns.take(by_partition), partitions[by_partition]
        kept = newest(columns.event_times, columns.record_ids, self.capacity)
        if len(kept) < len(columns):
            columns, partitions = columns.take(kept), partitions[kept]
        self._chunks = [(columns, partitions)]
        return columns

    def _compact_labels(self) -> _Labels:
        """All labels held, the newest `capacity`."""
        self._labels, self._new_labels = self._labels.and_then(self._new_labels), []
        kept = newest(self._labels.times, self._labels.ids, self.capacity)
        if len(kept) < len(self._labels.ids):
            self._labels = self._labels.take(kept)
        return self._labels


def resolve_repeats(rows: LabelledRows) -> tuple[LabelledRows, Counts, str]:
    """The rows of a file, where an id may stand more than once; what was left out, and an example of a conflict.

    Rows of one id with the same values: equal targets are one row, different ones contradict each other and none is
    used. Rows of one id with different values are observations of their own: id, id#2, … in order of their values.
    """
    columns, counts, conflict = rows.columns, Counts(), ""
    again = {record_id for record_id, count in Counter(columns.record_ids).items() if count > 1}
    if not again:
        return rows, counts, conflict
    groups: dict[tuple[str, bytes, tuple[str, ...]], list[int]] = {}
    for row in (row for row, record_id in enumerate(columns.record_ids) if record_id in again):
        words = tuple("-" if values[row] is None else f"={values[row]}" for values in columns.nominal)
        numbers = np.append(columns.numeric[row] + 0.0, columns.event_times[row])
        groups.setdefault((columns.record_ids[row], numbers.tobytes(), words), []).append(row)
    names = list(columns.record_ids)
    dropped: set[int] = set()
    seen: Counter[str] = Counter()
    for (record_id, *_), members in sorted(groups.items()):
        targets = {float(rows.target[row]) for row in members}
        if len(targets) > 1:
            counts.contradictory += 1
            low, high = min(targets), max(targets)
            conflict = f"{record_id!r} is labelled {low:g} and {high:g}"
            dropped.update(members)
            continue
        counts.duplicates += len(members) - 1
        dropped.update(members[1:])
        seen[record_id] += 1
        if seen[record_id] > 1:
            names[members[0]] = f"{record_id}#{seen[record_id]}"
    kept = np.array([row for row in range(len(rows)) if row not in dropped], dtype=np.intp)
    named = LabelledRows(replace(columns, record_ids=names), rows.target)
    return named.take(kept), counts, conflict


def newest(times: npt.NDArray[np.int64], ids: Sequence[str], count: int) -> Indexes:
    """The positions of the `count` newest, ties by id, in the order in which they stand."""
    if len(times) <= count:
        return np.arange(len(times), dtype=np.intp)
    oldest = np.partition(times, len(times) - count)[len(times) - count]
    kept = times > oldest
    ties = sorted(np.flatnonzero(times == oldest).tolist(), key=lambda row: ids[row])
    kept[ties[len(ties) - (count - int(kept.sum())) :]] = True
    return np.flatnonzero(kept)
