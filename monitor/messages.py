"""What stands on `drift.panes`: the internal, versioned messages from the counting members to the decider.

Everything the decider acts on is one of these, in one partition: counts with their source and offsets, labels counted,
idle marks, relayed model events. Bytes only; meaning is `longshore.monitor.panes`'s and `.decide`'s.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from longshore.errors import FormatError
from longshore.profile import Ints
from longshore.records import ModelEvent

FORMAT = 2
"""2: a pane's bins as `pack_narrow` writes them. 1, as `pack` does, is read."""

NEVER = -1
"""The watermark of a partition from which nothing was read yet."""

MAX_BYTES = 900_000
"""Of panes in one message, so that it stays below the 1,000,000 that clients and brokers accept."""


class PaneDelta(msgspec.Struct, frozen=True):
    """Counts to add to one pane: event times from `pane`·pane length on, of one model version and route.

    `bins` holds the counts of all fine bins and their fixed-point sums (`pack_narrow`);
    `layout` names the profile that made the bins. `segments` holds the deciles' counts by segment, in the profile's
    order; empty where they were not counted. `sample` holds some whole rows (`.sample`); empty where none were kept.
    """

    pane: int
    version: str
    route: str
    records: int
    layout: str
    bins: str
    segments: str = ""
    sample: str = ""


class Counted(msgspec.Struct, frozen=True, tag_field="kind", tag="counts"):
    """Predictions of one partition, `first_offset` to `last_offset`, counted.

    `watermark` is the highest event time (ms) of the partition so far, `NEVER` where the next message of the same
    transaction tells. Not in the panes are: `late` records, behind it
    by more than the allowed lateness; `future` ones, ahead of their own scoring by more than an hour; `unreadable`
    ones, not predictions of this schema or of a version that the registry does not hold.
    """

    partition: int
    partitions: int
    first_offset: int
    last_offset: int
    watermark: int
    panes: list[PaneDelta]
    late: int = 0
    future: int = 0
    unreadable: int = 0
    format: int = FORMAT


def in_pieces(counted: Counted) -> list[Counted]:
    """The same as messages that are not too large, with offsets that rise: one may not hold hundreds of panes.

    A watermark closes panes, so only the last one has it; it has what was left out of the panes, too.
    """
    pieces: list[list[PaneDelta]] = [[]]
    size = 0
    for delta in counted.panes:
        more = _most_bytes(delta)
        if size + more > MAX_BYTES and pieces[-1]:
            pieces.append([])
            size = 0
        pieces[-1].append(delta)
        size += more
    first, last = counted.first_offset, len(pieces) - 1
    before = [
        Counted(counted.partition, counted.partitions, first + i, first + i, NEVER, panes)
        for i, panes in enumerate(pieces[:-1])
    ]
    return [*before, msgspec.structs.replace(counted, first_offset=first + last, panes=pieces[-1])]


def _most_bytes(delta: PaneDelta) -> int:
    """What a delta takes as JSON, at most: its texts are base64 and short names. (Encoding it would tell, too.)"""
    return 200 + sum(len(value) for value in msgspec.structs.astuple(delta) if isinstance(value, str))


class LabelsSeen(msgspec.Struct, frozen=True, tag_field="kind", tag="labels"):
    """Labels of one labels partition, as pairs (pane, number)."""

    partition: int
    panes: list[tuple[int, int]]
    format: int = FORMAT


class Idle(msgspec.Struct, frozen=True, tag_field="kind", tag="idle"):
    """Nothing is on its way to this partition: it follows the others' watermarks as far as they stand here."""

    partition: int
    partitions: int
    format: int = FORMAT


class ModelMoved(msgspec.Struct, frozen=True, tag_field="kind", tag="model"):
    """A message of `model.events`, relayed."""

    event: ModelEvent
    format: int = FORMAT


PaneMessage = Counted | LabelsSeen | Idle | ModelMoved

_decoder = msgspec.json.Decoder(PaneMessage)


class _Versioned(msgspec.Struct):
    format: int = 0


def encode(message: PaneMessage) -> bytes:
    """The message as JSON."""
    return msgspec.json.encode(message)


def decode(value: bytes | None) -> PaneMessage:
    """A message from its JSON.

    Raises:
        FormatError: damaged, or of a format newer than this program.

    """
    try:
        found = msgspec.json.decode(value or b"", type=_Versioned).format
        if found > FORMAT:
            raise FormatError(f"a pane message has format {found}, this program reads up to {FORMAT}", mend="upgrade")
        message: PaneMessage = _decoder.decode(value or b"")
        return message
    except msgspec.MsgspecError as error:
        raise FormatError(f"a pane message is damaged: {error}", mend="see who else writes to drift.panes") from error


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
