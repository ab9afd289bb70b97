"""The five distances as their formulas (docs/drift.md, definitions 1). Pure functions of counts or samples.

Shares are of decile or category bins, with half a count added to every bin. Whether a distance is more than chance is
`longshore.monitor.significance`'s question.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy import stats

from longshore.profile import Floats, Ints


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


def wasserstein_of_bins(reference: tuple[Ints, Ints], current: tuple[Ints, Ints], scale: float) -> float:
    """∫|F−G|dx with each bin's records at that bin's own mean; each side is (counts, fixed-point sums) of value bins.

    An approximation from counts: a few percent off the samples' distance (docs/drift.md).
    """
    (p_counts, p_sums), (q_counts, q_sums) = reference, current
    p, q = p_counts > 0, q_counts > 0
    if not p.any() or not q.any():
        return 0.0
    p_at, q_at = p_sums[p] / p_counts[p] / scale, q_sums[q] / q_counts[q] / scale
    return float(stats.wasserstein_distance(p_at, q_at, p_counts[p], q_counts[q]))


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
    return statistic, float(stats.kstwobign.sf(statistic * np.sqrt(n * m / (n + m))))


def kolmogorov_smirnov_nominal(reference: Floats, current: Floats) -> float:
    """max|F−G| over categories in the order of the arrays: largest reference share first, then unseen, then missing."""
    return float(np.abs(np.cumsum(current - reference)).max())


def chi_squared_p_value(reference: Ints, current: Ints) -> float:
    """Pearson's test that two rows of counts have the same shares; bins empty on both sides are left out."""
    table = np.vstack([reference, current])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)
