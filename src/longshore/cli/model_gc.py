"""`longshore model gc`: make room, of what nobody will ask for."""

from __future__ import annotations

import time

import click
import msgspec

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.model_names import actor, opened
from longshore.registry.collecting import Collector


@click.command("gc")
@click.option("--keep", type=click.IntRange(0), default=5, show_default=True, help="The newest versions that stay.")
@click.option(
    "--moves", type=click.IntRange(1), default=10, show_default=True, help="Of each alias: what these last moves named."
)
@click.option("--yes", is_flag=True, help="Delete. Without it, only say what would go.")
@output_option
@pass_app
def collect(app: App, keep: int, moves: int, yes: bool, output: str) -> None:
    """Delete the files of versions nobody will ask for, and what killed processes left. Manifests and history stay.

    Champion, previous and challenger always stay, and so does what an unfinished request made or is younger than a day.
    """
    registry = opened(app)
    collector = Collector(registry, keep=keep, moves=moves)
    found = collector.plan(time.time())
    if yes:
        found = collector.collect(found, actor=actor(), reason=f"gc --keep {keep} --moves {moves}")
    if output == "json":
        print_json({**msgspec.to_builtins(found), "bytes": found.total(), "deleted": yes})
        return
    for version, reason in found.kept.items():
        click.echo(f"stays  {version:8} {reason}")
    for name, size in (found.versions | found.leftovers).items():
        click.echo(f"{'gone' if yes else 'goes':6} {name:8} {size:,} bytes")
    count = f"{len(found.versions)} versions, {len(found.leftovers)} left-overs, {found.total():,} bytes"
    click.echo(f"{count} deleted" if yes else f"{count}; delete them with --yes")
