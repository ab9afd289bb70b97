"""Scouter's PSI with its default threshold, the χ² critical value that its server compares with.

The client computes PSI; the comparison is the server's, so the critical value is computed here by the definition that
its documentation gives (Yurdakul 2018). It takes no missing values: they are −1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from exchange import Job, Rules, frames, main
from scipy import stats
from scouter import Drifter, PsiDriftConfig

ALPHA = 0.05


def windows(job: Job) -> Mapping[str, Any]:
    """PSI of every stream over its critical value; the largest is the score."""
    rules, drifter = Rules(), Drifter()
    reference = _whole(frames(job, "reference"), job)
    profile = drifter.create_drift_profile(
        reference, PsiDriftConfig(space="bench", name="bench", version="0.1.0", categorical_features=job.nominal)
    )
    scale = 1 / len(reference) + 1 / job.n
    limits = {
        name: stats.chi2.ppf(1 - ALPHA, max(1, len(one.bins) - 1)) * scale for name, one in profile.features.items()
    }
    for i in range(job.windows):
        found = drifter.compute_drift(_whole(pd.DataFrame(job.window(i)), job), profile).features
        over = max(found[name] / limit for name, limit in limits.items())
        rules.add("Scouter PSI, χ² threshold", over, over > 1)
    return rules.arrays()


def _whole(frame: Any, job: Job) -> Any:
    return frame.astype(dict.fromkeys(job.nominal, object)).fillna(-1.0).astype(dict.fromkeys(job.nominal, str))


if __name__ == "__main__":
    np.seterr(all="ignore")
    main({"windows": windows})
