"""Bytes to columns: a piece of a batch at once where all of it is good, record by record only to name what is bad.

Every value that this module accepts is valid UTF-8 JSON from end to end, so the scorer may embed its bytes verbatim.
What is a reject: not JSON, not an object, a wrong type, a missing id or time, NaN or infinity, a value out of the
schema's bounds, a null where the schema forbids it. What is not: a nullable feature that is null or absent, an unknown
category, unknown extra fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import numpy as np

from longshore.columns import Columns, fill
from longshore.records import UNREADABLE
from longshore.schema import Field, Kind, Schema

MAX_EVENT_TIME = 253_402_300_799_999
"""The last millisecond of the year 9999."""

MAX_RECORD_BYTES = 900_000
MAX_KEY_BYTES = 65_536
"""A prediction has its record's key and embeds its value, and a dead letter adds headers: both must fit what a client
sends by default (1,000,000 bytes), or the transaction that holds one could never be committed."""

MAX_DEPTH = 64
"""Of arrays and objects in each other. A prediction embeds its record one level deeper, and whoever reads it has a
stack of their own: without a limit of ours, what one program accepts another could not read."""

PIECE = 500
"""Records decoded at a time: what is made of one is still in the processor's cache when it becomes columns."""

_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|([\[{])|([\]}])', re.DOTALL)
"""A string, which may hold brackets, or a bracket that opens or closes."""


class Reason(StrEnum):
    """Why a record is a dead letter (the header `__connect.errors.class.name` ends in it)."""

    EMPTY = "EmptyValue"
    NOT_JSON = "NotJson"
    NOT_UTF8 = "NotUtf8"
    INVALID = "InvalidRecord"
    TOO_LARGE = "TooLarge"
    NOT_FINITE = "NotFinitePrediction"
    MODEL_FAILED = "ModelFailed"


