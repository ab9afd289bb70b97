"""River's ADWIN and Page-Hinkley as policies of retraining: tuned to a run length on undrifted errors, in the loop.

    python river_cost.py RUNS RUN_LENGTH

Prints, by detector and input, its setting, the run length reached, and for each of the streams 0 … RUNS − 1 after how
many records it asks. An alarm waits for `FRESH` labels of what it takes for the new relation: ADWIN from the beginning
of its window after the cut, Page-Hinkley, which tells no place, from the alarm. A new model begins with a new detector.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from river_losses import adwin, hinkley, tuned

sys.path.insert(0, str(Path(__file__).parents[1]))
from cost_world import FRESH, LATE, PANE, TRAINING, Stream, stream

STEPS, CLEAN = 8, 400_000


DETECTORS: dict[str, tuple[Callable[[float], Any], float, float]] = {
    "River ADWIN": (adwin, 0.0, 9.0),
    "River Page-Hinkley": (hinkley, 0.3, 4.0),
}


def asked(one: Stream, make: Callable[[], Any], loss: Callable[[Any], Any]) -> list[int]:
    """After how many records it asks for a retraining."""
    found: list[int] = []
    model, used, pending, detector, fresh_from = 1.0, 0, None, make(), -1
    for end in range(PANE, len(one.x) + 1, PANE):
        if pending is not None and end - PANE >= pending[0]:
            used, model, pending, detector, fresh_from = pending[0], pending[1], None, make(), -1
        first = max(end - LATE - PANE, used)
        for i, value in enumerate(loss(model * one.x[first : end - LATE] - one.y[first : end - LATE]).tolist(), first):
            if pending is None and fresh_from < 0:
                detector.update(value)
                if detector.drift_detected:
                    fresh_from = i + 1 - int(getattr(detector, "width", 0))
        if pending is None and fresh_from >= 0 and end - LATE - fresh_from >= FRESH:
            found.append(end)
            pending = end + TRAINING, one.fitted(end)
    return found


def main() -> None:
    runs, wanted = int(sys.argv[1]), float(sys.argv[2])
    clean = np.random.default_rng(35).normal(0, 1, CLEAN)
    losses: dict[str, Callable[[Any], Any]] = {"absolute": np.abs, "signed": np.asarray}
    found = []
    for name, (make, low, high) in DETECTORS.items():
        for given, loss in losses.items():
            values = loss(clean)[None]
            strictness, reached = tuned(make, low, high, values, wanted=wanted, steps=STEPS)
            times = [asked(stream(seed), lambda: make(strictness), loss) for seed in range(runs)]  # noqa: B023
            found.append(
                {"detector": name, "input": given, "setting": strictness, "run_length": reached, "asked": times}
            )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
