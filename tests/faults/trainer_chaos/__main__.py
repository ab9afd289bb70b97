"""`python -m tests.faults.trainer_chaos`: one run; exit 0 only if no promise was broken."""

from __future__ import annotations

import time
from pathlib import Path

import click
from tests.faults.long_form import begin, end
from tests.faults.trainer_chaos.run import World, run, world
from tests.services import settings_for

from longshore.errors import LongshoreError
from longshore.local.stack import LocalStack


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", type=click.IntRange(2), default=200, show_default=True, help="SIGKILLs; half among followers.")
@click.option("--seed", type=int, help="Same seed: same fates are drawn, in the same order [the day's date].")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".longshore/trainer-chaos"), show_default=True)
@click.option("--keep", is_flag=True, help="Keep the run's folder, with all logs, even if all is well.")
def main(kills: int, seed: int | None, folder: Path, keep: bool) -> None:
    """Kill trainers while they train, judge and promote, and see that no request is lost, doubled or half done.

    The first half of the kills is among batch runs (`train --trigger-id`, two of one name at once), the second among
    two followers (`train --follow`) on a Kafka of the run's own, with requests sent twice and requests about a former
    model. Every process has its fate drawn: it dies after a step (a file synced, linked, renamed or removed), soon
    after it told of a stage, or some time after its start. A kill counts if there was work to be interrupted.

    Looked at every 10 ms: no half version is ever visible, the history only grows. In the end: every request has
    exactly one outcome, at most one version and one promotion; model.events and Redis hold what the registry says.
    """
    seed, run_folder = begin(folder, seed)
    again = f"python -m tests.faults.trainer_chaos --kills {kills} --seed {seed}"
    click.echo(f"{again}\nlogs in {run_folder}")
    started = time.monotonic()
    with (
        LocalStack(run_folder, ephemeral=True) as stack,
        world(settings_for(stack, "chaos.", run_folder), run_folder, seed=seed) as one,
    ):
        try:
            wrong = run(one, kills, lambda line: click.echo(f"{time.monotonic() - started:6.1f} s  {line}"))
        except (AssertionError, LongshoreError) as error:
            wrong = [f"stuck: {error}", *one.troubles, *one.watch.troubles]
        summarise(one, time.monotonic() - started)
    end(run_folder, wrong, f"seed {seed}: nothing lost, doubled or half done", again=again, keep=keep)


def summarise(one: World, took_s: float) -> None:
    """What was done, and what came of it."""
    click.echo(", ".join(f"{name} {count}" for name, count in sorted(one.done.items())))
    outcomes = one.outcomes()
    click.echo(
        f"{len(one.batches)} batch runs; {len(one.followed)} requests: "
        f"{', '.join(f'{count} {name}' for name, count in sorted(outcomes.items()))}; "
        f"{len(one.registry.versions())} versions, {len(one.registry.history())} promotions, "
        f"looked at {one.watch.looks:,} times, {took_s:.0f} s"
    )


if __name__ == "__main__":
    main()
