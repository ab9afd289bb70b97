"""What a run does: options to one value. Three forms: --quick (a minute, no figures), the default, --long."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

PARTS = ("throughput", "latency", "intervals", "scaling", "memory")
QUICK_RECORDS = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything. `only` names contestants; empty means all."""

    parts: tuple[str, ...] = PARTS
    only: tuple[str, ...] = ()
    records: int = 1_000_000
    rounds: int = 3
    trees: int = 200
    leaves: int = 8
    latency_rates: tuple[int, ...] = (100, 5_000, 20_000)
    """Besides `MAIN_RATE`, for Longshore alone and in one round."""
    latency_rounds: int = 3
    broker_warm_s: float = 45.0
    """Of small transactions at least before anybody's latency counts: a fresh broker takes thrice as long for them."""
    warm_s: float = 4.0
    latency_s: float = 10.0
    intervals_ms: tuple[int, ...] = (10, 20, 50, 100, 200, 500)
    partitions: tuple[int, ...] = (1, 4, 8, 16)
    processes: tuple[int, ...] = (1, 2, 3)
    memory_records: int = 3_000_000
    memory_rounds: int = 1
    results: Path | None = None
    plot: bool = True

    def wants(self, name: str) -> bool:
        """Whether a contestant takes part."""
        return not self.only or name in self.only


MAIN_RATE = 1_000

LONG = Plan(rounds=5, latency_rounds=5, latency_s=30.0, memory_records=10_000_000, memory_rounds=3)
QUICK = Plan(
    parts=("throughput",),
    records=QUICK_RECORDS,
    rounds=1,
    latency_rates=(),
    latency_rounds=1,
    broker_warm_s=1.0,
    warm_s=1.0,
    latency_s=3.0,
    intervals_ms=(20, 100),
    partitions=(1, 4),
    processes=(1, 2),
    memory_records=3 * QUICK_RECORDS,
    plot=False,
)


def parse(arguments: Sequence[str], contestants: Sequence[str]) -> Plan:
    """The plan for a command line; exits with a message where it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scoring", description="The scorer against the client's limit and its peers."
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", action="store_true", help="few records, one round: shows that all works, no figures")
    form.add_argument("--long", action="store_true", help="five rounds, 10,000,000 records for memory")
    parser.add_argument("--only", default="", help=f"parts ({', '.join(PARTS)}) and contestants, separated by commas")
    parser.add_argument("--records", type=_positive, help="in the input topic [1,000,000]")
    parser.add_argument("--rounds", type=_positive, help="of all contestants, interleaved [3]")
    parser.add_argument("--memory-records", type=_positive, help="of the memory run [3,000,000; long: 10,000,000]")
    parser.add_argument("--memory-rounds", type=_positive, help="of it: a noisy machine tells on one [1; long: 3]")
    parser.add_argument("--trees", type=_positive, help="of the model [200]")
    parser.add_argument("--leaves", type=_positive, help="of each tree [8; the product's own for many rows: 31]")
    parser.add_argument("--results", type=Path, help="folder of the result files [benchmarks/results; quick: .bench]")
    parser.add_argument("--no-plot", action="store_true", help="without matplotlib, which is installed for the plot")
    args = parser.parse_args(arguments)
    plan = QUICK if args.quick else LONG if args.long else Plan()
    named = ("records", "rounds", "memory_records", "memory_rounds", "trees", "leaves")
    given = {name: getattr(args, name) for name in named}
    plan = replace(plan, **{name: value for name, value in given.items() if value is not None})
    words = [word.strip() for word in args.only.split(",") if word.strip()]
    if unknown := [word for word in words if word not in (*PARTS, *contestants)]:
        parser.error(f"--only: unknown {', '.join(unknown)}; there are {', '.join((*PARTS, *contestants))}")
    parts = tuple(word for word in PARTS if word in words)
    only = tuple(name for name in contestants if name in words)
    if words:
        plan = replace(plan, parts=parts or ("throughput",), only=only)
    return replace(plan, results=args.results, plot=plan.plot and not args.no_plot)


def _positive(text: str) -> int:
    number = int(text.replace("_", "").replace(",", ""))
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
