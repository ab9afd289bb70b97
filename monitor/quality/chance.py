"""The tests behind faults: exact, or known to be on the safe side, whatever the distribution. Pure arithmetic."""

from __future__ import annotations

import numpy as np
from scipy import special

from longshore.profile import Floats, Ints


def at_least(found: int, rows: int, reference: int, reference_rows: int) -> float:
    """P(`found` or more of `rows` records) given how many there are in both samples, if both are of one population.

    Fisher's exact test (the hypergeometric tail): it holds whatever the true share is, the reference's own sampling
    error included.

    >>> round(at_least(3, 3, 0, 3), 4)  # of 20 ways to deal three among six, one
    0.05
    """
    both, everything = found + reference, rows + reference_rows
    if found <= max(0, both - reference_rows):
        return 1.0
    k = np.arange(found, min(both, rows) + 1, dtype=np.float64)
    ways = _choose(both, k) + _choose(everything - both, rows - k) - _choose(everything, np.full(1, float(rows)))
    return float(min(1.0, np.exp(ways).sum()))


def least_unlikely(limit: float, rows: int, reference: int, reference_rows: int) -> int:
    """The smallest number whose `at_least` is at or below `limit`; `rows` + 1 where there is none."""
    low, high = 0, rows + 1
    while low < high:
        middle = (low + high) // 2
        if at_least(middle, rows, reference, reference_rows) <= limit:
            high = middle
        else:
            low = middle + 1
    return low


def largest_gap(reference: Floats, current: Floats) -> float:
    """The Kolmogorov-Smirnov distance of two distributions known at the same points."""
    return float(np.max(np.abs(current - reference), initial=0.0))


def gap_p(gap: float, rows: int, reference_rows: int) -> float:
    """P(a Kolmogorov-Smirnov distance of `gap` or more) of two samples of one population, asymptotically."""
    return float(special.kolmogorov(gap * np.sqrt(rows * reference_rows / (rows + reference_rows))))


def cumulative(counts: Ints) -> Floats:
    """The distribution at every bin's upper edge, float64[n], of counts."""
    total = counts.sum()
    return np.cumsum(counts) / total if total else np.zeros(len(counts))


def _choose(n: int, k: Floats) -> Floats:
    return np.asarray(special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0))
