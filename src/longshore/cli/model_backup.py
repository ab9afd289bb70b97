"""`longshore model backup` and `restore`: the whole registry as one file."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.registry import Registry
from longshore.registry.backup import Copied, back_up
from longshore.registry.backup import restore as restore_backup


@click.command("backup")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="A new file, …tar.gz.")
@output_option
@pass_app
def backup(app: App, target: Path, output: str) -> None:
    """Write the whole registry to one file: every model's versions, history, claims and signatures.

    May run while everything works. Exits 1 where a version's files are not what their sha256 says: the file is written,
    and holds them as they are. Keys are not in it.
    """
    url = app.settings.registry()
    copied = back_up(url, target)
    problems = _problems(url, copied.models)
    _report(copied, problems, f"written to {target}", output)


@click.command("restore")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@output_option
@pass_app
def restore(app: App, source: Path, output: str) -> None:
    """Create what the registry lacks of a backup. The registry is empty, or the backup holds all of it.

    Nothing is overwritten, and every sha256 is checked before anything is written. Killed half-way, the same command
    goes on. Stop the trainers first.
    """
    url = app.settings.registry()
    copied = restore_backup(url, source)
    _report(copied, _problems(url, copied.models), f"restored from {source}, {copied.there} were there", output)


def _problems(url: str, models: list[str]) -> list[str]:
    opened = [Registry.open(url, model) for model in models]
    return [line for registry in opened for version in registry.versions() for line in registry.verify(version)]


def _report(copied: Copied, problems: list[str], done: str, output: str) -> None:
    if output == "json":
        print_json(msgspec.to_builtins(copied) | {"problems": problems})
    else:
        click.echo(f"{copied.files} files, {copied.bytes:,} bytes, of {', '.join(copied.models)}, {done}")
    for line in problems:
        click.echo(line, err=True)
    if problems:
        raise click.exceptions.Exit(1)
