"""`python -m benchmarks.training PART`, or `make bench ARGS="training PART"`: each part has a command line of its own."""

from __future__ import annotations

import importlib
import sys

PARTS = {
    "gate": "how often the gate errs: noise, equal, better, and worse on one segment",
    "quality": "the served model's RMSE, time and memory against the handbook's tuned forest, on its split and others",
    "loop": "from a request to all scorers swapped, and the scorers' throughput meanwhile",
}


def main() -> None:
    chosen = sys.argv[1:2]
    if not chosen or chosen[0] not in PARTS:
        listed = "\n".join(f"  {name:8} {what}" for name, what in PARTS.items())
        sys.exit(f"name a part (with --help, its options):\n{listed}")
    importlib.import_module(f"benchmarks.training.{chosen[0]}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
