"""One of ten streams shifted: is it ranked first, and how many of the streams that alarm did not move."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from benchmarks.drift import data, grid, intervals
from benchmarks.drift.engine import counts_of, fit
from benchmarks.drift.plan import Plan
from benchmarks.drift.work import spread

from longshore.monitor.report import report_counts

CASES = {250: (0.5, 0.4), 1_000: (0.2, 0.15)}
"""By window size: the numeric streams' shift in standard deviations, the nominal one's share of rows drawn anew."""


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """Shares by window size, and by shifted stream."""
    found = spread(partial(_reference, plan=plan), range(plan.references), plan.workers, "attribution")
    rows = []
    for n, (sigmas, share) in CASES.items():
        cases = [np.array([case[1:] for case in one[n]], dtype=np.float64) for one in found]
        alarmed = [case[case[:, 1] > 0] for case in cases]
        false = [case[:, 3] / np.maximum(case[:, 2], 1) for case in cases]
        names = dict.fromkeys(case[0] for case in found[0][n])
        rows.append(
            {
                "n": n,
                "shift": f"+ {sigmas:g} σ (nominal: {share:.0%} drawn anew)",
                "first": intervals.share([case[:, 0].astype(bool) for case in cases]).to_dict(),
                "first_of_alarms": intervals.share([c[:, 0].astype(bool) for c in alarmed if len(c)]).to_dict()
                if any(len(c) for c in alarmed)
                else None,
                "alarmed": intervals.share([case[:, 1].astype(bool) for case in cases]).to_dict(),
                "false_discoveries": intervals.ratio_of_sums([(f.sum(), len(f)) for f in false]).to_dict(),
                "first_by_stream": {
                    name: float(np.mean([case[1] for one in found for case in one[n] if case[0] == name]))
                    for name in names
                },
            }
        )
    results["attribution"] = {"rows": rows}


def _reference(seed: int, *, plan: Plan) -> dict[int, list[tuple[str, bool, bool, int, int]]]:
    """By size: the shifted stream, whether it came first, whether anything alarmed, alarms, and false ones."""
    frame, rest = data.split(data.housing(), seed)
    reference = fit(frame, seed)
    pool = grid.Pool.of(frame, rest, [seed, 6])
    found: dict[int, list[tuple[str, bool, bool, int, int]]] = {}
    for n, (sigmas, share) in CASES.items():
        for name in [str(column) for column in frame] * plan.attribution_windows:
            nominal = name == data.NOMINAL
            rows = grid.relabelled(pool, n, name, share) if nominal else grid.moved(pool, n, name, sigmas)
            report = report_counts(reference.profile, reference.layout, *counts_of(reference, rows), 0.05)
            flagged = [stream.name for stream in report.streams if stream.alert]
            false = len([one for one in flagged if one != name])
            case = (name, report.streams[0].name == name, report.alert, len(flagged), false)
            found.setdefault(n, []).append(case)
    return found
