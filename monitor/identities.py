"""How many of many records are the same again: a small, mergeable sketch of their ids. Pure.

A sketch is the same whatever the order and the pieces of what was put in, and a record id put in twice leaves the same
bits as once: so counting by many members, in any pieces, comes to one number. It is a bitmap counted by its empty bits
(linear counting, Whang et al. 1990), in four tiers for four orders of magnitude (Estan, Varghese & Fisk 2003): an id's
hash says which tier it belongs to, the first takes 7 of 8 ids, the next 7 of 8 of the rest. Where a tier is too full to
count by, the ones after it stand for all, since which ids are in them is chance.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt
from scipy import special

from longshore.errors import FormatError
from longshore.profile import Floats, Ints

Hashes = npt.NDArray[np.uint32]

SIZES = np.array([8_192, 4_096, 2_048, 2_048])
"""Bits of the tiers."""

STARTS = np.cumsum(SIZES) - SIZES
BITS = int(SIZES.sum())
"""Of a sketch: 2 KiB."""

_TIER = np.repeat([3, 2, 1, 0], [1, 7, 56, 448])
"""By a hash's highest nine bits, the tier it belongs to: the last gets 1/512, the others 7/512, 7/64 and 7/8."""

_START, _MASK = STARTS[_TIER], (SIZES[_TIER] - 1).astype(np.uint32)

FULL = 0.8
"""A tier with more than this share of its bits set is not counted by."""

MANY = 100.0
"""Repetitions by chance from which on their number is taken as normal; below as Poisson's, whose tail is heavier."""

SPARSE = BITS // 16
"""With fewer bits set than this, their numbers (two bytes each) are shorter than all bits."""


def hashed(ids: Sequence[str]) -> Hashes:
    """A hash of every id, uint32[n], the same in every process: CRC-32, mixed (MurmurHash3's last step).

    CRC-32 alone tells ids apart, but spreads consecutive numbers more evenly than chance would.
    """
    mixed = np.fromiter(map(crc32, map(str.encode, ids)), np.uint32, len(ids))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed ^= mixed >> np.uint32(shift)
        mixed *= np.uint32(factor)
    mixed ^= mixed >> np.uint32(16)
    return mixed


@dataclass(frozen=True, slots=True)
class Repeated:
    """What a sketch says of the records in it.

    Attributes:
        share: of the records, those whose id was there before; 0 … 1.
        error: the share's standard error.
        p_value: the chance of so many equal bits if no id came twice.

    """

    share: float
    error: float
    p_value: float


@dataclass(frozen=True, slots=True, eq=False)
class IdSketch:
    """Ids of records: how many records each tier got, int64[4], and its bits, uint8[2048]."""

    records: Ints
    bits: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, hashes: Hashes) -> IdSketch:
        """Of records with these ids' hashes."""
        highest = hashes >> np.uint32(23)
        at = _START[highest] + (hashes & _MASK[highest])
        records = np.bincount(_TIER, weights=np.bincount(highest, minlength=len(_TIER)))
        return cls(records.astype(np.int64), _packed(at))

    def __or__(self, other: IdSketch) -> IdSketch:
        """Of the records of both."""
        return IdSketch(self.records + other.records, self.bits | other.bits)

    def repeated(self) -> Repeated | None:
        """How many of the records came with an id that was there before; None where there are too many to tell.

        Up to some 10,000 records all of them are looked at; of more only every eighth, 64th or 512th id. Without
        repetition the number of bits set is the occupancy problem's: its mean and variance are known exactly.
        """
        held = np.add.reduceat(np.unpackbits(self.bits), STARTS, dtype=np.int64)
        too_full = np.flatnonzero(held > FULL * SIZES)
        first = int(too_full[-1]) + 1 if len(too_full) else 0
        size, held, records = (values[first:].astype(np.float64) for values in (SIZES, held, self.records))
        if not len(size) or not records.sum():
            return None
        distinct = size * np.log(size / (size - held))
        share = max(0.0, 1.0 - float(distinct.sum() / records.sum()))
        load = distinct / size
        error = float(np.sqrt((size * (np.expm1(load) - load)).sum()) / records.sum())
        return Repeated(share, error, _chance(size, held, records))

    def to_text(self) -> str:
        """The sketch as base64: the tiers' records, then the bits, or the numbers of those set where they are few."""
        found = np.flatnonzero(np.unpackbits(self.bits))
        held = found.astype("<u2").tobytes() if len(found) < SPARSE else self.bits.tobytes()
        return base64.b64encode(self.records.astype("<u4").tobytes() + held).decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> IdSketch:
        """The sketch of `to_text`.

        Raises:
            FormatError: damaged.

        """
        try:
            data = base64.b64decode(text)
            records, rest = np.frombuffer(data[:16], dtype="<u4").astype(np.int64), data[16:]
            if len(records) != len(SIZES) or len(rest) > BITS // 8:
                raise ValueError(f"{len(data)} bytes")
            if len(rest) == BITS // 8:
                return cls(records, np.frombuffer(rest, dtype=np.uint8))
            return cls(records, _packed(np.frombuffer(rest, dtype="<u2").astype(np.int64)))
        except (ValueError, IndexError) as error:
            raise FormatError(
                f"a pane's record ids are damaged: {error}", mend="see who else writes to drift.panes"
            ) from error


def both(one: IdSketch | None, other: IdSketch | None) -> IdSketch | None:
    """The sketch of both; none where either was counted without."""
    return one | other if one is not None and other is not None else None


def _packed(at: Ints) -> npt.NDArray[np.uint8]:
    bits = np.zeros(BITS, dtype=np.bool_)
    bits[at] = True
    return np.packbits(bits)


def _chance(size: Floats, held: Floats, records: Floats) -> float:
    """P(so few bits or fewer), of so many balls thrown into so many boxes."""
    one, two = (1 - 1 / size) ** records, (1 - 2 / size) ** records
    by_chance = float((records - size * (1 - one)).sum())
    repetitions = float((records - held).sum())
    if by_chance < MANY:
        return float(special.pdtrc(repetitions - 1, by_chance)) if repetitions >= 1 else 1.0
    variance = float((size * (size - 1) * two + size * one - (size * one) ** 2).sum())
    return float(special.ndtr(-(repetitions - by_chance) / np.sqrt(max(variance, 1.0))))
