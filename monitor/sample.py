"""A few whole rows of every pane, for what counts cannot tell: a bottom-k sample that merges exactly. Pure.

Each row has a priority, 64 bits mixed from all that it holds, and the rows of smallest priority are kept (bottom-k,
Cohen & Kaplan 2007): a uniform sample of whatever was counted, without a random number. Which rows those are depends on
the rows alone, not on the order, the partitions or the pieces they came in; and the same rows twice are there once.
An offset would do for a priority too, but it differs with the partition a record lands in, and asking every message for
its own costs more than the mixing.

What a sample is worth: all rows below its `bound`. Of several samples the smallest bound counts.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt

from longshore.errors import FormatError
from longshore.monitor.frames import usable
from longshore.profile import Floats, Ints, Profile
from longshore.schema import Kind

Words = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint16]

ALL = 2**64 - 1
"""The bound of a sample that leaves no row out."""

MOST_BYTES = 8_192
"""Of a pane's sample, before it is text: with its counts a pane stays below 64 KiB."""

MOST_OF_WINDOW = 1_000
"""Rows of a window's sample: what a test of whole rows takes rises with them."""

SLACK = 8
"""Rows looked at beyond those that may stay, since some may be there twice."""

_MIX = tuple(np.uint64(n) for n in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_STEP = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Rows with their priorities.

    Attributes:
        bound: every row with a priority below it is here, and no other.
        priorities: uint64[m], ascending, all different.
        numbers: float32[m, numeric streams], in the profile's order; NaN is missing.
        codes: uint16[m, nominal streams], the bins of their values.

    """

    bound: int
    priorities: Words
    numbers: Numbers
    codes: Codes

    def __len__(self) -> int:
        return len(self.priorities)

    @classmethod
    def nothing(cls, shape: tuple[int, int], bound: int = ALL) -> Sample:
        """No rows: because there are none, or, with a `bound` of 0, because nobody knows."""
        numeric, nominal = shape
        return cls(bound, np.zeros(0, np.uint64), np.zeros((0, numeric), np.float32), np.zeros((0, nominal), np.uint16))

    def to_text(self) -> str:
        """The sample as base64 of its arrays, little-endian, one after the other."""
        arrays = (self.priorities.astype("<u8"), self.numbers.astype("<f4"), self.codes.astype("<u2"))
        data = self.bound.to_bytes(8, "little") + b"".join(array.tobytes() for array in arrays)
        return base64.b64encode(data).decode("ascii")

    @classmethod
    def from_text(cls, text: str, shape: tuple[int, int]) -> Sample:
        """The sample of `to_text`; of an empty text one of which nobody knows.

        Raises:
            FormatError: damaged, or of other streams.

        """
        if not text:
            return cls.nothing(shape, 0)
        try:
            data = base64.b64decode(text, validate=True)
            count, over = divmod(len(data) - 8, row_bytes(shape))
            if over or count < 0:
                raise ValueError(f"{len(data)} bytes are no rows of {shape[0]} numbers and {shape[1]} categories")
            ends = 8 + np.cumsum([8 * count, 4 * count * shape[0]])
            return cls(
                int.from_bytes(data[:8], "little"),
                np.frombuffer(data[8 : ends[0]], "<u8").astype(np.uint64),
                np.frombuffer(data[ends[0] : ends[1]], "<f4").astype(np.float32).reshape(count, shape[0]),
                np.frombuffer(data[ends[1] :], "<u2").astype(np.uint16).reshape(count, shape[1]),
            )
        except ValueError as error:
            raise FormatError(
                f"a pane's sample is damaged: {error}", mend="see who else writes to drift.panes"
            ) from error


def shape_of(profile: Profile) -> tuple[int, int]:
    """How many numeric and nominal streams the profile has."""
    numeric = sum(stream.kind is Kind.NUMERIC for stream in profile.streams)
    return numeric, len(profile.streams) - numeric


def row_bytes(shape: tuple[int, int]) -> int:
    """What a row of so many numeric and nominal streams takes."""
    return 8 + 4 * shape[0] + 2 * shape[1]


def rows_of_a_pane(profile: Profile, wanted: int) -> int:
    """How many rows a pane's sample has at most: as many as wanted, or as `MOST_BYTES` hold."""
    return min(wanted, MOST_BYTES // row_bytes(shape_of(profile)))


def together(samples: Sequence[Sample], most: int) -> Sample:
    """The sample of all their rows, at most `most`: the same in any order, any grouping, and with any given twice."""
    bound = min(sample.bound for sample in samples)
    priorities, first = np.unique(np.concatenate([sample.priorities for sample in samples]), return_index=True)
    if len(priorities) > most:
        bound = min(bound, int(priorities[most]))
    kept = first[: np.searchsorted(priorities, np.uint64(bound), side="left")]
    numbers, codes = (np.concatenate([getattr(s, name) for s in samples]) for name in ("numbers", "codes"))
    return Sample(bound, priorities[: len(kept)], numbers[kept], codes[kept])


def both(one: Sample | None, other: Sample | None, most: int = MOST_OF_WINDOW) -> Sample | None:
    """The sample of the rows of both; None where samples are not looked at."""
    given = [sample for sample in (one, other) if sample is not None]
    return together(given, most) if given else None


def priorities_of(times: Ints, values: Floats, codes: Ints) -> Words:
    """Each row's priority, uint64[n]: of its time, its numbers, float64[fields, n], and its categories, int64[…, n].

    A sum of all of them, each by an odd factor of its own, mixed as splitmix64 does (Steele, Lea & Flood 2014).
    """
    words = (row.view(np.uint64) for row in (times, *values, *codes))
    mixed = np.zeros(len(times), dtype=np.uint64)
    for i, row in enumerate(words, start=1):
        mixed += row * _factor(i)
    mixed ^= mixed >> np.uint64(30)
    mixed *= _MIX[0]
    mixed ^= mixed >> np.uint64(27)
    mixed *= _MIX[1]
    mixed ^= mixed >> np.uint64(31)
    return mixed


@cache
def _factor(i: int) -> np.uint64:
    """The i-th odd factor: splitmix64's stream, made odd."""
    word = i * _STEP % 2**64
    for shift, mix in ((30, int(_MIX[0])), (27, int(_MIX[1]))):
        word = (word ^ word >> shift) * mix % 2**64
    return np.uint64(word ^ word >> 31 | 1)


def narrow(values: Floats) -> Numbers:
    """Values as a sample holds them: float32, NaN where they are not `usable`, the farthest ones cut to what fits."""
    most = float(np.finfo(np.float32).max)
    with np.errstate(invalid="ignore"):
        return np.where(usable(values), np.clip(values, -most, most), np.nan).astype(np.float32)


RowsAt = Callable[[Ints], tuple[Numbers, Codes]]
"""The numbers and codes of the rows at some places."""


@dataclass(slots=True, eq=False)
class Growing:
    """A pane's sample while it is counted: rows that may stay are gathered, and put in order once there are many.

    `ceiling`: no row with this priority or a higher one can stay.
    """

    most: int
    kept: Sample
    ceiling: int = ALL
    waiting: list[Sample] = field(default_factory=list)

    def lowest(self, priorities: Words, near: Ints) -> Ints:
        """Of the rows at the places `near` those that may stay: all up to a priority, whatever else is to come."""
        if len(near) <= 2 * self.most:
            return near
        for most in (self.most + SLACK, 2 * self.most):
            kth = min(most, len(near) - 1)
            last = np.partition(priorities[near], kth)[kth]
            found: Ints = near[priorities[near] <= last]
            different = 1 + np.count_nonzero(np.diff(np.sort(priorities[found])))  # some may be there twice
            if different > self.most:
                self.ceiling = min(self.ceiling, int(last) + 1)
                return found
        return near

    def take(self, priorities: Words, numbers: Numbers, codes: Codes) -> None:
        """Take in rows that may stay."""
        self.waiting.append(Sample(self.kept.bound, priorities, numbers, codes))  # not in order yet
        if sum(map(len, self.waiting)) > 4 * self.most:
            self.sample()

    def sample(self) -> Sample:
        """All of it so far."""
        if self.waiting:
            self.kept, self.waiting = together([self.kept, *self.waiting], self.most), []
            self.ceiling = min(self.ceiling, self.kept.bound)
        return self.kept


def grow(panes: Sequence[Growing], ends: Sequence[int], priorities: Words, rows_at: RowsAt) -> None:
    """Take in n rows, the panes' one after the other up to `ends`; `rows_at` is asked once, for those that may stay."""
    ceilings = np.array([pane.ceiling for pane in panes], dtype=np.uint64)
    near = np.flatnonzero(priorities < np.repeat(ceilings, np.diff(ends, prepend=0)))
    cuts = [0, *np.searchsorted(near, ends).tolist()]
    parts = [pane.lowest(priorities, near[at:end]) for pane, at, end in zip(panes, cuts, cuts[1:], strict=False)]
    chosen = np.concatenate(parts)
    if not len(chosen):
        return
    words, (numbers, codes) = priorities[chosen], rows_at(chosen)
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    for pane, start, end in zip(panes, starts, starts[1:], strict=False):
        if end > start:
            pane.take(words[start:end], numbers[start:end], codes[start:end])
