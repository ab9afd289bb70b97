"""One stream of a window beside its reference: what its tests read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from longshore.profile import Ints, StreamProfile

WIDTH = 1.95
"""Of the Kolmogorov-Smirnov distance: 99.9 % of two samples of one population are nearer than this over √(nm/(n+m))."""

SINGLE = 20
"""So many values before they can be told to be one number."""

UNEVEN = 0.01
"""Added to it: values within a bin are taken as spread evenly."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A stream of a window: its profile, the window's fine counts and fixed-point sums, int64[bins] each."""

    profile: StreamProfile
    counts: Ints
    sums: Ints

    @property
    def name(self) -> str:
        """The stream's."""
        return self.profile.name

    @property
    def values(self) -> Ints:
        """The window's counts without *missing*."""
        return self.counts[:-1]

    @property
    def reference(self) -> Ints:
        """The reference's counts without *missing*."""
        return self.profile.counts[:-1]

    def beyond(self) -> npt.NDArray[np.bool_]:
        """Which of the value bins lie outside all that the reference held: the outermost ones, where it has none."""
        found = np.zeros(len(self.values), dtype=np.bool_)
        found[[0, -1]] = self.reference[[0, -1]] == 0
        return found

    def single(self, which: npt.NDArray[np.bool_], factor: int = 1) -> bool:
        """Whether the values in some bins seem to be one number: their sum is a multiple of how many there are.

        Different values come to that once in so many times. They are counted in steps: those of the reference's sums
        (whole numbers have large ones), times `factor` where the values were multiplied by it.
        """
        count, total = int(self.values[which].sum()), int(self.sums[:-1][which].sum())
        step = int(np.gcd.reduce(self.profile.sums)) or 1
        step = next(each for each in (step * factor, step, 1) if total % each == 0)
        return count >= SINGLE and total // step % count == 0

    def magnitude(self, which: npt.NDArray[np.bool_] | slice) -> float:
        """The mean absolute value of the window in some value bins; 0 where there are none. In the stream's unit."""
        count = int(self.values[which].sum())
        return float(np.abs(self.sums[:-1][which]).sum()) / self.profile.scale / count if count else 0.0


def alike(reference: Ints, current: Ints) -> bool:
    """Whether two sets of counts of the same bins may well be of one population; nothing at all is like anything."""
    m, n = int(reference.sum()), int(current.sum())
    if n == 0 or m == 0:
        return True
    gap = float(np.max(np.abs(np.cumsum(reference) / m - np.cumsum(current) / n)))
    return gap <= nearness(n, m)


def nearness(rows: int, reference_rows: int) -> float:
    """The distance of distributions up to which two samples are `alike`."""
    return UNEVEN + WIDTH * float(np.sqrt(1 / rows + 1 / reference_rows))
