"""`longshore model checks | approve | reject`: what the gate found, and a person's answer where it asks for one."""

from __future__ import annotations

import time

import click
import msgspec

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.model_moves import move_champion
from longshore.cli.model_names import actor, opened, resolve
from longshore.cli.projecting import converge
from longshore.errors import ConfigurationError, ConflictError
from longshore.records import ModelEventKind
from longshore.registry import AliasRecord, Registry
from longshore.registry.catalog import CHALLENGER
from longshore.registry.formats import Approval


@click.command("checks")
@click.argument("version")
@output_option
@pass_app
def checks(app: App, version: str, output: str) -> None:
    """Every check the gate made of a version, with its figures, for each champion it was judged against."""
    registry = opened(app)
    version, _ = resolve(registry, version)
    found = registry.notes.judgements(version)
    if output == "json":
        print_json([msgspec.to_builtins(judged) for judged in found])
        return
    for judged in found:
        against = f"champion {judged.champion}, generation {judged.generation}" if judged.champion else "no champion"
        click.echo(f"{judged.version} against {against}: {judged.decision}")
        click.echo(f"  {judged.reason}")
        for check in judged.checks:
            click.echo(f"  {check['status']:12} {check['name']}: {check['detail']}")
    if not found:
        click.echo(f"{version} was not judged by the gate", err=True)


@click.command("approve")
@click.argument("version")
@click.option("--reason", default="approved", show_default=True, help="Goes into the history.")
@click.option("--anyway", is_flag=True, help="Also if another model has become champion since the gate judged it.")
@output_option
@pass_app
def approve(app: App, version: str, reason: str, *, anyway: bool, output: str) -> None:
    """Make a version champion that passed the gate and waits (trainer.approval = manual)."""
    registry = opened(app)
    version, asked = _waiting(registry, version)
    _require_same_champion(registry, version, asked, anyway=anyway)
    _answer(registry, version, approved=True, reason=reason)
    move_champion(
        app,
        registry,
        version,
        kind=ModelEventKind.PROMOTED,
        reason=f"{reason}; the gate: {asked.reason}",
        output=output,
        trigger_id=asked.trigger_id,
    )


@click.command("reject")
@click.argument("version")
@click.option("--reason", required=True, help="Goes into model.events: the monitor and later readers see it.")
@output_option
@pass_app
def reject(app: App, version: str, reason: str, output: str) -> None:
    """Turn a version down that passed the gate and waits; its request's attempt is over."""
    registry = opened(app)
    version, asked = _waiting(registry, version)
    _answer(registry, version, approved=False, reason=reason)
    registry.record_rejection(version, trigger_id=asked.trigger_id, actor=actor(), reason=reason)
    waiting = converge(app)
    if output == "json":
        print_json({"version": version, "rejected": True, "pending": waiting})
        return
    click.echo(f"{version} is rejected")
    for line in waiting:
        click.echo(f"later, by the services' own projectors: {line}", err=True)


def _waiting(registry: Registry, name: str) -> tuple[str, AliasRecord]:
    """The version, and its asking for approval."""
    version, _ = resolve(registry, name)
    asked = [record for record in registry.history(CHALLENGER) if record.version == version]
    if not asked:
        raise ConfigurationError(
            f"{version} does not wait for approval", mend="`longshore model promote` moves to any version"
        )
    return version, asked[-1]


def _require_same_champion(registry: Registry, version: str, asked: AliasRecord, *, anyway: bool) -> None:
    champion = registry.alias()
    if anyway or champion is None or champion.version == version:
        return
    if any(record.trigger_id == asked.trigger_id for record in registry.history()):
        raise ConflictError(
            f"{version} was approved and promoted already; {champion.version} is champion since",
            mend=f"go back to it with `longshore model promote {version}`",
        )
    if all(judged.generation != champion.generation for judged in registry.notes.judgements(version)):
        raise ConflictError(
            f"{version} was not judged against {champion.version}, champion by now (generation {champion.generation})",
            mend="train again, or approve it with --anyway",
        )


def _answer(registry: Registry, version: str, *, approved: bool, reason: str) -> None:
    """Note the answer; the first one counts, and the same one again changes nothing."""
    mine = Approval(version=version, approved=approved, actor=actor(), reason=reason, time=round(time.time() * 1_000))
    counts = registry.notes.answer(mine)
    if counts.approved != approved:
        word = "approved" if counts.approved else "rejected"
        command = "rollback" if counts.approved else f"promote {version}"
        raise ConflictError(
            f"{version} was {word} by {counts.actor}: {counts.reason}", mend=f"`longshore model {command}` overrules it"
        )
