"""Split-conformal intervals: how far around a prediction the truth lies, with a stated coverage and without a model.

The half-width is a quantile, with the finite-sample correction, of |truth − prediction| where the prediction's model
had not seen the row's entity: out-of-fold residuals. Coverage is then about the level or above, where calibration and
future rows are exchangeable: the served model saw more rows than any fold's (at worst 1 − 2α, Barber et al. 2021, CV+).
Whether it holds is measured on test rows, and told with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from longshore.columns import Floats
from longshore.config import INTERVAL_LEVELS
from longshore.trainer.evaluate import mean_interval
from longshore.trainer.split import Indexes


def half_width(residuals: Floats, groups: Indexes, level: float) -> float | None:
    """The least r so that the residuals within ±r weigh `level`; None where there are too few entities for it.

    An entity weighs 1/(G + 1) whatever its rows (Dunn, Wasserman & Ramdas 2022); the missing 1/(G + 1) is the row to
    come. With one row an entity this is the ⌈(n + 1) · level⌉-th smallest of n (Vovk et al. 2005).
    """
    size = np.abs(residuals)
    rows_of = np.bincount(groups)
    weight = 1.0 / (rows_of[groups] * (np.count_nonzero(rows_of) + 1))
    order = np.argsort(size, kind="stable")
    # A hair's breadth for the rounding of many small weights' sum.
    reached = np.searchsorted(np.cumsum(weight[order]), level - 1e-12)
    return float(size[order[reached]]) if reached < len(order) else None


def conformal(
    residuals: Floats, groups: Indexes, test_residuals: Floats, test_groups: Indexes, *, method: str = "out-of-fold"
) -> dict[str, Any]:
    """For the manifest: by level its `half_width` (the target's unit) and its measured `coverage`, with an interval.

    `residuals` are calibration rows' (predicted by models that never saw their entities), `test_residuals` the served
    model's on test rows. Rows without a finite residual calibrate nothing.
    """
    usable = np.isfinite(residuals)
    levels = {}
    for level in INTERVAL_LEVELS:
        width = half_width(residuals[usable], groups[usable], level) if usable.any() else None
        levels[f"{level:g}"] = {"half_width": width, **_coverage(width, test_residuals, test_groups)}
    return {"method": f"split conformal, {method} residuals", "rows": int(usable.sum()), "levels": levels}


def _coverage(width: float | None, residuals: Floats, groups: Indexes) -> dict[str, Any]:
    if width is None or not len(residuals):
        return {"coverage": None, "coverage_interval": None}
    inside = (np.abs(residuals) <= width).astype(np.float64)
    low, high = mean_interval(inside, groups)
    return {"coverage": float(inside.mean()), "coverage_interval": [max(low, 0.0), min(high, 1.0)]}
