"""The bins of all streams side by side in one flat array: what makes a window one vector and a sum one call.

Pure shapes. What the counts mean is `longshore.monitor.distances` and `.significance`'s matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from longshore.profile import Floats, Ints, Profile
from longshore.schema import Kind


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where each stream's bins lie in a flat array of T bins, and which of them make up a coarse bin.

    Attributes:
        starts: int64[streams], the first bin of each stream.
        sizes: int64[streams], its bins, the missing one last.
        coarse_starts: int64[C], the first bin of every coarse (decile or category) bin.
        coarse_sizes: int64[streams], coarse bins of each stream.
        ranked: bool[T], the bins with a value of a numeric stream: those that have an order.

    """

    starts: Ints
    sizes: Ints
    coarse_starts: Ints
    coarse_sizes: Ints
    ranked: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, coarse: Sequence[Ints], kinds: Sequence[Kind]) -> Layout:
        """The layout of streams given each one's map from bins to coarse bins, and its kind."""
        sizes = np.array([len(part) for part in coarse], dtype=np.int64)
        starts = np.r_[0, np.cumsum(sizes)[:-1]]
        first = [at + _firsts(part) for at, part in zip(starts, coarse, strict=True)]
        ranked = [
            np.r_[np.full(len(part) - 1, kind is Kind.NUMERIC), False] for part, kind in zip(coarse, kinds, strict=True)
        ]
        return cls(
            starts=starts.astype(np.int64),
            sizes=sizes,
            coarse_starts=np.concatenate(first),
            coarse_sizes=np.array([len(part) for part in first], dtype=np.int64),
            ranked=np.concatenate(ranked),
        )

    @classmethod
    def of_tests(cls, coarse: Sequence[Ints], ranks: Sequence[Ints], kinds: Sequence[Kind]) -> Layout:
        """The layout of the bins that tests need: twentieths, made up into deciles."""
        return cls.of([part[_firsts(rank)] for part, rank in zip(coarse, ranks, strict=True)], kinds)

    @property
    def total(self) -> int:
        """T, the number of bins of all streams."""
        return int(self.sizes.sum())

    def coarse(self, counts: Ints) -> Ints:
        """Coarse counts, int64[…, C], of counts int64[…, T]."""
        return np.add.reduceat(counts, self.coarse_starts, axis=-1)

    def per_stream_coarse(self, values: Floats) -> Floats:
        """Sums by stream, float64[…, streams], of values by coarse bin, float64[…, C]."""
        starts = np.r_[0, np.cumsum(self.coarse_sizes)[:-1]]
        return np.add.reduceat(values, starts, axis=-1)

    def per_stream(self, values: npt.NDArray[np.float64]) -> Floats:
        """Sums by stream, float64[…, streams], of values by bin, float64[…, T]."""
        return np.add.reduceat(values, self.starts, axis=-1)

    def split(self, flat: Ints) -> list[Ints]:
        """A flat array of T as one array per stream."""
        return np.split(flat, self.starts[1:])


@dataclass(frozen=True, slots=True, eq=False)
class FineLayout:
    """The fine bins of a profile's streams, side by side: what panes count; and the tests' bins they add up to.

    Attributes:
        starts: int64[streams], the first fine bin of each stream.
        sizes: int64[streams], its fine bins.
        tests: the layout of the bins that tests need.
        test_starts: int64[tests.total], the first fine bin of each of them.

    """

    starts: Ints
    sizes: Ints
    tests: Layout
    test_starts: Ints

    @classmethod
    def of_profile(cls, profile: Profile) -> FineLayout:
        """The layout of a profile's streams, in its order."""
        streams = profile.streams
        fine = Layout.of([stream.ranks for stream in streams], [stream.kind for stream in streams])
        tests = Layout.of_tests(*zip(*((s.coarse, s.ranks, s.kind) for s in streams), strict=True))
        return cls(starts=fine.starts, sizes=fine.sizes, tests=tests, test_starts=fine.coarse_starts)

    @property
    def total(self) -> int:
        """T, the number of fine bins of all streams."""
        return int(self.sizes.sum())

    def for_tests(self, counts: Ints) -> Ints:
        """The tests' counts, int64[…, tests.total], of fine ones, int64[…, T]."""
        return np.add.reduceat(counts, self.test_starts, axis=-1)

    def split(self, flat: Ints) -> list[Ints]:
        """A flat array of T as one array per stream."""
        return np.split(flat, self.starts[1:])


def side_by_side(maps: Sequence[Ints], bins: Sequence[Ints]) -> Ints:
    """Each row's place among coarser bins of all streams side by side, int64[rows, streams].

    `maps` has each stream's ascending map to its coarser bins, `bins` the rows' bins in each stream.
    """
    starts = np.cumsum([0, *(int(part[-1]) + 1 for part in maps[:-1])])
    parts = zip(starts, maps, bins, strict=True)
    return np.stack([start + part[of_stream] for start, part, of_stream in parts], axis=1)


def _firsts(part: Ints) -> Ints:
    """The positions where an ascending map takes a new value."""
    return np.flatnonzero(np.r_[True, np.diff(part) != 0])
