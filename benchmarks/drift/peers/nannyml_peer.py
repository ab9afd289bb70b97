"""NannyML's univariate drift: windows are its chunks, thresholds are its own, fitted on the reference's chunks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import nannyml
import numpy as np
from exchange import Job, frames, main, timed

METHODS = ("jensen_shannon", "kolmogorov_smirnov", "wasserstein")


def _calculator(job: Job, methods: list[str], chunk: int) -> Any:
    return nannyml.UnivariateDriftCalculator(
        column_names=job.names,
        treat_as_categorical=job.nominal,
        continuous_methods=methods,
        categorical_methods=["jensen_shannon"],
        chunk_size=chunk,
    )


def windows(job: Job) -> Mapping[str, Any]:
    """A rule for each numeric method (nominal streams by Jensen-Shannon): the largest value over its threshold."""
    warnings.simplefilter("ignore")
    calculator = _calculator(job, list(METHODS), job.n)
    result = calculator.fit(frames(job, "reference")).calculate(frames(job, "current"))
    table = result.filter(period="analysis").to_df()
    found: dict[str, Any] = {}
    for method in METHODS:
        of = [(name, "jensen_shannon" if name in job.nominal else method) for name in job.names]
        over = [table[at]["value"].to_numpy(float) / table[at]["upper_threshold"].to_numpy(float) for at in of]
        alerts = [table[at]["alert"].to_numpy(bool) for at in of]
        rule = f"NannyML {method.replace('_', '-')}" + (" (default)" if method == METHODS[0] else "")
        found[f"{rule}|score"] = np.nanmax(over, axis=0)
        found[f"{rule}|alert"] = np.any(alerts, axis=0).astype(float)
    return found


def speed(job: Job) -> Mapping[str, Any]:
    """Its default and all its numeric methods on one window; the reference is fitted before."""
    warnings.simplefilter("ignore")
    reference, current = frames(job, "reference"), frames(job, "current")
    found = {}
    for title, methods in (("NannyML default", ["jensen_shannon"]), ("NannyML three methods", list(METHODS))):
        fitted = _calculator(job, methods, job.n).fit(reference)
        found[title] = timed(lambda fitted=fitted: fitted.calculate(current), int(job.held["times"]))
    return found


if __name__ == "__main__":
    main({"windows": windows, "speed": speed})
