"""What a run does: options to one value. Three forms: --quick (shows that all works), the default, --long."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

PARTS = ("false-alarms", "run-length", "power", "delay", "attribution", "metrics", "speed", "memory")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything.

    Attributes:
        references: fitted references of each part that judges windows.
        california_references: references fitted on the NannyML wheel's rows.
        windows: undrifted windows for each reference and size.
        sizes: window sizes on the housing data, in records.
        large: the window size on the generator, in records.
        generator_references: references fitted on the generator's rows.
        peer_references: of them, those whose windows the peers judge as well.
        peer_windows: windows of each that the peers judge.
        run_references: references of the run lengths.
        runs: by stated run length in records, runs for each reference.
        power_references: references of the power grid.
        null_windows: undrifted windows of each, from which thresholds are set.
        shifted_windows: windows of each cell of the grid and reference.
        null_runs: undrifted streams from which the stream detectors' thresholds are set.
        null_records: the length of one of them.
        slow_runs: of them, for detectors of a millisecond a record.
        delay_references: references of the delay.
        delay_runs: drifting streams for each.
        attribution_windows: windows for each reference and shifted stream.
        timed: windows timed, ours; the peers' are a fiftieth.
        memory_rows: rows counted.

    """

    parts: tuple[str, ...] = PARTS
    references: int = 8
    california_references: int = 4
    windows: int = 100
    sizes: tuple[int, ...] = (100, 250, 500, 1_000, 2_000)
    large: int = 20_000
    generator_references: int = 3
    peer_references: int = 4
    peer_windows: int = 15
    run_references: int = 8
    runs: tuple[tuple[int, int], ...] = ((1_000, 20), (10_000, 6), (100_000, 2))
    power_references: int = 6
    null_windows: int = 40
    shifted_windows: int = 6
    null_runs: int = 12
    null_records: int = 20_000
    slow_runs: int = 3
    delay_references: int = 4
    delay_runs: int = 15
    attribution_windows: int = 4
    timed: int = 1_000
    memory_rows: int = 1_000_000
    workers: int = 1
    peers: bool = True
    results: Path | None = None
    plot: bool = True


QUICK = Plan(
    references=2,
    california_references=1,
    windows=10,
    sizes=(100, 1_000),
    generator_references=1,
    peer_references=1,
    peer_windows=4,
    run_references=2,
    runs=((1_000, 3), (10_000, 1)),
    power_references=2,
    null_windows=10,
    shifted_windows=2,
    null_runs=2,
    null_records=3_000,
    slow_runs=1,
    delay_references=1,
    delay_runs=3,
    attribution_windows=1,
    timed=50,
    memory_rows=100_000,
    plot=False,
)

LONG = Plan(
    references=200,
    california_references=40,
    generator_references=200,
    peer_references=20,
    peer_windows=25,
    run_references=100,
    runs=((1_000, 20), (10_000, 10), (100_000, 4)),
    power_references=24,
    null_windows=60,
    shifted_windows=12,
    null_runs=50,
    slow_runs=15,
    delay_references=20,
    delay_runs=15,
    attribution_windows=10,
    timed=5_000,
    memory_rows=10_000_000,
    workers=2,
)


def parse(arguments: Sequence[str]) -> Plan:
    """The plan for a command line; exits with a message where it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drift", description="The drift engine against its promises and its peers."
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", action="store_true", help="tiny sizes: shows that all works, no figures")
    form.add_argument("--long", action="store_true", help="the numbers of the issue's promises")
    parser.add_argument("--only", default="", help=f"parts, separated by commas: {', '.join(PARTS)}")
    parser.add_argument("--workers", type=int, choices=range(1, 9), help="processes for our own part [1; long: 2]")
    parser.add_argument("--no-peers", action="store_true", help="our own figures alone")
    parser.add_argument("--results", type=Path, help="folder of the result files [benchmarks/results; quick: .bench]")
    parser.add_argument("--no-plot", action="store_true", help="without matplotlib, which is installed for the plot")
    args = parser.parse_args(arguments)
    plan = QUICK if args.quick else LONG if args.long else Plan()
    words = [word.strip() for word in args.only.split(",") if word.strip()]
    if unknown := [word for word in words if word not in PARTS]:
        parser.error(f"--only: unknown {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return replace(
        plan,
        parts=tuple(part for part in PARTS if not words or part in words),
        workers=args.workers or plan.workers,
        peers=not args.no_peers,
        results=args.results,
        plot=plan.plot and not args.no_plot,
    )
