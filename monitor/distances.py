"""The five distances as their formulas (docs/drift.md, definitions 1). Pure functions of counts or samples.

Shares are of decile or category bins, with half a count added to every bin. Whether a distance is more than chance is
`longshore.monitor.significance`'s question.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from longshore.profile import Floats, Ints

FEW = 8
"""So many records of a bin are taken to be at their mean, more to be spread over it: what comes nearest to samples."""


def shares(counts: Ints) -> Floats:
    """Shares of bins with Jeffreys' half count added to each, so that none is zero; float64, sums to 1."""
    added = counts + 0.5
    return np.asarray(added / added.sum(), dtype=np.float64)


def population_stability_index(reference: Floats, current: Floats) -> float:
    """Symmetrised relative entropy of two sets of shares over the same bins, in nats (Yurdakul 2018)."""
    return float(np.sum((current - reference) * np.log(current / reference)))


def relative_entropy(reference: Floats, current: Floats) -> float:
    """Kullback-Leibler divergence of the current shares from the reference's, Σ q·ln(q/p), in nats."""
    return max(0.0, float(np.sum(current * np.log(current / reference))))


def jensen_shannon(reference: Floats, current: Floats) -> float:
    """Jensen-Shannon *distance* of two sets of shares: √ of the divergence in bits, 0…1 (Endres & Schindelin 2003)."""
    middle = (reference + current) / 2
    divergence = reference @ np.log2(reference / middle) + current @ np.log2(current / middle)
    return math.sqrt(max(0.0, float(divergence) / 2))


def total_variation(reference: Floats, current: Floats) -> float:
    """Half of Σ|q−p|: the Wasserstein distance of nominal values when any two differ by 1."""
    return float(np.abs(current - reference).sum() / 2)


def wasserstein(reference: Floats, current: Floats) -> float:
    """∫|F−G|dx of two samples, in their unit; 0 where a side is empty (its missing bin tells)."""
    if not len(reference) or not len(current):
        return 0.0
    return float(stats.wasserstein_distance(reference, current))


def wasserstein_of_bins(edges: Floats, reference: tuple[Ints, Ints], current: tuple[Ints, Ints], scale: float) -> float:
    """∫|F−G|dx from counts and sums: `edges` float64[e], each side (counts, fixed-point sums) of its e+1 value bins.

    F and G are known at the edges, and the sums give ∫(F−G)dx over each bin exactly. So a bin in which F−G keeps its
    sign is exact, and the outermost bins are, where one side has nothing. One in which it changes is taken as its
    records say: few are at their mean, many spread evenly; it is never less than its exact net (docs/drift.md).
    """
    (p_counts, p_sums), (q_counts, q_sums) = reference, current
    m, n = int(p_counts.sum()), int(q_counts.sum())
    if not m or not n:
        return 0.0
    if not len(edges):
        return abs(float(p_sums.sum() / m - q_sums.sum() / n)) / scale
    apart = np.cumsum(p_counts)[:-1] / m - np.cumsum(q_counts)[:-1] / n
    # ∫(F−G) over a bin: what lies below it for its whole width, and its own records from where each is.
    within = _to_upper(edges, p_counts, p_sums / scale) / m - _to_upper(edges, q_counts, q_sums / scale) / n
    net = np.abs(np.r_[within[0], apart[:-1] * np.diff(edges) + within[1:-1], within[-1]])
    sides = [(counts[1:-1], sums[1:-1] / scale, rows) for counts, sums, rows in ((*reference, m), (*current, n))]
    drawn, crosses = _drawn(edges, apart[:-1], *sides)
    inner = np.where(crosses, np.maximum(drawn, net[1:-1]), net[1:-1])
    return float(net[0] + inner.sum() + net[-1])


Side = tuple[Ints, Floats, int]
"""A side's counts and sums of the inner bins, and all its records."""


