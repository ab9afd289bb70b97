"""Frouros: its batch tests by stream, and its stream detectors of a change in the mean."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from exchange import Job, Rules, main, surprise
from frouros.detectors.concept_drift import (
    CUSUM,
    CUSUMConfig,
    GeometricMovingAverage,
    GeometricMovingAverageConfig,
    PageHinkley,
    PageHinkleyConfig,
)
from frouros.detectors.data_drift import ChiSquareTest, CVMTest, MannWhitneyUTest

LEVEL = 0.01
"""The p-value that its documentation's examples compare with."""

DETECTORS: dict[str, tuple[Any, Any]] = {
    "Frouros CUSUM": (CUSUM, CUSUMConfig),
    "Frouros Page-Hinkley": (PageHinkley, PageHinkleyConfig),
    "Frouros geometric moving average": (GeometricMovingAverage, GeometricMovingAverageConfig),
}


def windows(job: Job) -> Mapping[str, Any]:
    """Cramér-von Mises and Mann-Whitney (χ² for nominal); the smallest p-value is the score."""
    warnings.simplefilter("ignore")
    rules, nominal = Rules(), set(job.nominal)
    reference = {name: _present(values) for name, values in job.columns("reference").items()}
    fitted: dict[str, dict[str, Any]] = {}
    for title, test in (("Cramér-von Mises", CVMTest), ("Mann-Whitney", MannWhitneyUTest)):
        fitted[title] = {name: ChiSquareTest() if name in nominal else test() for name in job.names}
        for name, detector in fitted[title].items():
            detector.fit(X=reference[name])
    for i in range(job.windows):
        current = job.window(i)
        for title, detectors in fitted.items():
            p = min(detectors[name].compare(X=_present(current[name]))[0].p_value for name in job.names)
            rules.add(f"Frouros {title}, χ²: p < {LEVEL:g}", surprise(p), p < LEVEL)
    return rules.arrays()


def _present(values: Any) -> Any:
    return values if values.dtype.kind == "U" else values[~np.isnan(values)]


def streams(job: Job) -> Mapping[str, Any]:
    """The detectors' own sums, the largest over the streams: what their thresholds are compared with."""
    found: dict[str, Any] = {}
    if int(job.held["slow"]):
        return found
    for title, (detector, config) in DETECTORS.items():
        found[f"{title}|score"] = np.array([_sums(detector, config, run) for run in job.held["streams"]], np.float32)
        found[f"{title}|default"] = np.array(_defaults(detector, job.held["streams"][0]))
    return found


def _sums(detector: Any, config: Any, run: Any) -> Any:
    all_streams = [detector(config=config(lambda_=_never(config))) for _ in range(run.shape[1])]
    sums = np.zeros(run.shape)
    for k, one in enumerate(all_streams):
        for t, value in enumerate(run[:, k].tolist()):
            one.update(value=value)
            sums[t, k] = one.sum_
    sums[: config().min_num_instances - 1] = -np.inf
    return sums.max(axis=1)


def _never(config: Any) -> float:
    return 1.0 if config is GeometricMovingAverageConfig else 1e12


def _defaults(detector: Any, run: Any) -> tuple[float, float]:
    alarms = 0
    for k in range(run.shape[1]):
        one = detector()
        for value in run[:, k].tolist():
            one.update(value=value)
            if one.drift:
                alarms += 1
                one.reset()
    return float(alarms), float(len(run))


if __name__ == "__main__":
    main({"windows": windows, "streams": streams})
