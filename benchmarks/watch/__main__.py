"""`python -m benchmarks.watch`, or `make bench ARGS=watch`: every part that is asked for, in one run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _results
from benchmarks.drift import machine
from benchmarks.scoring import machine as scoring
from benchmarks.scoring.world import BENCH, ROOT
from benchmarks.watch import cost, delays, estimate, inputs, policy, quality, tables
from benchmarks.watch.plan import PARTS as ALL
from benchmarks.watch.plan import QUICK, Plan, parse

PARTS: dict[str, tuple[str, Callable[[Plan, dict[str, Any]], None], Callable[[Any], str]]] = {
    "concept": ("Prices × 1.2, inputs unchanged", delays.concept, tables.concept),
    "inputs": ("Input alarms while only the concept changes", inputs.measure, tables.inputs),
    "decline": ("A decline of 0.1 % of the RMSE in 100 labels", delays.decline, tables.decline),
    "run-length": ("Run length of the loss test without any change", delays.run_lengths, tables.run_length),
    "policy": ("What asks for a retraining", policy.measure, tables.policy),
    "estimate": ("The error expected without labels", estimate.measure, tables.estimate),
    "cost": ("What decisions cost: staleness and retrainings", cost.measure, tables.cost),
    "quality": ("Faults of the data", quality.measure, quality.tables),
}


def main() -> None:
    plan = parse(sys.argv[1:])
    quick = plan.runs == QUICK.runs
    folder = plan.results or (BENCH / "results" if quick else ROOT / "benchmarks" / "results")
    results: dict[str, Any] = {
        "began": datetime.now(UTC).isoformat(timespec="minutes"),
        "command": shlex.join(["python", "-m", "benchmarks.watch", *sys.argv[1:]]),
        "failed": {},
        "seconds": {},
        "load": [scoring.load(), scoring.load()],
    }
    kind = "-".join(("watch", *(() if plan.parts == ALL else plan.parts)))  # a part alone leaves the others' results
    plot = Path(__file__).with_name("plot.py") if "estimate" in plan.parts else None
    for part in plan.parts:
        _results.measure(part, partial(PARTS[part][1], plan, results), results)
        results["machine"] = machine.describe()  # by now the peers are there
        results["load"][1] = scoring.load()
        drawn = plot if results.get("estimate") else None
        _results.write(kind, results, _text(results), folder, drawn)  # what is there, if the next part never ends
    print(f"\n{_text(results)}")
    sys.exit(1 if results["failed"] else 0)


def _text(results: dict[str, Any]) -> str:
    """The whole as Markdown."""
    about = (
        f"{results['began']}, load average {results['load'][0]} at the beginning and {results['load'][1]} at the end."
        f" Command: `{results['command']}`. All detectors of a change in errors are at a false alarm in 10,000 labels:"
        " ours by its stated run length, the others' settings by bisection on undrifted streams. Intervals are 95 %."
    )
    sections = ((part, title, table) for part, (title, _, table) in PARTS.items())
    return _results.page("The watch", about, sections, results)


if __name__ == "__main__":
    main()
