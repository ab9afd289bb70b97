"""River's ADWIN and Page-Hinkley on losses: tuned to a run length on clean streams by bisection, then run on others.

    python river_losses.py FOLDER

`FOLDER/clean.npz` and `FOLDER/<anything else>.npz` hold `absolute` and `signed`, float64[runs, labels], in standard
deviations of the held-out errors. `FOLDER/out.json` has for each detector and input its setting, the run length it
reached, and by file the labels up to the first alarm of every run (null: none). Runs in an environment of its own.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from river import drift

STEPS = 9
WANTED = 10_000


def adwin(strictness: float) -> Any:
    """Stricter: alarms less often."""
    return drift.ADWIN(delta=10.0**-strictness, grace_period=10)


def hinkley(strictness: float) -> Any:
    """Stricter: alarms less often."""
    return drift.PageHinkley(threshold=10.0**strictness, min_instances=30, delta=0.005)


DETECTORS: dict[str, tuple[Callable[[float], Any], float, float]] = {
    "River ADWIN": (adwin, 0.0, 9.0),
    "River Page-Hinkley": (hinkley, 0.3, 3.0),
}
"""How one is made of its strictness, and between which its right one lies."""


def run_length(make: Callable[[float], Any], strictness: float, streams: Any) -> float:
    """Labels over alarms, each stream going on after one."""
    alarms = 0
    for stream in streams:
        detector = make(strictness)
        for value in stream.tolist():
            detector.update(value)
            if detector.drift_detected:
                alarms += 1
                detector = make(strictness)
    return float(streams.size / alarms) if alarms else math.inf


def tuned(
    make: Callable[[float], Any],
    low: float,
    high: float,
    streams: Any,
    *,
    wanted: float = WANTED,
    steps: int = STEPS,
) -> tuple[float, float]:
    """The least strictness, by bisection, whose run length is at least the wanted one, and that."""
    for _ in range(steps):
        middle = (low + high) / 2
        if run_length(make, middle, streams) >= wanted:
            high = middle
        else:
            low = middle
    return high, run_length(make, high, streams)


def first(make: Callable[[float], Any], strictness: float, stream: Any) -> int | None:
    """Labels up to the first alarm."""
    detector = make(strictness)
    for at, value in enumerate(stream.tolist()):
        detector.update(value)
        if detector.drift_detected:
            return at + 1
    return None


def main() -> None:
    folder = Path(sys.argv[1])
    files = {path.stem: dict(np.load(path)) for path in sorted(folder.glob("*.npz"))}
    found = []
    for name, (make, low, high) in DETECTORS.items():
        for given in ("absolute", "signed"):
            strictness, reached = tuned(make, low, high, files["clean"][given])
            runs = {
                file: [first(make, strictness, stream) for stream in held[given]]
                for file, held in files.items()
                if file != "clean"
            }
            found.append(
                {"detector": name, "input": given, "setting": strictness, "run_length": reached, "first": runs}
            )
    (folder / "out.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
