"""Predictions to columns: in one pass where every value is good, value by value where one is not.

All ways accept the same predictions with the same values; what a good record is, `longshore.codec` decides.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import add
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from longshore.codec import MAX_DEPTH, MAX_EVENT_TIME, MAX_RECORD_BYTES, Codec
from longshore.columns import fill, fill_whole
from longshore.monitor.familiar import Familiar, Many
from longshore.monitor.identities import Hashes, hashed
from longshore.profile import Floats, Ints
from longshore.records import UNREADABLE
from longshore.schema import Schema

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENT_TIME)]
READ = {"event_time": Milliseconds, "scored_at": Milliseconds, "prediction": float, "model_version": str, "route": str}
"""What counting reads of a prediction, beside its `record`."""


AT_ONCE = 500
"""Values decoded before any is put into columns: what they take is then still in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredColumns:
    """n readable predictions.

    Attributes:
        times: int64[n], event times (ms).
        scored_at: int64[n], ms.
        ids: uint32[n], hashes of the record ids (`longshore.monitor.identities`); 0 where the record is not good.
        named: stretches of n together, as (version, route) and the number of neighbours that have them.
        good: bool[n], whether the prediction's record fits the schema; what it holds is missing where not.
        values: float64[numeric fields + 1, n], the fields in schema order and then the predictions; NaN is missing.
        texts: one sequence of n strings (None = missing) per nominal field, in schema order.

    """

    times: Ints
    scored_at: Ints
    ids: Hashes
    named: list[tuple[tuple[str, str], int]]
    good: npt.NDArray[np.bool_]
    values: Floats
    texts: Sequence[Sequence[str | None]]

    def __len__(self) -> int:
        return len(self.times)


class ScoredDecoder:
    """Decodes predictions of one schema's records."""

    def __init__(self, schema: Schema) -> None:
        self._codec = Codec(schema)
        self._numeric, self._nominal = len(schema.numeric), len(schema.nominal)
        self._row = self._codec._row
        self._strict = self._known_only({}, {})
        self._lenient, self._outer = _decoder(self._row), _decoder(msgspec.Raw)
        self._strangers = False
        nullable = {field.name: field.nullable for field in schema.nominal}
        self._familiar = Familiar(self._known_only, ("model_version", "route"), nullable)

    def _known_only(self, outer: Mapping[str, Any], inner: Mapping[str, Any]) -> Many:
        """A decoder that refuses fields unknown to the schema; some fields with types of their own."""
        fields = [(name, kind, *_default(self._row, name)) for name, kind in inner.items()]
        strict = msgspec.defstruct(
            "Strict", fields, bases=(self._row,), kw_only=True, forbid_unknown_fields=True, gc=False
        )
        return _decoder_of_many(_scored(strict, outer))

    def decode(self, values: Sequence[bytes | None]) -> ScoredColumns:
        """The readable ones of n values, in order."""
        return joined(self.pieces(values))

    def pieces(self, values: Sequence[bytes | None]) -> list[ScoredColumns]:
        """The same in pieces: one at least."""
        pieces = [values[at : at + AT_ONCE] for at in range(0, max(1, len(values)), AT_ONCE)]
        return list(map(self._piece, pieces))

    def _piece(self, values: Sequence[bytes | None]) -> ScoredColumns:
        try:
            return self._all(values)
        except (*UNREADABLE, TypeError, _DoubtError):
            return self._each(values)

    def _all(self, values: Sequence[Any]) -> ScoredColumns:
        """Every value decoded with its record; raises if there may be anything wrong with any."""
        *read, records = _fields(self._rows(values), len(READ) + 1)
        ids, _, _, *fields = _fields(records, 3 + self._numeric + self._nominal)
        table = np.empty((self._numeric + 1, len(values)))
        for row, column in zip(table, fields[: self._numeric], strict=False):
            fill(row, column)
        good = np.ones(len(values), dtype=np.bool_)
        return _columns(read, hashed(ids), table, fields[self._numeric :], good)

    def _rows(self, values: Sequence[bytes]) -> list[Any]:
        """The values with their records, by the cheapest way that proves what the codec asks of a record.

        That is valid UTF-8, and not nested too deep. Of a record without fields unknown to the schema the decoder has
        looked at every byte, and nothing in it is nested. Where there are such fields once, others will follow.
        """
        if not self._strangers and (rows := self._of_schema(values)) is not None:
            return rows
        if max(map(len, values), default=0) > MAX_RECORD_BYTES:
            raise _DoubtError
        if not all(map(bytes.isascii, values)):
            for value in values:
                value.decode("utf-8")
        opened = map(add, map(bytes.count, values, repeat(b"{")), map(bytes.count, values, repeat(b"[")))
        if max(opened, default=0) > MAX_DEPTH:
            raise _DoubtError
        rows = list(map(self._lenient, values))
        self._strangers = True
        return rows

    def _of_schema(self, values: Sequence[bytes]) -> list[Any] | None:
        """The values with their records, None if one is not valid or has a field unknown to the schema."""
        if self._familiar.decode is not None:
            try:
                return self._familiar.decode(values)
            except msgspec.ValidationError:
                pass
        try:
            rows = self._strict(values)
        except msgspec.ValidationError:
            return None
        self._familiar.learn(rows)
        return rows

    def _each(self, values: Sequence[bytes | None]) -> ScoredColumns:
        *read, raw = _fields([row for value in values if (row := self._one(value)) is not None], len(READ) + 1)
        decoded = self._codec.decode([bytes(record) for record in raw])
        good = np.zeros(len(raw), dtype=np.bool_)
        good[decoded.positions] = True
        ids = np.zeros(len(raw), dtype=np.uint32)
        ids[good] = hashed(decoded.columns.record_ids)
        table = np.full((self._numeric + 1, len(raw)), np.nan)
        table[:-1, good] = decoded.columns.numeric.T
        texts = np.full((self._nominal, len(raw)), None, dtype=object)
        for column, present in zip(texts, decoded.columns.nominal, strict=True):
            column[good] = present
        return _columns(read, ids, table, texts.tolist(), good)

    def _one(self, value: bytes | None) -> Any:
        try:
            return self._outer(value or b"")
        except UNREADABLE:
            return None


