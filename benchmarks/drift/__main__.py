"""`python -m benchmarks.drift`, or `make bench ARGS=drift`: every part that is asked for, in one run."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from benchmarks import _results
from benchmarks.drift import (
    attribution,
    cost,
    delay,
    exactness,
    false_alarms,
    machine,
    power,
    report,
    run_length,
)
from benchmarks.drift.plan import Plan, parse
from benchmarks.scoring import machine as scoring
from benchmarks.scoring.world import BENCH, ROOT

PARTS: dict[str, Callable[[Plan, dict[str, Any]], None]] = {
    "false-alarms": false_alarms.measure,
    "run-length": run_length.measure,
    "power": power.measure,
    "delay": delay.measure,
    "attribution": attribution.measure,
    "metrics": exactness.measure,
    "speed": cost.speed,
    "memory": cost.memory,
}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that work folders are removed
    plan = parse(sys.argv[1:])
    folder = plan.results or (ROOT / "benchmarks" / "results" if plan.plot else BENCH / "results")
    results: dict[str, Any] = {
        "began": datetime.now(UTC).isoformat(timespec="minutes"),
        "command": shlex.join(["python", "-m", "benchmarks.drift", *sys.argv[1:]]),
        "failed": {},
        "seconds": {},
        "load": [scoring.load(), scoring.load()],
        "machine": machine.describe(),
    }
    try:
        for part in plan.parts:
            _results.measure(part, partial(PARTS[part], plan, results), results)
    finally:
        results["machine"] = machine.describe()  # by now the peers are there
        results["load"][1] = scoring.load()
        print(f"\n{report.text(results)}")
        report.write(results, folder, plot=plan.plot)
    sys.exit(1 if results["failed"] else 0)


if __name__ == "__main__":
    main()
