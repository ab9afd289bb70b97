"""Whether the split by hash kept the strata's shares: reported with every version, and warned of where it did not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longshore.columns import Floats
from longshore.trainer.split import Mask

WARN_AT_SIGMA = 4.0
"""A stratum's test share further than this from the whole's, in standard deviations of a random split, is warned of."""
QUANTILES = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, slots=True)
class Stratum:
    """One stratum's shares (0 … 1) of all, training and test rows; `sigma` is how far the test share is off."""

    above: float | None
    rows: int
    share: float
    share_train: float
    share_test: float
    sigma: float


def quantile_edges(target: Floats) -> Floats:
    """Edges of five strata with about equal rows; fewer where values coincide."""
    return np.unique(np.quantile(target, QUANTILES))


def strata(values: Floats, edges: Floats, test: Mask) -> list[Stratum]:
    """Shares of the strata (−∞, e₁], (e₁, e₂], … in the whole, the training and the test rows; NaN is left out."""
    known = np.isfinite(values)
    stratum = np.searchsorted(edges, values[known], side="left")
    in_test = test[known]
    count, count_test = len(stratum), max(int(in_test.sum()), 1)
    found = []
    for i in range(len(edges) + 1):
        inside = stratum == i
        share, share_test = float(inside.mean()) if count else 0.0, float(inside[in_test].sum()) / count_test
        deviation = np.sqrt(share * (1 - share) / count_test * (1 - count_test / max(count, 1)))
        sigma = float((share_test - share) / deviation) if deviation > 0 else 0.0
        share_train = float(inside[~in_test].sum()) / max(int((~in_test).sum()), 1)
        above = float(edges[i - 1]) if i else None
        found.append(Stratum(above, int(inside.sum()), share, share_train, share_test, sigma))
    return found


def report(found: list[Stratum]) -> dict[str, Any]:
    """For the manifest: every stratum, and the largest difference between a test share and the whole's."""
    worst = max((abs(stratum.share_test - stratum.share) for stratum in found), default=0.0)
    balanced = all(abs(stratum.sigma) <= WARN_AT_SIGMA for stratum in found)
    return {"strata": [asdict(stratum) for stratum in found], "largest_difference": worst, "balanced": balanced}
