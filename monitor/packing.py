"""Arrays of integers as short text, for messages and snapshots: as narrow as the numbers, deflated where it pays."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from longshore.errors import FormatError
from longshore.profile import Ints


def pack(counts: Ints, sums: Ints) -> str:
    """Two int64[T] arrays as text."""
    return pack_counts(np.concatenate([counts, sums]))


def unpack(text: str) -> tuple[Ints, Ints]:
    """The two arrays of `pack` or `pack_narrow`.

    Raises:
        FormatError: damaged.

    """
    if text[:1] in (PLAIN, DEFLATED):
        return _unpack_narrow(text)
    counts, sums = np.split(unpack_counts(text), 2)
    return counts, sums


PLAIN, DEFLATED = ".", "~"
"""How what `pack_narrow` gives begins: no letters of base64, with which what `pack` gives does."""

WIDE = 8
"""Bytes of a count and its sum above which a dense pane is deflated all the same: it would be too large."""


def pack_narrow(counts: Ints, sums: Ints) -> str:
    """Two int64[T] arrays as text, each number only as wide as the array's largest needs.

    Deflating takes four times as long as all else, and saves a fifth of a pane with records in most of its bins. One
    with few is deflated: nearly all of it is zeros.
    """
    widths = [(int(np.abs(values).max(initial=0)).bit_length() + 8) // 8 for values in (counts, sums)]
    data = b"".join(_narrow(values, width) for values, width in zip((counts, sums), widths, strict=True))
    plain = 2 * np.count_nonzero(counts) >= len(counts) and sum(widths) <= WIDE
    text = base64.b64encode(data if plain else zlib.compress(data, 1)).decode("ascii")
    return f"{PLAIN if plain else DEFLATED}{widths[0]}{widths[1]}{text}"


def _narrow(values: Ints, width: int) -> bytes:
    """The lowest bytes of every number, in two's complement."""
    return np.ascontiguousarray(values.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]).tobytes()


def _unpack_narrow(text: str) -> tuple[Ints, Ints]:
    try:
        widths = int(text[1]), int(text[2])
        data = base64.b64decode(text[3:]) if text[0] == PLAIN else _data(text[3:])
        size, over = divmod(len(data), sum(widths))
        if over or not (0 < widths[0] <= 8 and 0 < widths[1] <= 8):
            raise ValueError(f"{len(data)} bytes for widths {widths}")
        return _widened(data[: size * widths[0]], widths[0]), _widened(data[size * widths[0] :], widths[1])
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise FormatError(f"a pane's counts are damaged: {error}", mend="see who else writes to drift.panes") from error


def _widened(data: bytes, width: int) -> Ints:
    """The array of `_narrow`: the sign goes on into the bytes that were left out."""
    lowest = np.frombuffer(data, dtype=np.uint8).reshape(-1, width)
    whole = np.empty((len(lowest), 8), dtype=np.uint8)
    whole[:, :width] = lowest
    whole[:, width:] = np.where(lowest[:, -1:] >= 128, 255, 0)
    return whole.view("<i8").ravel().astype(np.int64)


def pack_counts(counts: Ints) -> str:
    """An int64 array as text: little-endian, deflated, in base64."""
    return _text(counts.astype("<i8"))


def unpack_counts(text: str) -> Ints:
    """The array of `pack_counts`.

    Raises:
        FormatError: damaged.

    """
    try:
        return np.frombuffer(_data(text), dtype="<i8").astype(np.int64)
    except ValueError as error:
        raise FormatError(f"a pane's counts are damaged: {error}", mend="see who else writes to drift.panes") from error


def pack_small(counts: Ints) -> str:
    """An int64 array of counts, mostly small, as text: the width in bytes, then each so wide; empty for none."""
    if not len(counts):
        return ""
    width = next(width for width in (1, 2, 4, 8) if int(counts.max()) < 1 << (8 * width - 1))
    return f"{width}{_text(counts.astype(f'<i{width}'))}"


def unpack_small(text: str) -> Ints:
    """The array of `pack_small`.

    Raises:
        FormatError: damaged.

    """
    if not text:
        return np.zeros(0, np.int64)
    try:
        return np.frombuffer(_data(text[1:]), dtype=f"<i{int(text[0])}").astype(np.int64)
    except (ValueError, TypeError) as error:
        raise FormatError(
            f"a pane's segments are damaged: {error}", mend="see who else writes to drift.panes"
        ) from error


def _text(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 1)).decode("ascii")


def _data(text: str) -> bytes:
    try:
        return zlib.decompress(base64.b64decode(text))
    except zlib.error as error:
        raise ValueError(str(error)) from error
