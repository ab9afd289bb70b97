"""Work for the peers: files of windows, their scripts run one after another, what they found by rule."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.drift.data import columns_of
from benchmarks.drift.peers_setup import FOLDER, prepare, python_of
from benchmarks.scoring.world import BENCH, tell

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PEER_TIMEOUT_S = 6 * 3_600
Found = dict[str, dict[str, dict[str, Any]]]
"""By file of work, by rule, its arrays."""


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder for a part's work, gone afterwards."""
    place = BENCH / f"drift-work-{name}-{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write_windows(path: Path, reference: pd.DataFrame, current: pd.DataFrame, n: int, **options: int) -> None:
    """A reference and windows of `n` rows stacked in `current`."""
    sides = {"reference": columns_of(reference), "current": columns_of(current)}
    arrays = {f"{side}:{name}": values for side, columns in sides.items() for name, values in columns.items()}
    np.savez(path, names=np.array(list(map(str, reference.columns))), n=n, **options, **arrays)


def write_streams(path: Path, streams: Any, reference: Any, *, slow: bool) -> None:
    """Streams float[runs, records, streams] and reference rows in the same unit."""
    np.savez(path, streams=streams, reference=reference, slow=int(slow))


def ask(peers: Sequence[str], mode: str, place: Path, problems: dict[str, str], workers: int = 1) -> Found:
    """What every peer found, so many at a time; one that cannot run leaves the reason in `problems`."""
    found: Found = {}

    def run(peer: str) -> None:
        started = time.perf_counter()
        problem = prepare(peer) or _script(peer, mode, place)
        if problem:
            problems[peer] = problem
        tell(f"  {peer}: {problem or f'{time.perf_counter() - started:.0f} s'}")

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, peers))
    for path in sorted((place / "out").glob("*.npz")):
        rules = found.setdefault(path.stem.rsplit(".", 1)[0], {})
        for name, values in np.load(path).items():
            rule, _, kind = name.partition("|")
            rules.setdefault(rule, {})[kind or "values"] = values
    return found


def _script(peer: str, mode: str, place: Path) -> str:
    command = [str(python_of(peer)), str(FOLDER / f"{peer}_peer.py"), mode, str(place)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=PEER_TIMEOUT_S,
            env=os.environ | ONE_THREAD,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"failed: {error}"[:250]
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return "" if done.returncode == 0 else f"failed: {said[-1] if said else done.returncode}"[:250]


def spread(task: partial[Any], items: Iterable[Any], workers: int, title: str) -> list[Any]:
    """The task on every item, in order, in one process or several; progress is told."""
    everything = list(items)
    os.environ.update(ONE_THREAD)
    results, started = [], time.perf_counter()
    told = started

    def note(result: Any) -> None:
        nonlocal told
        results.append(result)
        if time.perf_counter() - told > 30:
            told = time.perf_counter()
            tell(f"  {title}: {len(results)} of {len(everything)}, {told - started:.0f} s")

    if workers == 1:
        for item in everything:
            note(task(item))
    else:
        with ProcessPoolExecutor(workers) as pool:
            for result in pool.map(task, everything):
                note(result)
    tell(f"  {title}: {len(everything)} references, {time.perf_counter() - started:.0f} s")
    return results
