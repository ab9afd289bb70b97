"""`longshore model`: what the registry holds, and moving the champion by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.model_approve import approve, checks, reject
from longshore.cli.model_backup import backup, restore
from longshore.cli.model_diff import diff
from longshore.cli.model_gc import collect
from longshore.cli.model_keys import generate, list_keys, objection, sign
from longshore.cli.model_mlflow import export
from longshore.cli.model_moves import move_champion
from longshore.cli.model_names import ALIASES, opened, require_some, resolve
from longshore.cli.model_pmml import export_pmml
from longshore.cli.model_report import report
from longshore.cli.model_wandb import export_wandb
from longshore.errors import ConfigurationError
from longshore.records import ModelEventKind
from longshore.registry import Registry


@click.group("model")
def model() -> None:
    """The registry: versions, which one is champion, and who has signed them."""


for command in (
    *(generate, list_keys, sign, diff, collect, backup, restore, report, checks, approve, reject),
    *(export, export_wandb, export_pmml),
):
    model.add_command(command)


@model.command("list")
@output_option
@pass_app
def list_versions(app: App, output: str) -> None:
    """Every version, oldest first, with its metrics and the aliases that point at it."""
    registry = opened(app)
    pointing = {name: record.version for name in ALIASES if (record := registry.alias(name))}
    rows = [_row(registry, version, pointing) for version in registry.versions()]
    if output == "json":
        print_json(rows)
    elif rows:
        _print_rows(rows)
    else:
        click.echo(f"model {registry.model} has no version yet: run `longshore train`", err=True)


@model.command("show")
@click.argument("version")
@output_option
@pass_app
def show(app: App, version: str, output: str) -> None:
    """One version's manifest. VERSION: v1, v2, …, or champion, challenger, previous."""
    registry = opened(app)
    version, record = resolve(registry, version)
    manifest = registry.manifest(version)
    checksums = {name: described["sha256"] for name, described in manifest["files"].items()}
    paths = {name: registry.address(version, name) for name in manifest["files"]}
    shown = {**manifest, "generation": record.generation if record else None, "files": paths, "sha256": checksums}
    if output == "json":
        print_json(shown)
        return
    shown["golden"] = f"{len((manifest.get('golden') or {}).get('prediction', []))} records with their predictions"
    for key, value in shown.items():
        click.echo(f"{key:14} {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")


@model.command("promote")
@click.argument("version")
@click.option("--reason", default="promoted by hand", show_default=True, help="Goes into the history.")
@output_option
@pass_app
def promote(app: App, version: str, reason: str, output: str) -> None:
    """Make a version champion; scorers swap to it between two transactions."""
    registry = opened(app)
    version, _ = resolve(registry, version)
    move_champion(app, registry, version, kind=ModelEventKind.PROMOTED, reason=reason, output=output)


@model.command("rollback")
@click.option("--reason", default="rolled back by hand", show_default=True, help="Goes into the history.")
@output_option
@pass_app
def rollback(app: App, reason: str, output: str) -> None:
    """Make the version before the champion champion again; once more goes one further back."""
    registry = opened(app)
    version, _ = resolve(registry, "previous")
    move_champion(app, registry, version, kind=ModelEventKind.ROLLED_BACK, reason=reason, output=output)


@model.command("history")
@output_option
@pass_app
def history(app: App, output: str) -> None:
    """Every move of the champion, oldest first: when, from what to what, by whom and why."""
    records = opened(app).history()
    former = [None, *(record.version for record in records)]
    if output == "json":
        print_json(
            [{**msgspec.to_builtins(record), "from": before} for before, record in zip(former, records, strict=False)]
        )
        return
    for before, record in zip(former, records, strict=False):
        when = datetime.fromtimestamp(record.time / 1_000, UTC).isoformat(timespec="seconds")
        what = f"{record.generation:4} {record.kind.value:12} {before or '-':>6} -> {record.version:6}"
        click.echo(f"{what} {when} {record.actor}: {record.reason}")


@model.command("verify")
@click.argument("version", required=False)
@click.option("--all", "everything", is_flag=True, help="Every version (the default without VERSION).")
@output_option
@pass_app
def verify(app: App, version: str | None, everything: bool, output: str) -> None:
    """Compare every file with its sha256, and see that a trusted key signed it; exit 1 on any fault.

    Signatures count where a key is trusted here, as for a scorer with the same settings.
    """
    if version and everything:
        raise ConfigurationError("VERSION and --all were both given", mend="name a version, or all")
    registry = opened(app)
    wanted = [resolve(registry, version)[0]] if version else registry.versions()
    require_some(registry, wanted)
    problems = {name: registry.verify(name) or objection(app, registry, name) for name in wanted}
    if output == "json":
        print_json([{"version": name, "ok": not found, "problems": found} for name, found in problems.items()])
    else:
        for name, found in problems.items():
            click.echo(f"{name:6} {'; '.join(found) or 'ok'}")
    if any(problems.values()):
        raise click.exceptions.Exit(1)


def _row(registry: Registry, version: str, pointing: dict[str, str]) -> dict[str, Any]:
    manifest = registry.manifest(version)
    return {
        "version": version,
        "created": manifest["created"],
        "aliases": [name for name, target in pointing.items() if target == version],
        "metrics": manifest.get("metrics") or {},
        "trigger_id": manifest.get("trigger_id") or "",
    }


def _print_rows(rows: list[dict[str, Any]]) -> None:
    click.echo(f"{'version':8} {'created':19} {'rmse':>12} {'r2':>8}  {'aliases':20} trigger")
    for row in rows:
        numbers = [_number(row["metrics"].get(name)) for name in ("rmse", "r2")]
        cells = f"{row['version']:8} {row['created'][:19]:19} {numbers[0]:>12} {numbers[1]:>8}"
        click.echo(f"{cells}  {', '.join(row['aliases']):20} {row['trigger_id']}".rstrip())


def _number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, int | float) else "-"
