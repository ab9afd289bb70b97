"""The reported numbers against scipy: on the same bins, on the raw rows, and a window's from its counts alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from benchmarks.drift import data, grid, intervals
from benchmarks.drift.engine import counts_of, fit, judge_windows
from benchmarks.drift.plan import Plan
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr

from longshore.monitor import Reference, Report
from longshore.monitor.report import report_counts

SIZES = (100, 1_000, 5_000)
OUTLIERS = (1e2, 1e4, 1e5)
"""One row's value, in standard deviations."""

ALARM_ROWS = 1_000
REFERENCES = 8
"""Of the distances: enough for the largest differences."""
ALARM_REFERENCES = 40
WINDOWS = 5


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """Largest differences, and the alarms of windows with one outlier."""
    bins: dict[str, float] = {}
    raw: list[dict[str, Any]] = []
    alarms: dict[str, list[Any]] = {"without": [], "with": []}
    for seed in range(min(ALARM_REFERENCES, plan.references)):
        frame, rest = data.split(data.housing(), seed)
        reference = fit(frame, seed)
        pool = grid.Pool.of(frame, rest, [seed, 7])
        for kind, window in _windows(pool) if seed < REFERENCES else []:
            _on_bins(reference.compare(window), frame, window, bins)
            raw += [{"window": kind, **one} for one in _from_counts(reference, frame, window, pool.std)]
        plain = [pool.draw(ALARM_ROWS) for _ in range(plan.windows)]
        alarms["without"].append(_alarms(reference, plain))
        alarms["with"].append(_alarms(reference, [_wild(pool, window, OUTLIERS[0]) for window in plain]))
    outlier = {kind: intervals.share(found).to_dict() for kind, found in alarms.items()}
    counts = _by_kind(pd.DataFrame(raw))
    results["metrics"] = {"bins": bins, "counts": counts, "outlier": outlier, "outlier_rows": ALARM_ROWS}


def _by_kind(raw: pd.DataFrame) -> list[dict[str, Any]]:
    """The errors by kind of window; the worst is the one furthest outside both bounds together."""
    outside = np.minimum(raw["percent"].to_numpy() / 0.5, raw["sigma"].to_numpy() / 0.005)
    kinds = []
    for kind in dict.fromkeys(raw["window"]):
        chosen = np.flatnonzero(raw["window"].to_numpy() == kind)
        part, worst = raw.iloc[chosen], raw.iloc[int(chosen[outside[chosen].argmax()])]
        kinds.append(
            {
                "window": kind,
                "cases": len(part),
                "kept": float((outside[chosen] <= 1.0).mean()),
                "median_percent": float(part["percent"].median()),
                "worst": {name: worst[name] for name in ("stream", "percent", "sigma")},
                "ks": float(part["ks"].max()),
            }
        )
    return kinds


def _windows(pool: grid.Pool) -> list[tuple[str, pd.DataFrame]]:
    windows = []
    for n in SIZES:
        windows += [(f"undrifted, n={n:,}", pool.draw(n)) for _ in range(WINDOWS)]
        windows += [(f"shifted + 0.2 σ, n={n:,}", _all_moved(pool, n)) for _ in range(WINDOWS)]
    for sigmas in OUTLIERS:
        for n in SIZES[:2]:
            windows += [
                (f"one outlier of {sigmas:g} σ, n={n:,}", _wild(pool, pool.draw(n), sigmas)) for _ in range(WINDOWS)
            ]
    return windows


def _all_moved(pool: grid.Pool, n: int) -> pd.DataFrame:
    rows = pool.draw(n)
    return rows.assign(**{name: rows[name] + 0.2 * std for name, std in pool.std.items()})


def _wild(pool: grid.Pool, window: pd.DataFrame, sigmas: float) -> pd.DataFrame:
    """The window with its first row wild in every numeric stream."""
    rows = window.copy()
    for name, std in pool.std.items():
        values = rows[name].to_numpy(dtype=np.float64).copy()
        values[0] = sigmas * std
        rows[name] = values
    return rows


def _on_bins(report: Report, frame: pd.DataFrame, window: pd.DataFrame, largest: dict[str, float]) -> None:
    """The five distances against scipy and numpy, from the report's own bin counts and from the raw rows."""
    for stream in report.streams:
        p, q = (np.array(side) + 0.5 for side in (stream.bins.reference, stream.bins.current))
        p, q = p / p.sum(), q / q.sum()
        expected = {
            "PSI": (stream.psi, rel_entr(q, p).sum() + rel_entr(p, q).sum()),
            "KL": (stream.kl, stats.entropy(q, p)),
            "Jensen-Shannon": (stream.js, jensenshannon(p, q, base=2)),
        }
        a, b = frame[stream.name], window[stream.name]
        if stream.kind == "numeric":
            x, y = a.dropna().to_numpy(float), b.dropna().to_numpy(float)
            distance = stats.wasserstein_distance(x, y)
            expected["Wasserstein (of σ)"] = (stream.wasserstein / a.std(ddof=0), distance / a.std(ddof=0))
            expected["KS"] = (stream.ks, stats.ks_2samp(x, y, method="asymp").statistic)
        else:
            r, s = (np.array(side) / sum(side) for side in (stream.bins.reference, stream.bins.current))
            places = np.arange(len(r))
            expected["Wasserstein, nominal"] = (stream.wasserstein, float(np.abs(r - s).sum() / 2))
            expected["KS, nominal"] = (stream.ks, float(np.abs(np.cumsum(r) - np.cumsum(s))[places].max()))
        for name, (ours, theirs) in expected.items():
            largest[name] = max(largest.get(name, 0.0), abs(float(ours) - float(theirs)) / max(1.0, abs(float(theirs))))


def _from_counts(
    reference: Reference, frame: pd.DataFrame, window: pd.DataFrame, std: dict[str, float]
) -> list[dict[str, Any]]:
    """Wasserstein and KS of the counts against scipy's of the raw rows, by numeric stream."""
    report = report_counts(reference.profile, reference.layout, *counts_of(reference, window), 0.05)
    found = []
    for stream in report.streams:
        if stream.kind != "numeric":
            continue
        x, y = (side[stream.name].dropna().to_numpy(float) for side in (frame, window))
        exact = stats.wasserstein_distance(x, y)
        error = abs(stream.wasserstein - exact)
        found.append(
            {
                "stream": stream.name,
                "percent": 100 * error / exact,
                "sigma": error / std[stream.name],
                "ks": abs(stream.ks - stats.ks_2samp(x, y, method="asymp").statistic),
            }
        )
    return found


def _alarms(reference: Reference, frames: list[pd.DataFrame]) -> Any:
    cells = reference.test_cells(pd.concat(frames, ignore_index=True))
    return judge_windows(reference, cells, np.arange(len(cells)).reshape(-1, ALARM_ROWS)).alerts
