"""`longshore config show` and `config validate`."""

from __future__ import annotations

import re
from typing import Any

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.monitor.alerts.configured import has_receivers, targets_of


@click.group("config")
def config() -> None:
    """Show or check the settings."""


@config.command("show")
@output_option
@pass_app
def show(app: App, output: str) -> None:
    """Every setting as it is in force; secrets are starred."""
    values = _plain(app.settings.model_dump())
    if output == "json":
        print_json(values)
        return
    for key, value in _flat(values):
        click.echo(f"{key} = {value!r}   # LONGSHORE_{key.upper().replace('.', '__')}")


@config.command("validate")
@pass_app
def validate(app: App) -> None:
    """Check settings and schema; silent errors become loud ones before a service starts."""
    schema = app.schema
    if has_receivers(app.settings.alerts):
        targets_of(app.settings.alerts)
    click.echo(f"settings and schema {schema.name!r} ({len(schema.fields)} fields) are valid")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "get_secret_value"):
        text = value.get_secret_value()
        # An address helps at 3 in the morning; the password in it must not be seen, nor the path of one of the web,
        # which often holds a token.
        shown = re.sub(r"//[^@/]*@", "//***@", text) if "://" in text else "***"
        return re.sub(r"^(https?://[^/?]*).+", r"\1/***", shown)
    return str(value) if not isinstance(value, str | int | float | bool | list | tuple | None) else value


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((prefix + key, value))
    return rows