class _DoubtError(Exception):
    """Something may be wrong with a value: each must be looked at."""


def _scored(record: Any, kinds: Mapping[str, Any]) -> Any:
    return msgspec.defstruct("Scored", [*(READ | dict(kinds)).items(), ("record", record)], gc=False)


def _decoder(record: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(_scored(record, {})).decode


def _decoder_of_many(scored: Any) -> Many:
    """Decodes values in one call, which takes a tenth less: each as if alone, or it raises.

    A mark stands between two values, which no value can know. So if there is one between any two documents and nowhere
    else, each value is just one document.
    """
    mark = secrets.token_hex(8)
    between, decode = f'"{mark}"'.encode(), msgspec.json.Decoder(scored | Literal[mark]).decode_lines

    def many(values: Sequence[bytes]) -> list[Any]:
        if not values:
            return []
        together = between.join(values)
        if len(together) > MAX_RECORD_BYTES and max(map(len, values)) > MAX_RECORD_BYTES:
            raise _DoubtError
        found = decode(together)
        if len(found) != 2 * len(values) - 1 or found[1::2].count(mark) != len(values) - 1:
            raise _DoubtError
        return found[::2]

    return many


def _default(row: Any, name: str) -> tuple[Any, ...]:
    """The field's default, if it has one."""
    found = next(field for field in msgspec.structs.fields(row) if field.name == name)
    return () if found.required else (found.default,)


def _fields(rows: Sequence[Any], width: int) -> list[tuple[Any, ...]]:
    """The fields of n structs, as `width` tuples of n."""
    return list(zip(*map(msgspec.structs.astuple, rows), strict=True)) if rows else [()] * width


def _columns(
    read: Sequence[Sequence[Any]],
    ids: Hashes,
    table: Floats,
    texts: Sequence[Sequence[str | None]],
    good: npt.NDArray[np.bool_],
) -> ScoredColumns:
    times, scored_at, predictions, versions, routes = read
    fill(table[-1], predictions)
    when = np.empty((2, len(times)), dtype=np.int64)
    fill_whole(when[0], times)
    fill_whole(when[1], scored_at)
    return ScoredColumns(
        times=when[0],
        scored_at=when[1],
        ids=ids,
        named=_named(versions, routes),
        good=good,
        values=table,
        texts=texts,
    )


def _named(versions: Sequence[str], routes: Sequence[str]) -> list[tuple[tuple[str, str], int]]:
    """In one stretch where all have the same, as nearly always: texts that come again are mostly one object."""
    if all(names.count(names[0]) == len(names) for names in (versions, routes) if names):
        return [((versions[0], routes[0]), len(versions))] if versions else []
    return [(name, 1) for name in zip(versions, routes, strict=True)]


def joined(pieces: Sequence[ScoredColumns]) -> ScoredColumns:
    """One after the other."""
    if len(pieces) == 1:
        return pieces[0]
    by_field = zip(*(piece.texts for piece in pieces), strict=True)
    return ScoredColumns(
        times=np.concatenate([piece.times for piece in pieces]),
        scored_at=np.concatenate([piece.scored_at for piece in pieces]),
        ids=np.concatenate([piece.ids for piece in pieces]),
        named=list(chain.from_iterable(piece.named for piece in pieces)),
        good=np.concatenate([piece.good for piece in pieces]),
        values=np.concatenate([piece.values for piece in pieces], axis=1),
        texts=[list(chain.from_iterable(of_field)) for of_field in by_field],
    )
