"""Streams without drift: how many records pass between alerts, against the number that was stated."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.drift import data, intervals
from benchmarks.drift.engine import fit
from benchmarks.drift.plan import Plan
from benchmarks.drift.work import spread

from longshore.monitor import Reference

SOURCES = ("housing, drawn", "housing, held out", "generator")
"""Drawn: the file is the population, reference and stream are drawn from it with replacement, so the promise applies
as it stands. Held out: streams from the rows that the reference left, whose own noise adds to the reference's."""

LONGEST = 20
"""A reference's runs end after so many stated lengths together, alert or not."""


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """Observed over stated, by source and stated length."""
    rows = []
    for source in SOURCES:
        many = plan.run_references
        found = spread(partial(_reference, plan=plan, source=source), range(many), plan.workers, source)
        for stated, _ in plan.runs:
            parts = [(records / stated, alerts) for records, alerts in (one[stated] for one in found)]
            estimate = intervals.ratio_of_sums(parts)
            rows.append({"source": source, "stated": stated, "step": step_of(stated), **estimate.to_dict()})
    results["run-length"] = {"rows": rows}


def step_of(stated: int) -> int:
    """Records between two looks."""
    return 25 if stated <= 10_000 else 100


def _reference(seed: int, *, plan: Plan, source: str) -> dict[int, tuple[int, int]]:
    frame, pool = _rows(source, seed)
    reference = fit(frame, seed)
    return {stated: _watched(reference, pool, seed, stated, runs) for stated, runs in plan.runs}


def _rows(source: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A reference and the rows that streams are drawn from."""
    if source == "generator":
        return data.split(data.generated(seed), seed, data.GENERATOR_ROWS)
    if source == "housing, held out":
        return data.split(data.housing(), seed)
    drawn = np.random.default_rng([seed, 8]).integers(0, len(data.housing()), data.REFERENCE_ROWS)
    return data.housing().iloc[drawn].reset_index(drop=True), data.housing()


def _watched(reference: Reference, pool: pd.DataFrame, seed: int, stated: int, runs: int) -> tuple[int, int]:
    """Records and alerts until so many runs have ended; rows are drawn with replacement."""
    random = np.random.default_rng([seed, 3, stated])
    watch = reference.watch(run_length=stated, step=step_of(stated))
    alerts, rows = 0, 0
    while rows < LONGEST * stated * runs:
        drawn = pool.iloc[random.integers(0, len(pool), 64 * step_of(stated))]
        for seen in watch.add(drawn):
            rows = seen.rows
            alerts += seen.alert
            if alerts == runs:
                return rows, alerts
    return rows, alerts
