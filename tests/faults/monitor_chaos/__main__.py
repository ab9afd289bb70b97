"""`python -m tests.faults.monitor_chaos`: one run; exit 0 only if all that was told is as if nothing had been done."""

from __future__ import annotations

import time
from pathlib import Path

import click
from tests.faults.long_form import begin, end
from tests.faults.monitor_chaos.run import World, run, world
from tests.faults.monitor_chaos.story import LEAST_RECORDS
from tests.services import settings_for

from longshore.errors import LongshoreError
from longshore.local.stack import LocalStack

PER_KILL = 1_000
"""Records for each kill, where none are given: the stream must flow while members come back."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", type=click.IntRange(1), default=50, show_default=True, help="SIGKILLs, half of either role.")
@click.option("--seed", type=int, help="Same seed and counts: same records, faults and places [the day's date].")
@click.option("--records", type=click.IntRange(LEAST_RECORDS), help=f"Predictions in all [{PER_KILL} for each kill].")
@click.option(
    "--tree", type=click.Path(path_type=Path), help="Run the monitors from another folder that holds longshore/."
)
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".longshore/monitor-chaos"), show_default=True)
@click.option("--keep", is_flag=True, help="Keep the run's folder, with all logs, even if all is well.")
def main(  # noqa: PLR0917  # click passes them by name
    kills: int, seed: int | None, records: int | None, tree: Path | None, folder: Path, keep: bool
) -> None:
    """Kill both roles of the monitor under a drifting stream, and compare what they tell with an undisturbed batch.

    Two counters and two deciders run on a Kafka of the run's own. A tenth of the predictions come late within bounds.
    A third of the kills are aimed into a transaction. Besides them, for every five, a monitor is stopped until others
    took over, ended and restarted, or stopped while its name is taken. Each fault waits until all have recovered.

    In the end every verdict, alert and retrain request must be byte for byte what the batch tells, once; every record
    counted once; and the last snapshot must be the batch's.
    """
    seed, run_folder = begin(folder, seed)
    records = records or max(LEAST_RECORDS, PER_KILL * kills)
    again = f"python -m tests.faults.monitor_chaos --kills {kills} --seed {seed} --records {records}"
    click.echo(f"{again}\nlogs in {run_folder}")
    started = time.monotonic()
    with LocalStack(run_folder, ephemeral=True) as stack:
        settings = settings_for(stack, "chaos.", run_folder)
        with world(settings, run_folder, seed=seed, records=records, tree=tree) as one:
            try:
                wrong = run(one, kills, click.echo)
            except (AssertionError, LongshoreError) as error:
                wrong = [f"stuck: {error}"]
            summarise(one, time.monotonic() - started)
    end(run_folder, wrong, f"seed {seed}: all as if nothing had been done", again=again, keep=keep)


def summarise(one: World, took_s: float) -> None:
    """What was done, what the members went through, what came."""
    for what, counts in (("done", one.done), ("members said", one.members.told())):
        click.echo(f"{what}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    seen = one.seen
    click.echo(
        f"{seen.counted.total():,} records counted, {len(seen.events)} events, {len(seen.requests)} requests, "
        f"{len(seen.looks)} provisional verdicts, "
        f"{len(one.members.all)} processes, {took_s:.0f} s"
    )


if __name__ == "__main__":
    main()
