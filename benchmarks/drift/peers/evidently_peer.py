"""Evidently: its default tests column by column as its preset chooses them, its PSI, and the preset's own time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests.registry import get_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset
from exchange import Job, Rules, frames, main, timed

SHARE = 0.5
"""The preset calls the data drifted where so many columns are."""


def windows(job: Job) -> Mapping[str, Any]:
    """Every column's score over its threshold (Evidently drifts at or above it); the largest is the window's."""
    warnings.simplefilter("ignore")
    rules, reference = Rules(), frames(job, "reference")
    kinds = {n: ColumnType.Categorical if n in job.nominal else ColumnType.Numerical for n in job.names}
    for i in range(job.windows):
        current = pd.DataFrame(job.window(i)).astype(dict.fromkeys(job.nominal, object))
        for rule, test in (("preset", None), ("PSI ≥ 0.1", "psi")):
            over, drifted = [], []
            for name, kind in kinds.items():
                p, q = reference[name], current[name]
                one = get_stattest(p, q, kind.value if test is None else kind, test)(p.dropna(), q.dropna(), kind, None)
                over.append(one.drift_score / one.actual_threshold)
                drifted.append(bool(one.drifted))
            rules.add(f"Evidently {rule}, any column", max(over), any(drifted))
            if test is None:
                halves = sorted(over)[-max(1, round(SHARE * len(over)))]
                rules.add("Evidently preset, half of the columns", halves, sum(drifted) / len(drifted) >= SHARE)
    return rules.arrays()


def speed(job: Job) -> Mapping[str, Any]:
    """The preset on one window, from DataFrames to the result."""
    warnings.simplefilter("ignore")
    reference, current = frames(job, "reference"), frames(job, "current")
    numeric = [name for name in job.names if name not in job.nominal]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=job.nominal)

    def once() -> None:
        sides = (Dataset.from_pandas(side, definition) for side in (current, reference))
        Report([DataDriftPreset()]).run(*sides).dict()

    return {"Evidently DataDriftPreset": timed(once, int(job.held["times"]))}


if __name__ == "__main__":
    main({"windows": windows, "speed": speed})
