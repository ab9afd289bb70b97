"""From simulated streams without drift to the limit that gives a mean run length between alerts.

A run is the number of steps from a start (or from the end of an alert) to the next alert. Page (1954) judged control
charts so, and it is what pages a person: 5 % per window is an alert in 92 % of runs of 50 windows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from longshore.profile import Calibration, Floats

RUNS = np.geomspace(4, 4e6, 25)
"""Mean run lengths, in steps, for which limits are kept."""

CANDIDATES = np.geomspace(1.0, 1e-5, 41)
"""Limits tried on the simulated streams."""

RELIABLE = 40
"""Simulated alerts that a run length needs to be believed; longer ones are extrapolated."""

ALONE = -1.0
"""The line's slope where one step over the limit is an alert: as many windows have a p-value at or below a limit as the
limit says. A fitted slope still had the bend of shorter runs in it: runs of 2,000 steps came out at 1.2 of what was
stated, of 5,000 at 1.55 (docs/benchmarks.md)."""

LEAST = 1e-12


def limits(smallest: Floats, scales: Sequence[int], needed: int, among: int) -> Floats:
    """The limits for `RUNS`, float64[runs], from simulated streams' adjusted p-values, smallest over their tests.

    `smallest` is float64[scales, streams, steps]. An alert needs `needed` of the last `among` steps at or below the
    limit, and starts the stream anew: a scale speaks again when its window is full. The mean run is all steps by all
    alerts, so that a reference that is off counts as often as it alerts. Where too few alerts were seen, log run goes
    on as a line of log limit.
    """
    alerts, counted = _alerts(smallest, scales, needed, among)
    runs = np.divide(counted, alerts, out=np.full(len(alerts), np.inf), where=alerts > 0)
    believed = alerts >= RELIABLE
    if believed.sum() < 2:
        return np.minimum(1.0, needed / RUNS)
    x, y = np.log(CANDIDATES[believed]), np.maximum.accumulate(np.log(runs[believed]))
    y = y + 1e-9 * np.arange(len(y))
    tail = x <= x[-1] + np.log(300.0)
    weights = np.sqrt(alerts[believed][tail])
    slope = float(np.clip(np.polyfit(x[tail], y[tail], 1, w=weights)[0], -needed, -0.5)) if len(weights) > 2 else -1.0
    target = np.log(RUNS)
    beyond = x[-1] + (target - y[-1]) / (ALONE if needed == 1 else slope)
    found = np.where(target <= y[-1], np.interp(target, y, x), beyond)
    return np.asarray(np.clip(np.exp(found), LEAST, 1.0))


def _alerts(smallest: Floats, scales: Sequence[int], needed: int, among: int) -> tuple[Floats, float]:
    """How many alerts each candidate gives, float64[candidates], and in how many steps.

    What happens before the largest window is full for the first time is not counted: long runs have it once only.
    """
    _, streams, steps = smallest.shape
    begin = min(max(scales), steps // 2)
    by_step = np.ascontiguousarray(np.moveaxis(smallest, 2, 0))
    age = np.zeros((len(CANDIDATES), streams), dtype=np.int32)
    recent = np.zeros(age.shape, dtype=np.uint8)  # a bit for each of the last steps, the newest lowest
    alerts = np.zeros(len(CANDIDATES))
    for at in range(steps):
        age += 1
        over = np.zeros(age.shape, dtype=np.bool_)
        for scale, of_scale in zip(scales, by_step[at], strict=True):
            over |= (of_scale <= CANDIDATES[:, None]) & (age >= scale)
        recent = np.asarray(((recent << 1) & ((1 << among) - 1)) | over, dtype=np.uint8)
        alert = over & (np.bitwise_count(recent) >= needed)
        if at >= begin:
            alerts += np.count_nonzero(alert, axis=1)
        begun = ~alert
        age *= begun
        recent *= begun
    return alerts, float(streams * (steps - begin))


def rules_of(calibration: Calibration) -> list[tuple[int, int]]:
    """The rules of persistence that were simulated, as (needed, among)."""
    return [(int(needed), int(among)) for needed, among in calibration.rules]


def limit_for(calibration: Calibration, rule: tuple[int, int], scales: int, step: float, run_length: float) -> float:
    """The limit for steps of `step` records, judged at `scales` scales, and a mean run of `run_length` records.

    Raises:
        ValueError: the rule was not simulated.

    """
    table = np.log(calibration.limits[rules_of(calibration).index(rule), scales - 1])
    run = np.log(max(run_length / step, 1.0))
    by_step = [np.interp(run, np.log(calibration.runs), row) for row in table]
    return float(np.exp(np.interp(np.log(step), np.log(calibration.steps), by_step)))


def run_length_of(calibration: Calibration, rule: tuple[int, int], scales: int, step: float, limit: float) -> float:
    """The mean number of records between alerts that a limit gives: the inverse of `limit_for`."""
    table = np.log(calibration.limits[rules_of(calibration).index(rule), scales - 1])
    grid = np.log(calibration.steps)
    at = np.array([np.interp(np.log(step), grid, column) for column in table.T])
    return float(step * np.exp(np.interp(-np.log(limit), -at, np.log(calibration.runs))))
