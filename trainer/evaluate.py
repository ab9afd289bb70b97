"""RMSE, MAE and R² with their intervals, and the interval of a mean over rows that share entities.

Pure arithmetic. What is compared with what, and what follows, is `longshore.trainer.gate`'s decision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from longshore.columns import Floats
from longshore.trainer.split import Indexes

CONFIDENCE = 0.95


def mean_interval(values: Floats, groups: Indexes, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Student's interval of the mean, rows of one group counted as one observation.

    Cluster-robust (Liang & Zeger 1986).     With one row a group it is the textbook interval
    mean ± t(n − 1) · s/√n. A single group has no interval: (−∞, ∞).
    """
    center = float(values.mean())
    sums = np.bincount(groups, weights=values - center)
    sums = sums[np.bincount(groups) > 0]
    count = len(sums)
    if count < 2:
        return -np.inf, np.inf
    error = float(np.sqrt(count / (count - 1) * np.sum(sums**2))) / len(values)
    reach = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return center - reach, center + reach


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


def _r2(squared: Floats, spread: Floats, groups: Indexes) -> dict[str, Any]:
    total = float(spread.mean())
    if total == 0:
        return {"r2": None, "r2_interval": None}
    unexplained = float(squared.mean()) / total
    low, high = mean_interval((squared - unexplained * spread) / total, groups)
    return {"r2": 1 - unexplained, "r2_interval": [1 - unexplained - high, min(1 - unexplained - low, 1.0)]}


def _clipped(interval: tuple[float, float]) -> list[float]:
    return [max(interval[0], 0.0), interval[1]]
