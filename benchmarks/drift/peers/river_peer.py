"""River's detectors, one for each stream; an alarm of any is an alarm.

ADWIN is run at many settings of delta side by side. KSWIN shows its p-value; Page-Hinkley is run at many thresholds.
The score at a record is the strictest setting that alarms there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from exchange import Job, main, surprise
from river import drift

DELTAS = np.geomspace(0.02, 1e-6, 30)
THRESHOLDS = np.geomspace(40.0, 600.0, 40)


def streams(job: Job) -> Mapping[str, Any]:
    """Scores by record, and alarms at the defaults."""
    runs = job.held["streams"]
    found: dict[str, Any] = {}
    if int(job.held["slow"]):
        found["River KSWIN|score"] = np.array([_kswin(run) for run in runs], np.float32)
        found["River KSWIN|default"] = np.array(_defaults(drift.KSWIN, runs[0][:3_000]))
        return found
    adwin = [(float(-np.log10(delta)), lambda delta=delta: drift.ADWIN(delta=delta)) for delta in DELTAS]
    hinkley = [(float(h), lambda h=h: drift.PageHinkley(threshold=h)) for h in THRESHOLDS]
    for title, settings in (("River ADWIN", adwin), ("River Page-Hinkley", hinkley)):
        found[f"{title}|score"] = np.array([_strictest(settings, run) for run in runs], np.float32)
    found["River ADWIN|default"] = np.array(_defaults(drift.ADWIN, runs[0]))
    found["River Page-Hinkley|default"] = np.array(_defaults(drift.PageHinkley, runs[0]))
    return found


def _strictest(settings: list[tuple[float, Callable[[], Any]]], run: Any) -> Any:
    """By record, the score of the strictest setting that alarms; −∞ where none does. Strictness ascends."""
    scores = np.full(len(run), -np.inf)
    for k in range(run.shape[1]):
        values = run[:, k].tolist()
        for score, make in settings:
            detector, alarmed = make(), False
            for t, value in enumerate(values):
                detector.update(value)
                if detector.drift_detected:
                    alarmed = True
                    scores[t] = max(scores[t], score)
            if not alarmed:
                break  # a stricter setting does not alarm either
    return scores


def _kswin(run: Any) -> Any:
    scores = np.full(len(run), -np.inf)
    for k in range(run.shape[1]):
        detector = drift.KSWIN(alpha=1e-30, seed=k)
        for t, value in enumerate(run[:, k].tolist()):
            detector.update(value)
            if detector.n >= detector.window_size:
                scores[t] = max(scores[t], surprise(detector.p_value))
    return scores


def _defaults(make: Callable[[], Any], run: Any) -> tuple[float, float]:
    alarms = 0
    for k in range(run.shape[1]):
        detector = make()
        for value in run[:, k].tolist():
            detector.update(value)
            alarms += bool(detector.drift_detected)
    return float(alarms), float(len(run))


if __name__ == "__main__":
    main({"streams": streams})
