"""`python -m tests.faults.chaos`: one run for each seed; exit 0 only if every invariant holds in every one."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from tests.faults.chaos import plan as plans
from tests.faults.chaos.faults import inject
from tests.faults.chaos.outcome import Outcome, conclude, tell
from tests.faults.chaos.versions import train
from tests.faults.chaos.world import StuckError, World
from tests.faults.long_form import own_settings_only

from longshore.errors import LongshoreError

LIMIT = 3.0
"""Times the time it should take, and then it is a failure."""

LEAST_S, FAULT_S = 600.0, 8.0
"""For one fault and what comes before it, on two idle cores: the slowest part of them."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seed", type=int, help="Same seed and counts, same plan [the day's date].")
@click.option("--seeds", help="Several, as 1,2,3.")
@click.option("--long", "long_form", is_flag=True, help="1,000,000 records, 100 scorer kills, and so on.")
@click.option("--minutes", type=float, help="The short form's mixture for about so many minutes.")
@click.option("--records", type=int, help="How many records at least.")
@click.option("--kills", type=int, help="SIGKILLs of scorers, every second one inside a transaction.")
@click.option("--zombies", type=int, help="SIGSTOPs of scorers, short, beyond the session, and with a twin.")
@click.option("--rebalances", type=int, help="Replicas that join, leave, restart.")
@click.option("--broker-kills", type=int, help="SIGKILLs of the broker; half as many clean restarts beside them.")
@click.option("--redis", type=int, help="Redis killed, flushed, stalled.")
@click.option("--swaps", type=int, help="Moves of the champion alias.")
@click.option("--network", type=int, help="Connections cut, silent, slow; commits and their answers lost.")
@click.option("--replicas", type=click.IntRange(2), default=3, show_default=True, help="Scorers.")
@click.option("--protocol", type=click.Choice(plans.PROTOCOLS), help="Of the consumer group [the seed's choice].")
@click.option("--all-through-proxy", is_flag=True, help="Producer and concurrent reader go through the proxy too.")
@click.option(
    "--tree", type=click.Path(path_type=Path), help="Run the scorers from another folder that holds longshore/."
)
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".longshore/chaos"), show_default=True)
@click.option("--models", type=click.Path(path_type=Path), help="A home with versions of an earlier run, or for later.")
@click.option("--keep", is_flag=True, help="Keep the run's folder even if all is well.")
def main(  # noqa: PLR0917  # click passes them by name
    seed: int | None,
    seeds: str | None,
    long_form: bool,
    minutes: float | None,
    replicas: int,
    protocol: str | None,
    all_through_proxy: bool,
    tree: Path | None,
    folder: Path,
    models: Path | None,
    keep: bool,
    **given: int | None,
) -> None:
    """Kill, stop, cut off and swap everything under load; then count whether each record came out exactly once."""
    own_settings_only()
    base = plans.LONG if long_form else plans.SHORT
    counts = plans.with_counts(base.scaled(minutes / plans.SHORT_MINUTES) if minutes else base, **given)
    console = Console(width=None if os.isatty(1) else 120)
    failed = []
    trained = train((models or folder / f"models-{int(time.time())}").absolute())
    for number in _seeds(seed, seeds):
        plan = plans.make(number, counts, protocol=protocol, replicas=replicas)
        options = {"models": trained, "tree": tree, "all_through_proxy": all_through_proxy}
        if not _one(plan, folder.absolute() / f"{number}-{int(time.time())}", console, keep=keep, **options):
            failed.append(number)
    if not models:
        shutil.rmtree(trained)
    if failed:
        raise click.exceptions.Exit(1)


def _seeds(seed: int | None, seeds: str | None) -> list[int]:
    if seeds:
        return [int(text) for text in seeds.split(",")]
    return [int(f"{datetime.now(UTC):%Y%m%d}") if seed is None else seed]


def _one(plan: plans.Plan, folder: Path, console: Console, *, keep: bool, **options: Any) -> bool:
    """One run; whether all holds."""
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps(asdict(plan), indent=1), encoding="utf-8")
    again = _again(plan, **options)
    console.print(f"{again}\n{len(plan.faults)} faults, {plan.protocol} protocol, in {folder}", highlight=False)
    deadline_s = max(LEAST_S, LIMIT * FAULT_S * len(plan.faults))
    with World(plan, folder, deadline_s=deadline_s, **options) as world:
        outcome = conclude(world, _do(world))
    tell(outcome, console)
    (folder / "outcome.json").write_text(json.dumps(outcome.as_json(), indent=1), encoding="utf-8")
    return _leave(outcome, folder, console, again, keep=keep)


def _do(world: World) -> str:
    """The plan's faults; why they were not all done, or nothing."""
    fault = None
    try:
        for fault in world.plan.faults:
            inject(world, fault)
    except (StuckError, LongshoreError) as error:
        return f"{f'fault {fault.number + 1}, {fault.kind}' if fault else 'the start'}: {error}"
    return ""


def _again(plan: plans.Plan, *, tree: Path | None, all_through_proxy: bool, **_: Any) -> str:
    options = [f"--{name.replace('_', '-')} {value}" for name, value in asdict(plan.counts).items()]
    options += [f"--replicas {plan.replicas}", f"--protocol {plan.protocol}"]
    options += ["--all-through-proxy"] * all_through_proxy + ([f"--tree {tree}"] if tree else [])
    return f"make chaos ARGS='--seed {plan.seed} {' '.join(options)}'"


def _leave(outcome: Outcome, folder: Path, console: Console, again: str, *, keep: bool) -> bool:
    if outcome.holds:
        console.print(f"seed {outcome.seed}: every invariant holds", style="green")
        if not keep:
            shutil.rmtree(folder)
    else:
        console.print(f"seed {outcome.seed}: VIOLATED. Everything is in {folder}; again: {again}", style="bold red")
    return outcome.holds


if __name__ == "__main__":
    main()
