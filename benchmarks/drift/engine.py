"""The engine as the benchmark uses it: references fitted once and kept, many windows judged from one binning."""

from __future__ import annotations

import hashlib
import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.drift.data import Ints
from benchmarks.scoring.world import BENCH

import longshore.monitor
import longshore.profile
from longshore.monitor import Reference
from longshore.monitor.binning import count_columns
from longshore.monitor.frames import read_as
from longshore.monitor.significance import judge

CACHE = BENCH / "drift-references"
"""Fitted references; a change of the engine's code makes new ones."""


FITTED_BY = "binning calibration derived frames layout reference run_lengths significance usual"


def _code() -> bytes:
    assert longshore.monitor.__file__
    folder = Path(longshore.monitor.__file__).parent
    files = [folder / f"{name}.py" for name in FITTED_BY.split()] + [Path(longshore.profile.__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.is_file())).digest()


CODE = _code()
"""As it is when it is imported."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Windows judged: their p-values float64[w] and alerts bool[w] at the level asked for."""

    p_values: npt.NDArray[np.float64]
    alerts: npt.NDArray[np.bool_]


def fit(frame: pd.DataFrame, seed: int) -> Reference:
    """A fitted reference, from the cache where the same rows were fitted with the same code."""
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()
    columns = ",".join(map(str, frame.columns)).encode()
    name = hashlib.sha256(b"|".join([CODE, rows, columns, str(seed).encode()])).hexdigest()[:32]
    path = CACHE / name
    if path.is_file():
        kept: Reference = pickle.loads(path.read_bytes())  # noqa: S301  (our own, under .bench)
        return kept
    reference = Reference.fit(frame, seed=seed)
    CACHE.mkdir(parents=True, exist_ok=True)
    waiting = path.with_suffix(f".{os.getpid()}")
    waiting.write_bytes(pickle.dumps(reference))
    waiting.replace(path)
    return reference


def judge_windows(reference: Reference, cells: Ints, windows: Ints, alpha: float = 0.05) -> Judged:
    """Judge windows given as rows int64[w, n] of `cells`, which `Reference.test_cells` made of a frame."""
    tests = reference.layout.tests
    expected = reference.layout.for_tests(reference.profile.counts)
    found = [
        judge(
            tests,
            reference.profile.calibration,
            expected,
            np.bincount(cells[rows].ravel(), minlength=tests.total),
            alpha,
        )
        for rows in windows
    ]
    return Judged(np.array([one.p_value for one in found]), np.array([one.alert for one in found], dtype=np.bool_))


def counts_of(reference: Reference, frame: pd.DataFrame) -> tuple[Ints, Ints]:
    """A window's fine counts and fixed-point sums, int64[T] each: all that the stream's path keeps of it."""
    columns = read_as(frame, [(stream.name, stream.kind) for stream in reference.profile.streams])
    _, counts, sums = count_columns(reference.profile.streams, [column.values for column in columns])
    return counts, sums
