"""`python -m benchmarks.training PART`, or `make bench ARGS="training PART"`: each part has its own command line."""

from __future__ import annotations

import importlib
import sys

PARTS = {
    "gate": "how often the gate errs: noise, equal, better, and worse on one segment",
    "quality": "the served model's RMSE, time and memory against the handbook's tuned forest, on its split and others",
    "loop": "from a request to all scorers swapped, and the scorers' throughput meanwhile",
}


def main() -> None:
    chosen = sys.argv[1:2] or list(PARTS)
    if unknown := [name for name in chosen if name not in PARTS]:
        listed = "\n".join(f"  {name:8} {what}" for name, what in PARTS.items())
        sys.exit(f"there is no part {unknown[0]}; there are (each with --help; without a name, all of them):\n{listed}")
    for name in chosen:
        importlib.import_module(f"benchmarks.training.{name}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
