"""Bytes to columns: a whole batch at once where every record is good, record by record only to name what is bad.

Every value that this module accepts is valid UTF-8 JSON from end to end, so the scorer may embed its bytes verbatim.
What is a reject: not JSON, not an object, a wrong type, a missing id or time, NaN or infinity, a value out of the
schema's bounds, a null where the schema forbids it. What is not: a nullable feature that is null or absent, an unknown
category, unknown extra fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import numpy as np

from longshore.columns import Columns
from longshore.schema import Field, Kind, Schema

MAX_EVENT_TIME = 253_402_300_799_999
"""The last millisecond of the year 9999."""

MAX_RECORD_BYTES = 900_000
"""A prediction embeds its record, and a dead letter adds headers: both must fit Kafka's default limit of 1 MiB."""


class Reason(StrEnum):
    """Why a record is a dead letter (the header `__connect.errors.class.name` ends in it)."""

    EMPTY = "EmptyValue"
    NOT_JSON = "NotJson"
    NOT_UTF8 = "NotUtf8"
    INVALID = "InvalidRecord"
    TOO_LARGE = "TooLarge"
    NOT_FINITE = "NotFinitePrediction"


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
        self._row = msgspec.defstruct("Record", _struct_fields(schema), kw_only=True, gc=False)
        self._decoder = msgspec.json.Decoder(self._row)
        self._width = 3 + len(schema.fields)

    def decode(self, values: Sequence[bytes | None]) -> Decoded:
        """Turn n values into columns and rejects; together they account for every position once."""
        try:
            rows = [self._one(value) for value in values]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _RefusedError):
            return self._decode_each(values)
        return Decoded(self._columns(rows), list(range(len(rows))), [])

    def _one(self, value: bytes | None) -> Any:
        if not value:
            raise _RefusedError(Reason.EMPTY, "the value is empty")
        if len(value) > MAX_RECORD_BYTES:
            raise _RefusedError(Reason.TOO_LARGE, f"the value has {len(value)} bytes, more than {MAX_RECORD_BYTES}")
        # isascii is a fast proof of valid UTF-8; fields the schema does not know are skipped by the decoder unread.
        if not value.isascii():
            value.decode("utf-8")
        return self._decoder.decode(value)

    def _decode_each(self, values: Sequence[bytes | None]) -> Decoded:
        rows, positions, rejects = [], [], []
        for position, value in enumerate(values):
            try:
                rows.append(self._one(value))
                positions.append(position)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _RefusedError) as error:
                rejects.append(Reject(position, *_reason(error)))
        return Decoded(self._columns(rows), positions, rejects)

    def _columns(self, rows: list[Any]) -> Columns:
        split = list(zip(*map(msgspec.structs.astuple, rows), strict=True)) if rows else [()] * self._width
        numeric_count = len(self.schema.numeric)
        numeric = np.empty((len(rows), numeric_count), dtype=np.float64)
        for i in range(numeric_count):
            numeric[:, i] = np.array(split[3 + i], dtype=np.float64)
        return Columns(
            schema=self.schema,
            record_ids=list(split[0]),
            keys=list(split[1]),
            event_times=np.array(split[2], dtype=np.int64),
            numeric=numeric,
            nominal=[list(values) for values in split[3 + numeric_count :]],
        )


class _RefusedError(Exception):
    """A value refused before it is decoded; carries (reason, message)."""


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
