"""`longshore model diff`: what differs between two versions."""

from __future__ import annotations

from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.model_names import opened, resolve
from longshore.registry.differences import Difference, differences

SHOWN = 44
"""Characters of a value in the table; JSON has it whole."""


@click.command("diff")
@click.argument("first")
@click.argument("second")
@output_option
@pass_app
def diff(app: App, first: str, second: str, output: str) -> None:
    """What differs between two versions (or aliases): metrics, parameters, data, libraries, columns, files."""
    registry = opened(app)
    names = [resolve(registry, name)[0] for name in (first, second)]
    found = differences(*(registry.manifest(name) for name in names))
    if output == "json":
        rows = [msgspec.to_builtins(row) | {"change": row.change()} for row in found]
        print_json({"first": names[0], "second": names[1], "differences": rows})
        return
    if not found:
        click.echo(f"{names[0]} and {names[1]} do not differ")
        return
    table = Table("", "", *names, "change", box=None)
    section = ""
    for row in found:
        table.add_row(row.section if row.section != section else "", row.name, *_values(row), _change(row))
        section = row.section
    Console().print(table)


def _values(row: Difference) -> tuple[str, str]:
    return _text(row.first), _text(row.second)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.6g}"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _change(row: Difference) -> str:
    change = row.change()
    return "" if change is None else f"{change:+.2%}"
