"""Drifting windows at matched false alarms: every rule's threshold leaves 5 % of the same undrifted windows over it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.drift import data, grid, intervals
from benchmarks.drift.engine import fit, judge_windows
from benchmarks.drift.plan import Plan
from benchmarks.drift.work import Found, ask, folder, spread, write_windows

PEERS = ("scipy", "evidently", "nannyml", "scouter", "frouros", "alibi")
SIZES = (100, 250, 1_000)
OURS = "Longshore"
LEVEL = 0.05
Floats = npt.NDArray[np.float64]


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """Power by cell: ours, every peer's, the difference to the best of them."""
    cells = list(grid.shifts())
    problems: dict[str, str] = {}
    with folder("power") as place:
        task = partial(_reference, plan=plan, place=place)
        ours = spread(task, range(plan.power_references), plan.workers, "power")
        found = ask(PEERS, "windows", place, problems, plan.workers) if plan.peers else {}
    rows, nulls = [], []
    for n in SIZES:
        scores = {OURS: np.stack([one[n][0] for one in ours]), **_scores(found, n, len(ours))}
        nominal = np.stack([one[n][1] for one in ours])
        if found:
            nulls.append({"n": n, "rules": {rule: _limit(part, plan) for rule, part in scores.items()}})
        for i, cell in enumerate(cells):
            at = slice(plan.null_windows + i * plan.shifted_windows, plan.null_windows + (i + 1) * plan.shifted_windows)
            rows.append({"cell": cell, "n": n, **_cell(scores, nominal, plan.null_windows, at)})
            rows[-1]["promised"] = grid.PROMISED.get((cell, n))
    compared = [row for row in rows if "difference" in row]
    results["power"] = {
        "rows": rows,
        "problems": problems,
        "nulls": nulls,
        "null_windows": plan.null_windows * plan.power_references,
        "without_loss": sum(not row["loss"] for row in compared) / len(compared) if compared else None,
    }


def _reference(seed: int, *, plan: Plan, place: Path) -> dict[int, tuple[Floats, npt.NDArray[np.bool_]]]:
    """By size, scores and alerts of the undrifted windows and then of every cell's."""
    whole, rest = data.split(data.with_ratio(data.housing()), seed)
    reference = fit(whole, seed)
    pool = grid.Pool.of(whole, rest, [seed, 4])
    found = {}
    for n in SIZES:
        frames = [pool.draw(n) for _ in range(plan.null_windows)]
        frames += [shift(pool, n) for shift in grid.shifts().values() for _ in range(plan.shifted_windows)]
        stacked = pd.concat(frames, ignore_index=True)[list(whole.columns)]
        judged = judge_windows(reference, reference.test_cells(stacked), np.arange(len(stacked)).reshape(-1, n), LEVEL)
        found[n] = (-np.log10(judged.p_values), judged.alerts)
        if plan.peers:
            write_windows(place / f"{seed:04}-{n}.npz", whole, stacked, n, seed=seed)
    return found


def _scores(found: Found, n: int, references: int) -> dict[str, Floats]:
    """By rule, float64[references, windows]; rules that differ only in their default are one here."""
    jobs = [found[name] for name in sorted(found) if name.endswith(f"-{n}")]
    named: dict[str, list[Any]] = {}
    for one in jobs:
        for rule, arrays in one.items():
            named.setdefault(rule, []).append(arrays["score"])
    chosen: dict[str, Floats] = {}
    for rule, parts in named.items():
        stacked = np.stack(parts)
        if len(parts) == references and not any(np.array_equal(stacked, other) for other in chosen.values()):
            chosen[rule.partition(":")[0]] = stacked
    return chosen


def _threshold(null: Floats) -> float:
    """The smallest score that at most 5 % of the undrifted windows exceed."""
    return float(np.quantile(null, 1 - LEVEL, method="inverted_cdf"))


def _limit(scores: Floats, plan: Plan) -> float:
    return _threshold(scores[:, : plan.null_windows].ravel())


def _cell(scores: dict[str, Floats], nominal: npt.NDArray[np.bool_], null: int, at: slice) -> dict[str, Any]:
    powers = {rule: _power(part, null, at) for rule, part in scores.items()}
    found: dict[str, Any] = {"nominal": intervals.share(list(nominal[:, at])).to_dict(), "powers": powers}
    if len(powers) == 1:
        return found
    peers = [rule for rule in powers if rule != OURS]
    best = max(peers, key=lambda rule: powers[rule])
    low, high = _difference(scores[OURS], scores[best], null, at)
    return found | {"best": best, "difference": powers[OURS] - powers[best], "low": low, "high": high, "loss": high < 0}


def _power(scores: Floats, null: int, at: slice, chosen: Sequence[int] | Any = slice(None)) -> float:
    part = scores[chosen]
    return float((part[:, at] > _threshold(part[:, :null].ravel())).mean())


def _difference(ours: Floats, theirs: Floats, null: int, at: slice) -> tuple[float, float]:
    """Resampled by reference, with both thresholds set anew: their error is part of the difference's."""
    return intervals.bootstrap(len(ours), lambda i: _power(ours, null, at, i) - _power(theirs, null, at, i))
