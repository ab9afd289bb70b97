"""Making a version champion by hand: what is checked before the alias moves, and what is brought along afterwards."""

from __future__ import annotations

import click

from longshore.cli.app import App, print_json
from longshore.cli.model_keys import objection
from longshore.cli.model_names import actor
from longshore.cli.projecting import converge
from longshore.errors import IntegrityError
from longshore.records import ModelEventKind
from longshore.registry import Registry
from longshore.registry.catalog import MANUAL


def move_champion(
    app: App,
    registry: Registry,
    version: str,
    *,
    kind: ModelEventKind,
    reason: str,
    output: str,
    trigger_id: str = MANUAL,
) -> None:
    """Move the champion, then bring Redis and model.events along as far as they can be reached.

    Raises:
        IntegrityError: the version is damaged, or no scorer with these settings would serve it.
        ConflictError: somebody else moved the champion meanwhile.

    """
    current = registry.alias()
    changed = current is None or current.version != version
    record = current
    if changed:
        if damage := registry.verify(version):
            raise IntegrityError(f"{version} is damaged ({damage[0]})", mend="restore it, or choose another version")
        if found := objection(app, registry, version):
            raise IntegrityError(
                f"scorers would refuse {version}: {found[0]}",
                mend=f"sign it with `longshore model sign {version}` if you trust it, or choose another version",
            )
        record = registry.move_alias(
            "champion",
            version,
            expected_generation=current.generation if current else 0,
            trigger_id=trigger_id,
            actor=actor(),
            reason=reason,
            kind=kind,
        )
    assert record is not None  # noqa: S101  # either there was a champion or one was just made
    waiting = converge(app)
    if output == "json":
        moved = {"version": version, "generation": record.generation, "changed": changed}
        print_json({**moved, "previous": current.version if current else None, "pending": waiting})
        return
    click.echo(f"{version} is {'now' if changed else 'already'} champion, generation {record.generation}")
    for line in waiting:
        click.echo(f"later, by the services' own projectors: {line}", err=True)
