"""Columns of values to the records that the stream would carry, and the codec's verdicts back to rows and fields.

For those who have rows and no stream: `serving` (tensors) and `files` (CSV, Parquet).
The codec is the only judge of what a good record is: whatever comes in is written as the JSON it would have been on the
records' topic and decoded by it. So a row is refused here exactly where it would be a dead letter there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from longshore.codec import Reject
from longshore.schema import Schema

_FIELD = re.compile(r"`\$\.(\w+)`")
"""How msgspec names the place of an error."""


_encode = msgspec.json.Encoder().encode


def records(schema: Schema, columns: Mapping[str, Sequence[Any]], rows: int) -> list[bytes]:
    """One record's JSON per row. Identity that is not given does not matter to a prediction and is filled in."""
    identity = {schema.record_id: "-", schema.key: "-", schema.event_time: 0}
    filled = {name: [value] * rows for name, value in identity.items() if name not in columns}
    names = [*filled, *columns]
    values = [*filled.values(), *(_finite(column) for column in columns.values())]
    return [_encode(dict(zip(names, row, strict=True))) for row in zip(*values, strict=True)]


def _finite(column: Sequence[Any]) -> Sequence[Any]:
    """JSON has neither infinity nor NaN, and the encoder would write null; as text the codec refuses them."""
    if all(type(value) is not float or math.isfinite(value) for value in column):
        return column
    return [_shown(value) for value in column]


def _shown(value: Any) -> Any:
    return repr(value) if type(value) is float and not math.isfinite(value) else value


def explain(reject: Reject, row: int, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """A reject in the caller's terms: the row, the field and its value where it is about one, and the reason."""
    named = _FIELD.search(reject.message)
    told: dict[str, Any] = {"row": row, "reason": reject.reason.value, "message": reject.message}
    if named is not None and named[1] in columns:
        value = columns[named[1]][row]
        told |= {"field": named[1], "value": _shown(value)}
    return told


def sentence(told: Mapping[str, Any]) -> str:
    """The same as one line."""
    if "field" not in told:
        return f"row {told['row']}: {told['reason']}: {told['message']}"
    value = repr(told["value"])
    value = value if len(value) <= 80 else f"{value[:80]}…"
    return f"row {told['row']}, {told['field']} = {value}: {told['reason']}: {told['message']}"
