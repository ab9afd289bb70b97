"""Intervals that respect clusters: windows of one reference share its noise, so the reference is the unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval, and how many references and cases it stands on."""

    value: float
    low: float
    high: float
    clusters: int
    cases: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def share(groups: Sequence[npt.NDArray[np.bool_]]) -> Estimate:
    """The share of True, with the t-interval of the references' shares."""
    shares = np.array([group.mean() for group in groups], dtype=np.float64)
    sizes = np.array([len(group) for group in groups])
    value = float(np.average(shares, weights=sizes))
    many = len(shares)
    if many < 2:
        low, high = stats.binomtest(int(groups[0].sum()), int(sizes[0])).proportion_ci()
        return Estimate(value, float(low), float(high), many, int(sizes.sum()))
    deviation = np.sqrt(np.average((shares - value) ** 2, weights=sizes) * many / (many - 1))
    half = float(stats.t.ppf(0.975, many - 1) * deviation / np.sqrt(many))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), many, int(sizes.sum()))


def bootstrap(clusters: int, figure: Callable[[npt.NDArray[np.int64]], float], seed: int = 0) -> tuple[float, float]:
    """The percentile interval of a figure of resampled clusters."""
    random = np.random.default_rng(seed)
    values = [figure(random.integers(0, clusters, clusters)) for _ in range(RESAMPLES)]
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def ratio_of_sums(parts: Sequence[tuple[float, float]]) -> Estimate:
    """Σ above / Σ below of references, with a bootstrap interval by reference."""
    above, below = np.array([a for a, _ in parts]), np.array([b for _, b in parts])
    low, high = bootstrap(len(parts), lambda i: float(above[i].sum() / max(below[i].sum(), 1e-9)))
    return Estimate(float(above.sum() / max(below.sum(), 1e-9)), low, high, len(parts), int(below.sum()))


def median(groups: Sequence[npt.NDArray[np.float64]]) -> Estimate:
    """The median of all, with a bootstrap interval by reference (of the cases, where one reference holds them all)."""
    together = np.concatenate(groups) if groups else np.zeros(0)
    if not len(together):
        return Estimate(float("nan"), float("nan"), float("nan"), len(groups), 0)
    units = list(groups) if len(groups) > 1 else [np.array([value]) for value in together]
    low, high = bootstrap(len(units), lambda i: float(np.median(np.concatenate([units[k] for k in i]))))
    return Estimate(float(np.median(together)), low, high, len(groups), len(together))
