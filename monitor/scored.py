"""Predictions to columns: a whole batch in one pass where every value is good, value by value where one is not.

All ways accept the same predictions with the same values; what a good record is, `longshore.codec` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import add, attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from longshore.codec import MAX_DEPTH, MAX_EVENT_TIME, MAX_RECORD_BYTES, Codec
from longshore.profile import Floats, Ints
from longshore.records import UNREADABLE
from longshore.schema import Schema

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENT_TIME)]
READ = {"event_time": Milliseconds, "scored_at": Milliseconds, "prediction": float, "model_version": str, "route": str}
"""What counting reads of a prediction, beside its `record`."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredColumns:
    """n readable predictions.

    Attributes:
        times: int64[n], event times (ms).
        scored_at: int64[n], ms.
        versions: n model versions.
        routes: n routes.
        good: bool[n], whether the prediction's record fits the schema; what it holds is missing where not.
        values: float64[numeric fields + 1, n], the fields in schema order and then the predictions; NaN is missing.
        texts: one list of n strings (None = missing) per nominal field, in schema order.

    """

    times: Ints
    scored_at: Ints
    versions: list[str]
    routes: list[str]
    good: npt.NDArray[np.bool_]
    values: Floats
    texts: list[list[str | None]]

    def __len__(self) -> int:
        return len(self.times)


class ScoredDecoder:
    """Decodes predictions of one schema's records."""

    def __init__(self, schema: Schema) -> None:
        self._codec = Codec(schema)
        self._numeric = [attrgetter(field.name) for field in schema.numeric]
        self._nominal = [attrgetter(field.name) for field in schema.nominal]
        row = self._codec._row
        self._strict = _decoder(msgspec.defstruct("Strict", [], bases=(row,), forbid_unknown_fields=True))
        self._lenient, self._outer = _decoder(row), _decoder(msgspec.Raw)
        self._strangers = False

    def decode(self, values: Sequence[bytes | None]) -> ScoredColumns:
        """The readable ones of n values, in order."""
        try:
            return self._all(values)
        except (*UNREADABLE, TypeError, _DoubtError):
            return self._each(values)

    def _all(self, values: Sequence[Any]) -> ScoredColumns:
        """Every value decoded with its record; raises if there may be anything wrong with any."""
        if max(map(len, values), default=0) > MAX_RECORD_BYTES:
            raise _DoubtError
        rows = self._rows(values)
        records = list(map(attrgetter("record"), rows))
        table = np.empty((len(self._numeric) + 1, len(values)))
        for i, read in enumerate(self._numeric):
            table[i] = _floats(records, read)
        texts = [list(map(read, records)) for read in self._nominal]
        return _columns(rows, table, texts, np.ones(len(values), dtype=np.bool_))

    def _rows(self, values: Sequence[bytes]) -> list[Any]:
        """The values with their records, by the cheapest way that proves what the codec asks of a record.

        That is valid UTF-8, and not nested too deep. Of a record without fields unknown to the schema the decoder has
        looked at every byte, and nothing in it is nested. Where there are such fields once, others will follow.
        """
        if not self._strangers:
            try:
                return list(map(self._strict, values))
            except msgspec.ValidationError:
                pass
        if not all(map(bytes.isascii, values)):
            for value in values:
                value.decode("utf-8")
        opened = map(add, map(bytes.count, values, repeat(b"{")), map(bytes.count, values, repeat(b"[")))
        if max(opened, default=0) > MAX_DEPTH:
            raise _DoubtError
        rows = list(map(self._lenient, values))
        self._strangers = True
        return rows

    def _each(self, values: Sequence[bytes | None]) -> ScoredColumns:
        rows = [row for value in values if (row := self._one(value)) is not None]
        decoded = self._codec.decode([bytes(row.record) for row in rows])
        good = np.zeros(len(rows), dtype=np.bool_)
        good[decoded.positions] = True
        table = np.full((len(self._numeric) + 1, len(rows)), np.nan)
        table[:-1, good] = decoded.columns.numeric.T
        texts = np.full((len(self._nominal), len(rows)), None, dtype=object)
        for column, present in zip(texts, decoded.columns.nominal, strict=True):
            column[good] = present
        return _columns(rows, table, texts.tolist(), good)

    def _one(self, value: bytes | None) -> Any:
        try:
            return self._outer(value or b"")
        except UNREADABLE:
            return None


class _DoubtError(Exception):
    """Something may be wrong with a value: each must be looked at."""


def _decoder(record: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(msgspec.defstruct("Scored", [*READ.items(), ("record", record)], gc=False)).decode


def _floats(rows: Sequence[Any], read: Callable[[Any], float | None]) -> Floats:
    try:
        return np.fromiter(map(read, rows), np.float64, len(rows))
    except TypeError:  # there is a null
        return np.array(list(map(read, rows)), dtype=np.float64)


def _columns(
    rows: Sequence[Any], table: Floats, texts: list[list[str | None]], good: npt.NDArray[np.bool_]
) -> ScoredColumns:
    table[-1] = _floats(rows, attrgetter("prediction"))
    return ScoredColumns(
        times=np.fromiter(map(attrgetter("event_time"), rows), np.int64, len(rows)),
        scored_at=np.fromiter(map(attrgetter("scored_at"), rows), np.int64, len(rows)),
        versions=list(map(attrgetter("model_version"), rows)),
        routes=list(map(attrgetter("route"), rows)),
        good=good,
        values=table,
        texts=texts,
    )
