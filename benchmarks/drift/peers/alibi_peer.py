"""alibi-detect (a benchmark peer only): TabularDrift, which is KS and χ² with Bonferroni, and MMD on 500 rows."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import numpy as np
from alibi_detect.cd import MMDDrift, TabularDrift
from exchange import Job, Rules, main, surprise

MMD_ROWS = 500
"""Of the reference, and at most so many of a window: the kernel is of (reference + window)² entries."""


def windows(job: Job) -> Mapping[str, Any]:
    """The smallest p-value of TabularDrift, and MMD² (its own permutation test where the job asks for one)."""
    warnings.simplefilter("ignore")
    logging.getLogger("alibi_detect").setLevel(logging.ERROR)
    rules, reference = Rules(), job.columns("reference")
    levels = {name: np.unique(reference[name]) for name in job.nominal}
    coded = _coded(reference, levels)
    at = {job.names.index(name): list(range(len(levels[name]))) for name in job.nominal}
    tabular = TabularDrift(coded, p_val=0.05, categories_per_feature=at)
    chosen = np.random.default_rng(job.seed).choice(len(coded), MMD_ROWS, replace=False)
    mean, std = coded.mean(axis=0), coded.std(axis=0)
    kernel = MMDDrift(
        ((coded[chosen] - mean) / std).astype(np.float32),
        backend="tensorflow",
        n_permutations=max(job.permutations, 1),
    )
    for i in range(job.windows):
        current = _coded(job.window(i), levels)
        said = tabular.predict(current)["data"]
        rules.add("alibi-detect TabularDrift", surprise(np.min(said["p_val"])), said["is_drift"])
        said = kernel.predict(((current[:MMD_ROWS] - mean) / std).astype(np.float32))["data"]
        rules.add("alibi-detect MMD", said["distance"], said["is_drift"] if job.permutations else np.nan)
    return rules.arrays()


def _coded(columns: Mapping[str, Any], levels: Mapping[str, Any]) -> Any:
    """Numbers as they are, missing as −1; categories by number, unknown ones after the last."""
    parts = []
    for name, values in columns.items():
        if name not in levels:
            parts.append(np.nan_to_num(values, nan=-1.0))
            continue
        code = np.searchsorted(levels[name], values)
        known = levels[name][np.minimum(code, len(levels[name]) - 1)] == values
        parts.append(np.where(known, code, len(levels[name])).astype(float))
    return np.stack(parts, axis=1)


if __name__ == "__main__":
    main({"windows": windows})
