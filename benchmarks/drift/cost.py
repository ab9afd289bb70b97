"""What a window costs: milliseconds for all metrics and the decision, bytes of its counts, memory over many rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
from benchmarks.drift import data
from benchmarks.drift.engine import counts_of, fit
from benchmarks.drift.plan import Plan
from benchmarks.drift.work import ask, folder, write_windows

from longshore.monitor.messages import pack_narrow
from longshore.monitor.report import report_counts

ROWS = 1_000
PEERS = ("evidently", "nannyml")
PEER_SHARE = 50
FEWEST = 5
CHUNK = 50_000


def speed(plan: Plan, results: dict[str, Any]) -> None:
    """One window of ten streams, ours from counts and from a DataFrame, the peers' from DataFrames."""
    frame, pool = data.split(data.housing(), 0)
    reference, window = fit(frame, 0), pool.iloc[:ROWS].reset_index(drop=True)
    counts, sums = counts_of(reference, window)
    problems: dict[str, str] = {}
    ours: dict[str, Callable[[], Any]] = {
        "Longshore, from counts": lambda: report_counts(reference.profile, reference.layout, counts, sums, 0.05),
        "Longshore, counting the rows": lambda: counts_of(reference, window),
        "Longshore, compare(DataFrame)": lambda: reference.compare(window),
    }
    few = max(FEWEST, plan.timed // PEER_SHARE)
    times = {name: plan.timed if "from counts" in name else few for name in ours}
    taken = {name: timed(call, times[name]) for name, call in ours.items()}
    if plan.peers:
        with folder("speed") as place:
            write_windows(place / "window.npz", frame, window, ROWS, times=few)
            found = ask(PEERS, "speed", place, problems).get("window", {})
            taken |= {name: arrays["values"] for name, arrays in found.items()}
    base = float(np.median(taken["Longshore, from counts"]))
    rows = [
        {
            "rule": name,
            "times": len(seconds),
            "p50_ms": 1_000 * float(np.median(seconds)),
            "p99_ms": 1_000 * float(np.quantile(seconds, 0.99, method="higher")),
            "ratio": float(np.median(seconds)) / base,
        }
        for name, seconds in taken.items()
    ]
    results["speed"] = {"rows": rows, "problems": problems, "records": ROWS, "streams": len(reference.names)}


def timed(call: Callable[[], Any], times: int) -> Any:
    """Seconds of each of so many calls, after a few to warm up."""
    for _ in range(FEWEST):
        call()
    taken = np.zeros(times)
    for i in range(times):
        started = time.perf_counter()
        call()
        taken[i] = time.perf_counter() - started
    return taken


def memory(plan: Plan, results: dict[str, Any]) -> None:
    """A window's bytes at several sizes, and the process's memory while it counts many rows into one."""
    frame, pool = data.split(data.housing(), 0)
    reference = fit(frame, 0)
    sizes = []
    for n in (1_000, 10_000, 100_000):
        rows = pool.iloc[np.random.default_rng(n).integers(0, len(pool), n)]
        counts, sums = counts_of(reference, rows)
        sizes.append({"records": n, "bytes": counts.nbytes + sums.nbytes, "packed": len(pack_narrow(counts, sums))})
    chunk = pool.iloc[np.random.default_rng(0).integers(0, len(pool), CHUNK)].reset_index(drop=True)
    counts, sums = counts_of(reference, chunk)
    process, samples, done = psutil.Process(), [], 0
    seconds = 0.0
    while done < plan.memory_rows:
        started = time.perf_counter()
        more, further = counts_of(reference, chunk)
        counts, sums = counts + more, sums + further
        seconds += time.perf_counter() - started
        done += len(chunk)
        samples.append((done, process.memory_info().rss / 2**20))
    early = [megabytes for at, megabytes in samples if at <= max(plan.memory_rows / 10, 2 * CHUNK)]
    results["memory"] = {
        "sizes": sizes,
        "rows": done,
        "rss_early_mb": max(early),
        "rss_largest_mb": max(megabytes for _, megabytes in samples),
        "rows_per_s": done / seconds,
        "profile_bytes": len(reference.profile.to_bytes()),
        "samples": samples[:: max(1, len(samples) // 100)],
    }