def _drawn(edges: Floats, start: Floats, p: Side, q: Side) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """∫|F−G|dx of the inner bins, drawn from `start` as lines with a step at the mean of `FEW` records or fewer.

    Returns float64[e−1], and whether the drawing changes its sign, bool[e−1].
    """
    low, high = edges[:-1], edges[1:]
    widths = high - low
    (p_step, p_rest, p_at), (q_step, q_rest, q_at) = (_steps(low, high, side) for side in (p, q))
    p_first = p_at <= q_at
    first, second = np.minimum(p_at, q_at), np.maximum(p_at, q_at)
    corners = [start]
    for run, step in (
        (first - low, np.where(p_first, p_step, -q_step)),
        (second - first, np.where(p_first, -q_step, p_step)),
        (high - second, None),
    ):
        part = np.divide(run, widths, out=np.zeros_like(widths), where=widths > 0)
        corners.append(corners[-1] + (p_rest - q_rest) * part)
        if step is not None:
            corners.append(corners[-1] + step)
    drawn = sum(
        _under_line(corners[2 * i], corners[2 * i + 1], run)
        for i, run in enumerate((first - low, second - first, high - second))
    )
    return np.asarray(drawn), (np.max(corners, axis=0) > 0) & (np.min(corners, axis=0) < 0)


def _steps(low: Floats, high: Floats, side: Side) -> tuple[Floats, Floats, Floats]:
    """A side's share in each bin that stands as a step, the rest that is spread, and where the step is."""
    counts, sums, rows = side
    few = counts <= FEW
    at = np.clip(np.divide(sums, counts, out=(low + high) / 2, where=counts > 0), low, high)
    return np.where(few, counts / rows, 0.0), np.where(few, 0.0, counts / rows), at


def _under_line(left: Floats, right: Floats, width: Floats) -> Floats:
    """∫|y|dx under a line from `left` to `right`."""
    total = np.abs(left) + np.abs(right)
    triangles = np.divide(left**2 + right**2, 2 * total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(np.where(left * right < 0, triangles, total / 2) * width)


def _to_upper(edges: Floats, counts: Ints, sums: Floats) -> Floats:
    """Σ(upper edge − x) of each bin's records; of the open last bin −Σ(x − its lower edge)."""
    at = np.r_[edges, edges[-1]]
    return np.asarray(counts * at - sums, dtype=np.float64)


def kolmogorov_smirnov(reference: Floats, current: Floats) -> tuple[float, float]:
    """max|F−G| of two samples and its p-value (exact for small samples, as in scipy); (0, 1) where a side is empty."""
    if not len(reference) or not len(current):
        return 0.0, 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy tells that it fell back to the asymptotic p-value
        result = stats.ks_2samp(reference, current)
    return float(result.statistic), float(result.pvalue)


def kolmogorov_smirnov_of_bins(reference: Ints, current: Ints) -> tuple[float, float]:
    """max|F−G| at the bin edges and its asymptotic p-value, from counts of ordered value bins."""
    m, n = int(reference.sum()), int(current.sum())
    if not m or not n:
        return 0.0, 1.0
    statistic = float(np.abs(np.cumsum(current) / n - np.cumsum(reference) / m).max())
    return statistic, float(special.kolmogorov(statistic * np.sqrt(n * m / (n + m))))


def kolmogorov_smirnov_nominal(reference: Floats, current: Floats) -> float:
    """max|F−G| over categories in the order of the arrays: largest reference share first, then unseen, then missing."""
    return float(np.abs(np.cumsum(current - reference)).max())


def chi_squared(reference: Ints, current: Ints) -> tuple[float, float]:
    """Pearson's χ² and its p-value, that two rows of counts have the same shares; bins empty on both sides left out."""
    table = np.vstack([reference, current]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    rows, bins = table.sum(axis=1, keepdims=True), table.sum(axis=0)
    if table.shape[1] < 2 or not rows.all():
        return 0.0, 1.0
    expected = rows * bins / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, float(special.chdtrc(table.shape[1] - 1, statistic))


def hellinger(reference: Floats, current: Floats) -> float:
    """Hellinger distance of two sets of shares, √(1 − Σ√(pq)), 0…1 (Hellinger 1909)."""
    return math.sqrt(max(0.0, 1.0 - float(np.sqrt(reference * current).sum())))
