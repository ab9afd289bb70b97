"""`python -m tests.faults.label_join`: one run; exit 0 only if the errors are those of an undisturbed batch."""

from __future__ import annotations

import time
from pathlib import Path

import click
from tests.faults.label_join.run import run, world
from tests.faults.long_form import begin, end
from tests.services import settings_for

from longshore.errors import LongshoreError
from longshore.local.stack import LocalStack


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", type=click.IntRange(1), default=30, show_default=True, help="SIGKILLs; more faults between.")
@click.option("--seed", type=int, help="Same seed and counts: same records and faults [the day's date].")
@click.option("--records", type=click.IntRange(1_000), default=60_000, show_default=True, help="Predictions in all.")
@click.option(
    "--tree", type=click.Path(path_type=Path), help="Run the joiners from another folder that holds longshore/."
)
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".longshore/label-join"), show_default=True)
def main(kills: int, seed: int | None, records: int, tree: Path | None, folder: Path) -> None:
    """Kill joiners under a stream of predictions and labels, and compare the errors with an undisturbed batch.

    A tenth of the labels come late beyond the day that is allowed, 5 % never, 1 % twice, 1 % again with another value.
    A third of the kills are aimed into a transaction, a third take the partitions' files along. Besides them, for every
    five, a joiner is ended and restarted, stopped until the other took over, or stopped while its name is taken.
    """
    seed, run_folder = begin(folder, seed)
    again = f"python -m tests.faults.label_join --kills {kills} --seed {seed} --records {records}"
    click.echo(f"{again}\nlogs in {run_folder}")
    started = time.monotonic()
    with LocalStack(run_folder, ephemeral=True) as stack:
        settings = settings_for(stack, "chaos.", run_folder)
        with world(settings, run_folder, seed=seed, records=records, tree=tree) as one:
            try:
                wrong = run(one, kills, click.echo)
            except (AssertionError, LongshoreError) as error:
                wrong = [f"stuck: {error}"]
            click.echo("done: " + ", ".join(f"{name} {count}" for name, count in sorted(one.done.items())))
            joined = sum(delta.n for delta in one.seen.deltas)
            told = ", ".join(f"{name} {count:,}" for name, count in one.seen.counts.items())
            click.echo(f"{joined:,} labels joined, {told}; {time.monotonic() - started:.0f} s")
    end(run_folder, wrong[:20], f"seed {seed}: all as in an undisturbed batch", again=again, keep=False)


if __name__ == "__main__":
    main()
