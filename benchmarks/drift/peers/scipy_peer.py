"""scipy's two-sample tests, each stream by itself; rules with and without Bonferroni's correction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from exchange import Job, Rules, main, surprise
from scipy import stats

ALPHA = 0.05
STEP = 25
REACH = (250, 500)


def windows(job: Job) -> Mapping[str, Any]:
    """KS (χ² for nominal), and χ² of deciles; the smallest p-value is the score."""
    rules, nominal = Rules(), set(job.nominal)
    reference = job.columns("reference")
    edges = {
        name: np.unique(np.nanquantile(v, np.arange(1, 10) / 10))
        for name, v in reference.items()
        if name not in nominal
    }
    for i in range(job.windows):
        current = job.window(i)
        ks, chi = [], []
        for name in job.names:
            p, q = reference[name], current[name]
            if name in nominal:
                chi.append(_same_shares(*_categories(p, q)))
                ks.append(chi[-1])
            else:
                ks.append(stats.ks_2samp(_present(p), _present(q), method="asymp").pvalue)
                chi.append(_same_shares(_deciles(p, edges[name]), _deciles(q, edges[name])))
        many = len(job.names)
        rules.add("scipy KS, χ²: p < 0.05", surprise(min(ks)), min(ks) < ALPHA)
        rules.add("scipy KS, χ²: Bonferroni", surprise(min(ks)), min(ks) < ALPHA / many)
        rules.add("scipy χ² of deciles: Bonferroni", surprise(min(chi)), min(chi) < ALPHA / many)
    return rules.arrays()


def _present(values: Any) -> Any:
    return values[~np.isnan(values)]


def _deciles(values: Any, edges: Any) -> Any:
    missing = np.isnan(values)
    counts = np.bincount(np.searchsorted(edges, values[~missing], side="left"), minlength=len(edges) + 1)
    return np.r_[counts, missing.sum()]


def _categories(p: Any, q: Any) -> tuple[Any, Any]:
    levels = np.unique(np.concatenate([p, q]))
    return tuple(np.array([(side == level).sum() for level in levels]) for side in (p, q))  # type: ignore[return-value]


def _same_shares(p: Any, q: Any) -> float:
    table = np.vstack([p, q])
    table = table[:, table.sum(axis=0) > 0]
    return float(stats.chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0


def streams(job: Job) -> Mapping[str, Any]:
    """KS of the last 250 or 500 records against the reference, every 25 records: the largest statistic of all streams.

    All windows of a reach are of one size, so the largest statistic is the smallest p-value.
    """
    if int(job.held["slow"]):
        return {}
    reference = np.sort(job.held["reference"], axis=0)
    found: dict[str, Any] = {}
    for reach in REACH:
        scores = np.full(job.held["streams"].shape[:2], -np.inf, dtype=np.float32)
        for run, values in enumerate(job.held["streams"]):
            for end in range(reach, len(values) + 1, STEP):
                part = np.sort(values[end - reach : end], axis=0)
                scores[run, end - 1] = max(_statistic(reference[:, k], part[:, k]) for k in range(part.shape[1]))
        found[f"scipy KS of the last {reach}|score"] = scores
    return found


def _statistic(reference: Any, part: Any) -> float:
    """`scipy.stats.ks_2samp(...).statistic`, with the reference sorted once."""
    upper = np.searchsorted(reference, part, side="right") / len(reference)
    lower = np.searchsorted(reference, part, side="left") / len(reference)
    own_upper = np.searchsorted(part, part, side="right") / len(part)
    own_lower = np.searchsorted(part, part, side="left") / len(part)
    return float(max(np.abs(upper - own_upper).max(), np.abs(lower - own_lower).max()))


if __name__ == "__main__":
    main({"windows": windows, "streams": streams})
