"""Columns to the bytes on the topics: records as the schema's contract has them, labels as DESIGN.md has them."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from longshore.columns import Floats
from longshore.producers.rows import Index, Rows
from longshore.schema import Schema

Message = dict[str, Any]
"""What `longshore.kafka.writer` takes: `key` and `value` as bytes."""


class Clock:
    """The stream's event time: record i happened `step_ms` × i after `start_ms` (whole milliseconds, rounded down)."""

    def __init__(self, start_ms: int, step_ms: float) -> None:
        self.start_ms = start_ms
        self.step_ms = step_ms

    def at(self, index: Index) -> Index:
        """int64[n], ms since epoch."""
        return np.asarray(self.start_ms + np.floor(index * self.step_ms), dtype=np.int64)


class Encoder:
    """Writes a stream's records and labels; `run` tells its record ids from those of every other run."""

    def __init__(self, schema: Schema, run: str, clock: Clock) -> None:
        self._features = schema.feature_names
        self._run = run
        self._clock = clock
        identity = [(schema.record_id, str), (schema.key, str), (schema.event_time, int)]
        features = [(name, Any) for name in self._features]
        self._record = msgspec.defstruct("Record", [*identity, *features], gc=False)
        # A label's time is `event_time` whatever the schema calls its records': the contract has no other name.
        known = [
            (schema.record_id, str),
            (schema.key, str),
            ("event_time", int),
            ("observed_at", int),
            ("label", float),
        ]
        self._label = msgspec.defstruct("Label", known, gc=False)
        self._encode = msgspec.json.Encoder().encode

    def records(self, rows: Rows) -> list[Message]:
        """One message per row; a missing value is null."""
        columns = [rows.columns[name].tolist() for name in self._features]
        return self._messages(self._record, rows.index, rows.keys, columns)

    def labels(self, index: Index, keys: Any, values: Floats, delay: int) -> list[Message]:
        """The truth of records `index`, observed when record `index + delay` happens."""
        columns = [self._clock.at(index + delay).tolist(), values.tolist()]
        return self._messages(self._label, index, keys, columns)

    def _messages(self, kind: Any, index: Index, keys: Any, columns: list[list[Any]]) -> list[Message]:
        run, encode = self._run, self._encode
        ids = [f"{run}-{i}" for i in index.tolist()]
        names = keys.tolist()
        rows = zip(ids, names, self._clock.at(index).tolist(), *columns, strict=True)
        return [{"key": name.encode(), "value": encode(kind(*row))} for name, row in zip(names, rows, strict=True)]
