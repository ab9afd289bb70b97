"""How a peer's script gets its work and hands back what it found. Needs numpy alone: it runs in every environment.

    python SCRIPT MODE FOLDER

For every `FOLDER/*.npz` the script's function of that mode gives arrays by name, kept in `FOLDER/out/` under the
peer's name. Windows: `RULE|score` float64[w], higher for more drift, and `RULE|alert` float64[w], 1 or 0 by the peer's
own default rule, NaN where it has none. Streams: `DETECTOR|score` float32[runs, records] and `DETECTOR|default`
float64[2], alarms and records at the defaults. Speed: `NAME` float64[times] seconds.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


class Job:
    """One file of work: a reference and the windows to judge, stacked."""

    def __init__(self, path: Path) -> None:
        self.held = dict(np.load(path, allow_pickle=False))
        self.n = int(self.held.get("n", 0))
        self.names = [str(name) for name in self.held.get("names", [])]
        self.seed = int(self.held.get("seed", 0))
        self.permutations = int(self.held.get("permutations", 0))

    def columns(self, side: str) -> dict[str, Any]:
        """`reference` or `current` by column."""
        return {name: self.held[f"{side}:{name}"] for name in self.names}

    @property
    def nominal(self) -> list[str]:
        """Columns of strings."""
        return [name for name in self.names if self.held[f"reference:{name}"].dtype.kind == "U"]

    @property
    def windows(self) -> int:
        """How many windows are stacked."""
        return len(self.held[f"current:{self.names[0]}"]) // self.n

    def window(self, i: int) -> dict[str, Any]:
        """The i-th window by column."""
        part = slice(i * self.n, (i + 1) * self.n)
        return {name: self.held[f"current:{name}"][part] for name in self.names}


class Rules:
    """Scores and default alerts of several rules, window by window."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}

    def add(self, rule: str, score: float, alert: float) -> None:
        """One window's."""
        self.found.setdefault(f"{rule}|score", []).append(float(score))
        self.found.setdefault(f"{rule}|alert", []).append(float(alert))

    def arrays(self) -> dict[str, Any]:
        """All windows'."""
        return {name: np.array(values) for name, values in self.found.items()}


def surprise(p_value: float) -> float:
    """A p-value as a score."""
    return float(-np.log10(max(float(p_value), 1e-300)))


def timed(call: Callable[[], Any], times: int) -> Any:
    """Seconds of each of so many calls, after two to warm up."""
    call(), call()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return np.array(taken)


def frames(job: Job, side: str) -> Any:
    """The side as a DataFrame, strings as objects."""
    import pandas as pd  # noqa: PLC0415  (not every environment has it)

    columns = job.columns(side)
    return pd.DataFrame({name: v.astype(object) if v.dtype.kind == "U" else v for name, v in columns.items()})


def main(modes: Mapping[str, Callable[[Job], Mapping[str, Any]]]) -> None:
    """Do the work of the mode asked for; a job that fails says so on stderr and stops the script."""
    mode, folder = sys.argv[1], Path(sys.argv[2])
    peer = Path(sys.argv[0]).stem
    out = folder / "out"
    out.mkdir(exist_ok=True)
    try:
        for path in sorted(folder.glob("*.npz")):
            np.savez(out / f"{path.stem}.{peer}.npz", **modes[mode](Job(path)))
    except Exception as error:
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}"[:250], file=sys.stderr)
        sys.exit(1)
