"""Undrifted windows: in what share of them does anything alarm, ours at 5 % and every peer at its own default."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.drift import data, intervals
from benchmarks.drift.engine import fit, judge_windows
from benchmarks.drift.plan import Plan
from benchmarks.drift.work import Found, ask, folder, spread, write_windows

PEERS = ("scipy", "evidently", "nannyml", "scouter", "frouros", "alibi")
ALPHA = 0.05
PERMUTED = 2
"""References on whose windows MMD runs its permutation test: a second a window."""

SOURCES = ("housing", "california", "generator")


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """Rows by rule and source and size."""
    rows: list[dict[str, Any]] = []
    problems: dict[str, str] = {}
    for source in SOURCES:
        if source == "california" and data.california() is None:
            problems["NannyML's California files"] = "its wheel is not installed"
            continue
        sizes = sizes_of(plan, source)
        with folder(f"false-alarms-{source}") as place:
            task = partial(_reference, plan=plan, source=source, sizes=sizes, place=place)
            ours = spread(task, range(_references(plan, source)), plan.workers, source)
            rows += [_row("Longshore", source, n, [one[n] for one in ours]) for n in sizes]
            if plan.peers and source != "generator":
                rows += _peers(ask(PEERS, "windows", place, problems, plan.workers), source, sizes)
    results["false-alarms"] = {"rows": rows, "problems": problems, "alpha": ALPHA}


def _references(plan: Plan, source: str) -> int:
    many = {"generator": plan.generator_references, "california": plan.california_references}
    return many.get(source, plan.references)


def sizes_of(plan: Plan, source: str) -> tuple[int, ...]:
    """Window sizes that a source's rows allow."""
    if source == "generator":
        return (plan.large,)
    return plan.sizes if source == "housing" else tuple(n for n in plan.sizes if n <= 1_000)


def _pool(source: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    if source == "generator":
        return data.split(data.generated(seed), seed, data.GENERATOR_ROWS)
    if source == "california":
        frame = data.california()
        assert frame is not None
        return data.split(frame, seed, 5_832)  # as many as the wheel's reference file
    return data.split(data.housing(), seed)


def _reference(seed: int, *, plan: Plan, source: str, sizes: Sequence[int], place: Path) -> dict[int, Any]:
    """Alerts of one reference's windows by size; some of them written down for the peers."""
    frame, pool = _pool(source, seed)
    reference = fit(frame, seed)
    cells = reference.test_cells(pool)
    random = np.random.default_rng([seed, 2])
    found = {}
    for n in sizes:
        windows = data.draw(random, len(pool), n, plan.windows)
        found[n] = judge_windows(reference, cells, windows, ALPHA).alerts
        if plan.peers and source != "generator" and seed < plan.peer_references:
            chosen = windows[: plan.peer_windows].ravel()
            permutations = 100 if seed < PERMUTED else 0
            path = place / f"{seed:04}-{n}.npz"
            write_windows(path, frame, pool.iloc[chosen], n, seed=seed, permutations=permutations)
    return found


def _peers(found: Found, source: str, sizes: Sequence[int]) -> list[dict[str, Any]]:
    rules = dict.fromkeys(rule for one in found.values() for rule in one)
    rows = []
    for rule in rules:
        for n in sizes:
            alerts = [one[rule]["alert"] for job, one in found.items() if job.endswith(f"-{n}") and rule in one]
            told = [part.astype(bool) for part in alerts if not np.isnan(part).any()]
            if told:
                rows.append(_row(rule, source, n, told))
    return rows


def _row(rule: str, source: str, n: int, groups: Sequence[Any]) -> dict[str, Any]:
    return {"rule": rule, "source": source, "n": n, **intervals.share(groups).to_dict()}
