"""How the long form of a fault test begins and ends: settings, seed and folder of its own; what was violated."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from longshore.service import configure_logs


def own_settings_only() -> None:
    """Forget the user's settings, and log to stderr."""
    for name in [name for name in os.environ if name.startswith("LONGSHORE_")]:
        del os.environ[name]
    configure_logs()


def begin(folder: Path, seed: int | None) -> tuple[int, Path]:
    """The seed, the day's date where none is given, and a new folder for the run."""
    own_settings_only()
    seed = int(f"{datetime.now(UTC):%Y%m%d}") if seed is None else seed
    run_folder = (folder / f"{seed}-{int(time.time())}").absolute()
    run_folder.mkdir(parents=True)
    return seed, run_folder


def end(run_folder: Path, wrong: list[str], well: str, *, again: str, keep: bool) -> None:
    """Exit 1 with what was violated and how to repeat it; else say that all is well, and remove the folder."""
    if wrong:
        click.echo("\n".join(f"VIOLATED: {line}" for line in wrong))
        click.echo(f"Everything is in {run_folder}; again: {again}")
        raise click.exceptions.Exit(1)
    click.echo(well)
    if not keep:
        shutil.rmtree(run_folder)
