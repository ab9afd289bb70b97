"""Broken records on purpose, one function per kind, each of which the codec must refuse.

For demonstrations and tests of the dead letters. Which records break is a chance by number; the kinds take turns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from longshore.producers.rows import Index
from longshore.schema import Schema

Break = Callable[[bytes, Schema], bytes]


def _changed(value: bytes, name: str, new: Any) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(value), name: new})


def _without(value: bytes, name: str) -> bytes:
    return msgspec.json.encode({key: old for key, old in msgspec.json.decode(value).items() if key != name})


def _not_utf8(value: bytes, schema: Schema) -> bytes:
    return _changed(value, schema.record_id, "§").replace("§".encode(), b"\xff\xfe")


def _nan(value: bytes, schema: Schema) -> bytes:
    name = (schema.numeric or schema.nominal)[0].name
    return _changed(value, name, "§").replace('"§"'.encode(), b"NaN")


def _wrong_type(value: bytes, schema: Schema) -> bytes:
    return _changed(value, schema.fields[0].name, ["not", "a", "value"])


def _out_of_bounds(value: bytes, schema: Schema) -> bytes:
    """Beyond the first limit that the schema has; a wrong time where it has none."""
    for field in schema.numeric:
        if field.maximum is not None:
            return _changed(value, field.name, field.maximum + 1)
    return _changed(value, schema.event_time, -1)


BREAKS: dict[str, Break] = {
    "empty": lambda value, schema: b"",
    "not json": lambda value, schema: b"not json at all",
    "truncated": lambda value, schema: value[: len(value) // 2],
    "not utf-8": _not_utf8,
    "an array": lambda value, schema: b"[" + value + b"]",
    "no record id": lambda value, schema: _without(value, schema.record_id),
    "no key": lambda value, schema: _without(value, schema.key),
    "no event time": lambda value, schema: _without(value, schema.event_time),
    "time as text": lambda value, schema: _changed(value, schema.event_time, "yesterday"),
    "not a number": _nan,
    "wrong type": _wrong_type,
    "out of bounds": _out_of_bounds,
}


def broken(value: bytes, number: int, schema: Schema) -> bytes:
    """A record broken in the way that is record `number`'s turn."""
    kinds = list(BREAKS.values())
    return kinds[number % len(kinds)](value, schema)


def positions(chances: Any, share: float) -> Index:
    """Which of a block's records break, given a chance in [0, 1) for each."""
    chosen: Index = (chances < share).nonzero()[0]
    return chosen
