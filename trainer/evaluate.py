"""RMSE, MAE and R² with their intervals, by Student and by bootstrap, and the mean of rows that share entities.

Pure arithmetic. What is compared with what, and what follows, is `longshore.trainer.gate`'s decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from longshore.columns import Floats
from longshore.trainer.split import Indexes

CONFIDENCE = 0.95
RESAMPLES = 1_000
RESAMPLES_AT_ONCE = 50
"""Their counts of every entity are held together: 50 of 100,000 entities take 40 MB."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over rows, its standard error with entities as observations, and the degrees of freedom (entities − 1)."""

    value: float
    error: float
    freedom: int

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Student's two-sided interval; a single entity has none: (−∞, ∞)."""
        if self.freedom < 1:
            return -np.inf, np.inf
        reach = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach


def clustered_mean(values: Floats, groups: Indexes) -> Mean:
    """The mean of `values`, rows of one group counted as one observation: cluster-robust (Liang & Zeger 1986)."""
    center = float(values.mean())
    sums = np.bincount(groups, weights=values - center)
    sums = sums[np.bincount(groups) > 0]
    count = len(sums)
    if count < 2:
        return Mean(center, np.inf, 0)
    return Mean(center, float(np.sqrt(count / (count - 1) * np.sum(sums**2))) / len(values), count - 1)


def mean_interval(values: Floats, groups: Indexes, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Student's interval of the mean; with one row a group it is the textbook's mean ± t(n − 1) · s/√n."""
    return clustered_mean(values, groups).interval(confidence)


def metrics(prediction: Floats, target: Floats, groups: Indexes) -> dict[str, Any]:
    """`rmse`, `mae`, `r2` on n rows, each with a 95 % interval [lo, hi]; a constant target has no R² (None).

    RMSE: the root of the interval of the mean squared error. R²: the delta method on 1 − Σe²/Σ(y − ȳ)².
    """
    squared = (prediction - target) ** 2
    absolute = np.abs(prediction - target)
    low, high = mean_interval(squared, groups)
    return {
        "rmse": float(np.sqrt(squared.mean())),
        "rmse_interval": [float(np.sqrt(max(low, 0.0))), float(np.sqrt(high))],
        "mae": float(absolute.mean()),
        "mae_interval": _clipped(mean_interval(absolute, groups)),
        **_r2(squared, (target - target.mean()) ** 2, groups),
    }


def bootstrap(
    prediction: Floats, target: Floats, groups: Indexes, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """95 % percentile intervals of `rmse`, `mae` and `r2` by drawing whole entities with replacement.

    The same seed gives the same intervals. A constant target has no interval of R² (None).
    """
    error, spread = prediction - target, target - target.mean()
    columns = [np.ones(len(target)), error**2, np.abs(error), spread, spread**2]
    sums = np.column_stack([np.bincount(groups, weights=column) for column in columns])
    sums = sums[sums[:, 0] > 0]
    rng, drawn = np.random.default_rng(seed), []
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        drawn.append(_resampled(rng, min(RESAMPLES_AT_ONCE, resamples - start), len(sums)) @ sums)
    rows, squared, absolute, first, second = np.concatenate(drawn).T
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1 - squared / (second - first**2 / rows)
    found = {"rmse": np.sqrt(squared / rows), "mae": absolute / rows, "r2": r2}
    percentiles = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    return {
        "resamples": resamples,
        **{
            f"{name}_interval": np.percentile(values, percentiles).tolist() if np.isfinite(values).all() else None
            for name, values in found.items()
        },
    }


def _resampled(rng: np.random.Generator, draws: int, entities: int) -> Floats:
    """How often each of `entities` occurs in each of `draws` samples with replacement, float64[draws, entities]."""
    chosen = rng.integers(0, entities, size=(draws, entities)) + entities * np.arange(draws)[:, np.newaxis]
    return np.bincount(chosen.ravel(), minlength=draws * entities).reshape(draws, entities).astype(np.float64)


def _r2(squared: Floats, spread: Floats, groups: Indexes) -> dict[str, Any]:
    total = float(spread.mean())
    if total == 0:
        return {"r2": None, "r2_interval": None}
    unexplained = float(squared.mean()) / total
    low, high = mean_interval((squared - unexplained * spread) / total, groups)
    return {"r2": 1 - unexplained, "r2_interval": [1 - unexplained - high, min(1 - unexplained - low, 1.0)]}


def _clipped(interval: tuple[float, float]) -> list[float]:
    return [max(interval[0], 0.0), interval[1]]
