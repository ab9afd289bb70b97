"""`python -m benchmarks.scoring`, or `make bench ARGS=scoring`: every part that is asked for, in one run."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.scoring import machine, report
from benchmarks.scoring.contestants import CONTESTANTS
from benchmarks.scoring.measures import MEASURES
from benchmarks.scoring.plan import Plan, parse
from benchmarks.scoring.world import BENCH, ROOT, World, tell
from confluent_kafka import KafkaException

from longshore.errors import LongshoreError


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that every process started is ended
    plan = parse(sys.argv[1:], [one.name for one in CONTESTANTS])
    folder = plan.results or (ROOT / "benchmarks" / "results" if plan.plot else BENCH / "results")
    results: dict[str, Any] = {
        "began": datetime.now(UTC).isoformat(timespec="minutes"),
        "command": shlex.join(["python", "-m", "benchmarks.scoring", *sys.argv[1:]]),
        "failed": {},
        "load": [machine.load(), machine.load()],
        "machine": machine.describe(),
    }
    tell(
        f"{results['machine']['cores']} cores, load average {results['load'][0]}: a quiet machine gives honest figures"
    )
    started = time.perf_counter()
    BENCH.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=BENCH) as scratch, World(Path(scratch), plan.trees, plan.leaves) as world:
            run(world, plan, results)
    finally:
        results["machine"] = machine.describe()  # by now the peers are there
        results["load"][1] = machine.load()
        print(f"\n{report.text(results)}")
        report.write(results, folder, plot=plan.plot)
        tell(f"{time.perf_counter() - started:.0f} s")
    sys.exit(1 if results["failed"] else 0)


def run(world: World, plan: Plan, results: dict[str, Any]) -> None:
    """Every part in order; one that fails leaves what it has measured, and the others run."""
    results["model"] = world.train()
    model = results["model"]
    tell(f"model: {model['trees']} trees, {model['onnx_bytes']:,} bytes")
    for part in plan.parts:
        tell(f"== {part}")
        try:
            MEASURES[part](world, plan, results)
        except (LongshoreError, KafkaException, OSError, subprocess.SubprocessError) as error:
            results["failed"][part] = f"{type(error).__name__}: {error}"
            tell(f"  {part} failed: {results['failed'][part]}")


if __name__ == "__main__":
    main()
