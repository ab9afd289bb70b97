"""An abrupt shift of one stream: records from the change to the alert, everybody at one alert in 10,000 records.

Peers' detectors get every stream in the reference's standard deviations (the nominal one by number, missing as the
mean), one detector for each, and a threshold found by bisection on undrifted streams. Runs that alarm before the change
are left out, ours and theirs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.drift import data, intervals
from benchmarks.drift.engine import fit
from benchmarks.drift.plan import Plan
from benchmarks.drift.work import Found, ask, folder, spread, write_streams

PEERS = ("scipy", "river", "frouros")
RUN_LENGTH = 10_000
STEP = 25
BEFORE = 2_000
AFTER = 3_000
SLOW_BEFORE, SLOW_AFTER = 500, 1_500
"""For detectors of a millisecond a record, whose memory is a hundred records."""

STREAM = "median_income"
SIGMAS = 0.5
Floats = npt.NDArray[np.float64]


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """Median delays, ours and theirs, and what their defaults would page."""
    problems: dict[str, str] = {}
    with folder("delay") as place:
        task = partial(_reference, plan=plan, place=place)
        ours = spread(task, range(plan.delay_references), plan.workers, "delay")
        found = ask(PEERS, "streams", place, problems, plan.workers) if plan.peers else {}
    rows = [_row("Longshore", [np.array(one) for one in ours], plan.delay_references * plan.delay_runs)]
    detectors = dict.fromkeys(name for one in found.values() for name in one)
    rows += [_peer(detector, found) for detector in detectors]
    results["delay"] = {
        "rows": sorted(rows, key=lambda row: row["value"]),
        "problems": problems,
        "shift": f"{STREAM} + {SIGMAS:g} σ",
        "run_length": RUN_LENGTH,
    }


def _row(name: str, groups: list[Floats], runs: int) -> dict[str, Any]:
    """A detector's delays by reference; infinite where it never alarmed."""
    return {"rule": name, "runs": runs, **intervals.median(groups).to_dict()}


def _reference(seed: int, *, plan: Plan, place: Path) -> list[float]:
    """Our delays on one reference's runs, which are written down for the peers."""
    frame, pool = data.split(data.housing(), seed)
    reference, random = fit(frame, seed), np.random.default_rng([seed, 5])
    std = float(frame[STREAM].std(ddof=0))
    delays, runs = [], []
    for _ in range(plan.delay_runs):
        rows = pool.iloc[random.integers(0, len(pool), BEFORE + STEP + AFTER)].reset_index(drop=True)
        change = BEFORE + int(random.integers(0, STEP))
        rows = rows.assign(**{STREAM: rows[STREAM] + np.where(np.arange(len(rows)) >= change, SIGMAS * std, 0.0)})
        alerts = [seen.rows for seen in reference.watch(run_length=RUN_LENGTH, step=STEP).add(rows) if seen.alert]
        if not alerts or alerts[0] > change:
            delays.append(float(alerts[0] - change) if alerts else np.inf)
        runs.append(_numbers(frame, rows[change - BEFORE : change + AFTER]))
    if plan.peers:
        numbers = _numbers(frame, frame)
        drawn = random.integers(0, len(pool), (_part(plan.null_runs, seed, plan.delay_references), plan.null_records))
        nulls = np.array([_numbers(frame, pool.iloc[one]) for one in drawn])
        _write(place, seed, _part(plan.slow_runs, seed, plan.delay_references), (numbers, nulls, np.stack(runs)))
    return delays


def _write(place: Path, seed: int, slow: int, arrays: tuple[Floats, Floats, Floats]) -> None:
    """The reference, undrifted and drifting runs; few and short ones for the slow detectors."""
    numbers, nulls, runs = arrays
    write_streams(place / f"drift-{seed:04}.npz", runs, numbers, slow=False)
    if len(nulls):
        write_streams(place / f"null-{seed:04}.npz", nulls, numbers, slow=False)
    if len(nulls[:slow]):
        short = runs[: 4 * slow, BEFORE - SLOW_BEFORE : BEFORE + SLOW_AFTER]
        write_streams(place / f"slow-null-{seed:04}.npz", nulls[:slow], numbers, slow=True)
        write_streams(place / f"slow-drift-{seed:04}.npz", short, numbers, slow=True)


def _part(many: int, seed: int, references: int) -> int:
    """A reference's part of so many runs."""
    return many // references + (seed < many % references)


def _numbers(frame: pd.DataFrame, rows: pd.DataFrame) -> Floats:
    """All streams in the reference's standard deviations, float64[rows, streams]."""
    levels = {name: i for i, name in enumerate(frame[data.NOMINAL].value_counts().index)}
    sides = [side.assign(**{data.NOMINAL: side[data.NOMINAL].map(levels).astype(float)}) for side in (frame, rows)]
    reference, current = (side.to_numpy(dtype=np.float64) for side in sides)
    return np.nan_to_num((current - np.nanmean(reference, axis=0)) / np.nanstd(reference, axis=0))


def _peer(detector: str, found: Found) -> dict[str, Any]:
    """A detector's delays at the threshold with our run length."""
    jobs = {name: one[detector] for name, one in sorted(found.items()) if detector in one}
    nulls = [one["score"] for name, one in jobs.items() if "null" in name]
    limit, reached = threshold(np.concatenate(nulls))
    groups, runs = [], 0
    for name, one in jobs.items():
        if "drift" in name:
            before = SLOW_BEFORE if name.startswith("slow") else BEFORE
            groups.append(delays(one["score"], before, limit))
            runs += len(one["score"])
    defaults = np.sum([one["default"] for one in jobs.values() if "default" in one], axis=0)
    return _row(detector, groups, runs) | {
        "limit": limit,
        "reached": reached,
        "undrifted": int(sum(one.size for one in nulls)),
        "default_run": float(defaults[1] / defaults[0]) if np.any(defaults) and defaults[0] else None,
    }


def delays(scores: Floats, change: int, limit: float) -> Floats:
    """Records from the change to the first alarm after it, of the runs without one before; infinite without any."""
    over = scores >= limit
    quiet = over[~over[:, :change].any(axis=1), change:]
    return np.where(quiet.any(axis=1), quiet.argmax(axis=1) + 1.0, np.inf)


def threshold(scores: Floats) -> tuple[float, float]:
    """The smallest threshold whose mean run is at least the stated one, and that mean run (records over alarms)."""
    reached = np.maximum.accumulate(scores, axis=1)
    candidates = np.unique(reached[np.isfinite(reached)])
    if not len(candidates):
        return float("inf"), float("inf")
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if _run(reached, candidates[middle]) >= RUN_LENGTH:
            high = middle
        else:
            low = middle + 1
    chosen = float(candidates[low]) if low < len(candidates) else float(np.nextafter(candidates[-1], np.inf))
    return chosen, _run(reached, chosen)


def _run(reached: Floats, limit: float) -> float:
    """Records watched until an alarm or the stream's end, over alarms."""
    over = reached >= limit
    first = np.where(over.any(axis=1), over.argmax(axis=1) + 1, reached.shape[1])
    alarms = int(over[:, -1].sum())
    return float(first.sum() / alarms) if alarms else float("inf")
