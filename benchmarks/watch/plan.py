"""What a run does: options to one value."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

PARTS = ("concept", "inputs", "decline", "run-length", "policy", "estimate", "cost", "quality")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything.

    Attributes:
        runs: splits of the housing data, one change each.
        slow_runs: declining streams.
        slow_labels: labels of one.
        fits: generated populations with a model each.
        clean_labels: labels of an undrifted stream of each.
        episodes: simulated episodes of each kind under each policy.
        benign: of the benign kind, where few requests are promised.
        estimate_seeds: models whose error is estimated without labels.
        cost_runs: streams on which policies are compared by what they cost.
        quality: of every count of the part on faults of the data.

    """

    parts: tuple[str, ...] = PARTS
    runs: int = 40
    slow_runs: int = 16
    slow_labels: int = 16_000
    fits: int = 2
    clean_labels: int = 60_000
    episodes: int = 16
    benign: int = 80
    estimate_seeds: int = 20
    cost_runs: int = 20
    quality: float = 1.0
    peers: bool = True
    results: Path | None = None


QUICK = Plan(
    runs=4,
    slow_runs=2,
    slow_labels=16_000,
    fits=1,
    clean_labels=10_000,
    episodes=4,
    benign=4,
    estimate_seeds=2,
    cost_runs=2,
    quality=0.05,
)


def parse(arguments: Sequence[str]) -> Plan:
    """The command line's plan."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watch", description=__doc__)
    parser.add_argument("--only", help=f"parts, joined by commas: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="shows that all works")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args(arguments)
    parts = tuple(given.only.split(",")) if given.only else PARTS
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"no such part: {', '.join(unknown)}")
    plan = QUICK if given.quick else Plan()
    return replace(plan, parts=parts, peers=not given.no_peers, results=given.results)
