"""From simulated streams without drift to the limit that gives a mean run length between alerts.

A run is the number of steps from a start (or from the end of an alert) to the next alert. Page (1954) judged control
charts so, and it is what pages a person: 5 % per window is an alert in 92 % of runs of 50 windows.
"""

from __future__ import annotations

import numpy as np

from longshore.profile import Calibration, Floats

RUNS = np.geomspace(4, 4e6, 25)
"""Mean run lengths, in steps, for which limits are kept."""

CANDIDATES = np.geomspace(1.0, 1e-5, 101)
"""Limits tried on the simulated streams."""

RELIABLE = 40
"""Simulated alerts that a run length needs to be believed; longer ones are extrapolated."""

LEAST = 1e-12


def over(smallest: Floats, needed: int, among: int) -> Floats:
    """The smallest limit that `needed` of the last `among` steps are over, float64[…, steps]; inf before that."""
    padded = np.concatenate([np.full((*smallest.shape[:-1], among - 1), np.inf), smallest], axis=-1)
    views = np.lib.stride_tricks.sliding_window_view(padded, among, axis=-1)
    return np.asarray(np.partition(views, needed - 1, axis=-1)[..., needed - 1], dtype=np.float64)


def limits(smallest: Floats, needed: int, among: int) -> Floats:
    """The limits for `RUNS`, float64[runs], from float64[streams, steps] adjusted p-values, smallest over the scales.

    The mean run of a limit is that of the simulated part and, for the streams without an alert in it, what a constant
    rate adds: the rate of its later half. Where too few alerts were seen, log run goes on as a line of log limit.
    """
    reached = np.minimum.accumulate(over(smallest, needed, among), axis=-1)
    steps = smallest.shape[-1]
    first = np.array([np.sum(reached > limit, axis=-1) for limit in CANDIDATES])
    half = steps // 2
    late = np.sum((first >= half) & (first < steps), axis=-1)
    exposed = np.sum(np.clip(first - half, 0, None), axis=-1)
    survivors = np.mean(first >= half, axis=-1)
    rest = np.divide(exposed, late, out=np.full(len(late), np.inf), where=late > 0)
    later = np.multiply(survivors, rest, out=np.zeros(len(late)), where=survivors > 0)
    runs = np.mean(np.minimum(first, half), axis=-1) + later + 1.0
    alerts = np.sum(first < steps, axis=-1)
    believed = (alerts >= RELIABLE) & np.isfinite(runs)
    if believed.sum() < 2:
        return np.minimum(1.0, needed / RUNS)
    x, y = np.log(CANDIDATES[believed]), np.maximum.accumulate(np.log(runs[believed]))
    y = y + 1e-9 * np.arange(len(y))
    tail = x <= x[-1] + np.log(30.0)
    slope = float(np.clip(np.polyfit(x[tail], y[tail], 1)[0], -needed, -0.5)) if tail.sum() > 2 else -float(needed)
    target = np.log(RUNS)
    beyond = x[-1] + (target - y[-1]) / slope
    found = np.where(target <= y[-1], np.interp(target, y, x), beyond)
    return np.asarray(np.clip(np.exp(found), LEAST, 1.0))


def limit_for(calibration: Calibration, rule: tuple[int, int], step: float, run_length: float) -> float:
    """The limit for steps of `step` records and a mean of `run_length` records between alerts.

    Raises:
        KeyError: the rule was not simulated.

    """
    rules = [(int(needed), int(among)) for needed, among in calibration.rules]
    if rule not in rules:
        raise KeyError(rule)
    table = np.log(calibration.limits[rules.index(rule)])
    run = np.log(max(run_length / step, 1.0))
    by_step = [np.interp(run, np.log(calibration.runs), row) for row in table]
    return float(np.exp(np.interp(np.log(step), np.log(calibration.steps), by_step)))


def run_length_of(calibration: Calibration, rule: tuple[int, int], step: float, limit: float) -> float:
    """The mean number of records between alerts that a limit gives: the inverse of `limit_for`."""
    rules = [(int(needed), int(among)) for needed, among in calibration.rules]
    table = np.log(calibration.limits[rules.index(rule)])
    grid = np.log(calibration.steps)
    at = np.array([np.interp(np.log(step), grid, column) for column in table.T])
    return float(step * np.exp(np.interp(-np.log(limit), -at, np.log(calibration.runs))))
