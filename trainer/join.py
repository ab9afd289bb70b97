"""Predictions and labels to labelled rows: the pure rules of the join by record id.

- A prediction's input record is decoded by the schema; what cannot be decoded is counted and left out.
- Two predictions of one record id: the first that was read wins, the others are counted.
- Two labels of one record id: equal ones are one; different ones contradict each other, the record is left out.
- A label that is not a finite number is counted and left out.
- Of the labelled rows the newest by event time are kept.

Reading the topics is `longshore.trainer.dataset_stream`'s work.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from longshore.codec import Codec
from longshore.columns import Columns
from longshore.records import UNREADABLE
from longshore.schema import Schema
from longshore.trainer.rows import LabelledRows


class _Prediction(msgspec.Struct, gc=False):
    record: msgspec.Raw


class _Label(msgspec.Struct, gc=False):
    record_id: str
    label: float


_predictions = msgspec.json.Decoder(_Prediction)
_labels = msgspec.json.Decoder(_Label)


@dataclass(slots=True)
class Counts:
    """What the join left out, and why."""

    undecodable: int = 0
    duplicates: int = 0
    contradictory: int = 0
    unlabelled: int = 0


@dataclass(slots=True)
class Join:
    """Collects messages in any order; holds at most about `capacity` records and labels, the latest read."""

    schema: Schema
    capacity: int
    counts: Counts = field(default_factory=Counts)
    _codec: Codec = field(init=False)
    _chunks: list[Columns] = field(default_factory=list)
    _labels: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._codec = Codec(self.schema)

    def add_predictions(self, values: Sequence[bytes | None]) -> None:
        """Decode a batch of prediction messages into columns."""
        records: list[bytes | None] = []
        for value in values:
            try:
                records.append(bytes(_predictions.decode(value or b"").record))
            except UNREADABLE:
                self.counts.undecodable += 1
        decoded = self._codec.decode(records)
        self.counts.undecodable += len(decoded.rejects)
        if len(decoded.columns):
            self._chunks.append(decoded.columns)
        while sum(map(len, self._chunks[1:])) >= self.capacity:
            del self._chunks[0]

    def add_labels(self, values: Iterable[bytes | None]) -> None:
        """Take in a batch of label messages; NaN marks a record whose labels contradict each other."""
        for value in values:
            try:
                label = _labels.decode(value or b"")
            except UNREADABLE:
                self.counts.undecodable += 1
                continue
            if not math.isfinite(label.label):
                self.counts.undecodable += 1
                continue
            known = self._labels.setdefault(label.record_id, label.label)
            if known != label.label and not math.isnan(known):
                self.counts.contradictory += 1
                self._labels[label.record_id] = math.nan
        for record_id in list(self._labels)[: max(0, len(self._labels) - self.capacity)]:
            del self._labels[record_id]

    def rows(self, max_rows: int) -> LabelledRows:
        """The labelled rows read so far, in order of event time, the newest `max_rows`."""
        columns = _concatenate(self.schema, self._chunks)
        first: dict[str, int] = {}
        for position, record_id in enumerate(columns.record_ids):
            first.setdefault(record_id, position)
        self.counts.duplicates = len(columns) - len(first)
        labelled = [at for record_id, at in first.items() if not math.isnan(self._labels.get(record_id, math.nan))]
        self.counts.unlabelled = len(first) - len(labelled)
        kept = np.array(labelled, dtype=np.intp)
        kept = kept[np.argsort(columns.event_times[kept], kind="stable")][-max_rows:]
        taken = columns.take(kept)
        target = np.array([self._labels[record_id] for record_id in taken.record_ids], dtype=np.float64)
        return LabelledRows(taken, target)


def _concatenate(schema: Schema, chunks: list[Columns]) -> Columns:
    return Columns(
        schema=schema,
        record_ids=[value for chunk in chunks for value in chunk.record_ids],
        keys=[value for chunk in chunks for value in chunk.keys],
        event_times=np.concatenate([np.empty(0, dtype=np.int64), *(chunk.event_times for chunk in chunks)]),
        numeric=np.concatenate([np.empty((0, len(schema.numeric))), *(chunk.numeric for chunk in chunks)]),
        nominal=[[value for chunk in chunks for value in chunk.nominal[i]] for i in range(len(schema.nominal))],
    )