@dataclass(frozen=True, slots=True)
class Reject:
    """A bad record: its position in the batch and the exact reason."""

    position: int
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch after decoding: the good records as columns, where they stood in the batch, and the bad ones."""

    columns: Columns
    positions: list[int]
    rejects: list[Reject]


class Codec:
    """Decodes records of one schema; the absence of a nullable feature means null."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._row = _row(schema)
        self._decode = msgspec.json.Decoder(self._row).decode
        self._decode_known = msgspec.json.Decoder(_row(schema, known_only=True)).decode

    def decode(self, values: Sequence[bytes | None], keys: Sequence[bytes | None] = ()) -> Decoded:
        """Turn n values into columns and rejects; together they account for every position once.

        `keys` are the n messages' own, where they came as messages.
        """
        positions: list[int] = []
        rejects: list[Reject] = []
        columns = self._columns(len(values), self._good(values, keys or [None] * len(values), positions, rejects))
        return Decoded(columns, positions, rejects)

    def _good(
        self, values: Sequence[Any], keys: Sequence[bytes | None], positions: list[int], rejects: list[Reject]
    ) -> Iterator[list[Any]]:
        """The good records' rows, a piece at a time; notes where they stood, and what is bad."""
        for at in range(0, len(values), PIECE):
            piece, their_keys = values[at : at + PIECE], keys[at : at + PIECE]
            try:
                if max(map(len, filter(None, their_keys)), default=0) > MAX_KEY_BYTES:
                    raise _RefusedError
                rows = self._rows(piece)
                positions.extend(range(at, at + len(piece)))
            except (*UNREADABLE, _RefusedError, TypeError):
                rows = self._each(at, piece, their_keys, positions, rejects)
            if rows:
                yield rows

    def _rows(self, values: Sequence[Any]) -> list[Any]:
        """Every value decoded; raises if there may be anything wrong with any: `_one` finds out what."""
        sizes = list(map(len, values))
        if min(sizes) == 0 or max(sizes) > MAX_RECORD_BYTES:
            raise _RefusedError
        try:
            # Where every field is known the decoder has looked at every byte, and none of them opens anything.
            return list(map(self._decode_known, values))
        except msgspec.ValidationError:
            pass
        # Fields that the schema does not know are skipped unread. isascii is a fast proof of valid UTF-8.
        together = b"".join(values)
        if not together.isascii():
            for value in values:
                value.decode("utf-8")
        brackets = together.count(b"{") + (together.count(b"[") if b"[" in together else 0)  # finding is faster
        if brackets > len(values) + MAX_DEPTH - 1:
            raise _RefusedError
        return list(map(self._decode, values))

    def _one(self, value: bytes | None) -> Any:
        if not value:
            raise _RefusedError(Reason.EMPTY, "the value is empty")
        if len(value) > MAX_RECORD_BYTES:
            raise _RefusedError(Reason.TOO_LARGE, f"the value has {len(value)} bytes, more than {MAX_RECORD_BYTES}")
        if not value.isascii():
            value.decode("utf-8")
        if value.count(b"{") + value.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
            raise _RefusedError(Reason.NOT_JSON, f"the value is nested more than {MAX_DEPTH} levels deep")
        return self._decode(value)

    def _each(
        self,
        first: int,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None],
        positions: list[int],
        rejects: list[Reject],
    ) -> list[Any]:
        rows = []
        for position, (value, key) in enumerate(zip(values, keys, strict=True), first):
            try:
                if key and len(key) > MAX_KEY_BYTES:
                    raise _RefusedError(Reason.TOO_LARGE, f"the key has {len(key)} bytes, more than {MAX_KEY_BYTES}")
                rows.append(self._one(value))
                positions.append(position)
            except (*UNREADABLE, _RefusedError) as error:
                rejects.append(Reject(position, *_reason(error)))
        return rows

    def _columns(self, most: int, pieces: Iterable[Sequence[Any]]) -> Columns:
        """Up to `most` rows, a piece at a time, as columns."""
        numeric = np.empty((len(self.schema.numeric), most), dtype=np.float64)
        lists: list[list[Any]] = [[] for _ in range(3 + len(self.schema.nominal))]
        at = 0
        for rows in pieces:
            fields = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
            first, until = 3 + len(numeric), at + len(rows)
            for column, numbers in zip(numeric, fields[3:first], strict=True):
                fill(column[at:until], numbers)
            for texts, values in zip(lists, fields[:3] + fields[first:], strict=True):
                texts.extend(values)
            at = until
        record_ids, keys, event_times, *nominal = lists
        return Columns(self.schema, record_ids, keys, np.array(event_times, dtype=np.int64), numeric[:, :at].T, nominal)


def _row(schema: Schema, *, known_only: bool = False) -> Any:
    fields = _struct_fields(schema)
    return msgspec.defstruct("Record", fields, kw_only=True, gc=False, forbid_unknown_fields=known_only)


class _RefusedError(Exception):
    """A value refused before it is decoded; carries (reason, message)."""


def _depth(value: bytes) -> int:
    """How many arrays and objects are open at once, at most."""
    depth = deepest = 0
    for token in _TOKENS.finditer(value):
        if token[1]:
            depth += 1
            deepest = max(deepest, depth)
        elif token[2]:
            depth -= 1
    return deepest


def _reason(error: Exception) -> tuple[Reason, str]:
    if isinstance(error, _RefusedError):
        reason, message = error.args
        return reason, message
    if isinstance(error, msgspec.ValidationError):
        return Reason.INVALID, str(error)
    if isinstance(error, UnicodeDecodeError):
        return Reason.NOT_UTF8, f"the value is not UTF-8: byte {error.start}"
    if isinstance(error, RecursionError):
        return Reason.NOT_JSON, "the value is nested too deeply"
    return Reason.NOT_JSON, str(error)


def _struct_fields(schema: Schema) -> list[Any]:
    identity = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
    fields: list[Any] = [
        (schema.record_id, identity),
        (schema.key, identity),
        (schema.event_time, Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENT_TIME)]),
    ]
    fields += [_feature(field) for field in schema.numeric + schema.nominal]
    return fields


def _feature(field: Field) -> Any:
    base: Any = str
    if field.kind is Kind.NUMERIC:
        base = Annotated[float, msgspec.Meta(ge=field.minimum, le=field.maximum)]
    return (field.name, base | None, None) if field.nullable else (field.name, base)
