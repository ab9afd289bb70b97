"""One tensor's data to plain values and back: JSON or binary, flat or nested, for the datatypes a feature may have.

A missing value is JSON's null, in floating point also NaN, in text also the empty string: all become None. What a value
may be is not decided here (`longshore.codec` judges it), only that it is of the datatype its tensor claims.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from longshore.errors import LongshoreError

FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
INTEGERS = {
    "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
}  # fmt: skip
NUMBERS = FLOATS | INTEGERS
TEXT = "BYTES"

LENGTH_BYTES = 4
"""Before each element of a binary BYTES tensor: its length, little endian."""

Values = list[Any]


class TensorError(LongshoreError):
    """A tensor's data is not what its datatype and shape say."""


def from_json(data: Any, datatype: str, shape: list[int]) -> Values:
    """The elements of a tensor given as JSON, flat or nested, row by row.

    Raises:
        TensorError: another number of elements than the shape has, another nesting, an element of another type.

    """
    flat = _flat(data, shape)
    if datatype == TEXT:
        return [_text(value, i) for i, value in enumerate(flat)]
    if datatype in FLOATS:
        return [_float(value, i) for i, value in enumerate(flat)]
    limits = np.iinfo(INTEGERS[datatype])
    return [_integer(value, i, int(limits.min), int(limits.max)) for i, value in enumerate(flat)]


def from_bytes(data: memoryview, datatype: str, count: int) -> Values:
    """The elements of a tensor given as binary data.

    Raises:
        TensorError: the bytes are not `count` elements of the datatype.

    """
    if datatype == TEXT:
        return _texts(data, count)
    kind = np.dtype(NUMBERS[datatype])
    if len(data) != count * kind.itemsize:
        raise TensorError(f"has {len(data)} bytes, not {count} × {kind.itemsize}")
    values: Values = np.frombuffer(data, dtype=kind).tolist()
    if datatype in FLOATS:
        return [None if math.isnan(value) else value for value in values]
    return values


def _flat(data: Any, shape: list[int]) -> Values:
    if not isinstance(data, list):
        raise TensorError("its data is not a list")
    if len(shape) > 1 and data and all(isinstance(row, list) for row in data):
        if len(data) != shape[0] or any(len(row) != shape[1] for row in data):
            raise TensorError(f"its data is nested in another way than its shape {shape} says")
        data = [value for row in data for value in row]
    if len(data) != shape[0]:  # [N] and [N, 1] have N elements
        raise TensorError(f"has {len(data)} elements, its shape {shape} says {shape[0]}")
    return list(data)


def _float(value: Any, row: int) -> float | None:
    if value is None or type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise TensorError(f"row {row} is larger than any number of its datatype") from error
    raise TensorError(f"row {row} is {_shown(value)}, not a number")


def _integer(value: Any, row: int, low: int, high: int) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise TensorError(f"row {row} is {_shown(value)}, not an integer")
    if not low <= value <= high:
        raise TensorError(f"row {row} is {value}, outside {low} to {high}")
    return value


def _text(value: Any, row: int) -> str | None:
    if value is None or type(value) is str:
        return value or None
    raise TensorError(f"row {row} is {_shown(value)}, not a string")


def _texts(data: memoryview, count: int) -> Values:
    found: Values = []
    at = 0
    while at < len(data) and len(found) < count:
        if at + LENGTH_BYTES > len(data):
            raise TensorError("ends within an element's length")
        (length,) = struct.unpack_from("<I", data, at)
        at += LENGTH_BYTES
        if at + length > len(data):
            raise TensorError(f"row {len(found)} has {length} bytes, {len(data) - at} are left")
        try:
            found.append(str(data[at : at + length], "utf-8") or None)
        except UnicodeDecodeError as error:
            raise TensorError(f"row {len(found)} is not UTF-8") from error
        at += length
    if at != len(data) or len(found) != count:
        raise TensorError(f"its bytes hold other than {count} elements")
    return found


def _shown(value: Any) -> str:
    text = f"a {type(value).__name__}" if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
