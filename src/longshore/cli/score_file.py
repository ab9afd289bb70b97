"""`longshore score --input FILE --to FILE`: wires a file's rows to a version from the registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from longshore.cli.app import App
from longshore.errors import ConfigurationError, DataError
from longshore.key_files import Trust
from longshore.producers.progress import shown
from longshore.registry import AliasRecord, Registry
from longshore.scorer.files.run import Job, open_source, rejects_beside, run
from longshore.scorer.models import Active, Models
from longshore.scorer.places import RegistryPlace


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for."""

    source: Path
    to: Path | None
    rejects: Path | None
    model_version: str | None
    overwrite: bool
    fail_on_reject: bool


class PinnedRegistry(Registry):
    """A registry whose champion is the version somebody named: the scorer's own loading and checks serve it."""

    pinned: str | None = None

    def alias(self, name: str = "champion") -> AliasRecord | None:
        """The champion, moved to the pinned version."""
        found = super().alias(name)
        if self.pinned is None or name != "champion":
            return found
        last = next((move for move in reversed(self.history()) if move.version == self.pinned), found)
        if last is None:
            raise ConfigurationError(f"model {self.model} has no champion", mend="run `longshore train`")
        return AliasRecord(
            alias=last.alias,
            model=last.model,
            version=self.pinned,
            generation=last.generation,
            kind=last.kind,
            trigger_id=last.trigger_id,
            actor=last.actor,
            reason=last.reason,
            time=last.time,
        )


def score_file(app: App, asked: Request) -> None:
    """Score the file and say how it went."""
    if asked.to is None:
        raise ConfigurationError("--input is given and --to is not", mend="say where the result goes")
    job = Job(asked.source, asked.to, asked.rejects or rejects_beside(asked.to), asked.overwrite)
    job.check()
    source = open_source(asked.source, app.schema)
    active = _model(app, asked.model_version)
    with shown(f"scoring {asked.source.name}", source.total, source.unit) as advance:
        counts = run(job, source, app.schema, model=active.model, version=active.version, advance=advance)
    refused = f", {counts.rejected:,} rejected ({counts.rejects})" if counts.rejected else ""
    click.echo(f"{counts.scored:,} of {counts.rows:,} rows scored with {active.version} into {asked.to}{refused}")
    if counts.rejected and asked.fail_on_reject:
        raise DataError(f"{counts.rejected:,} rows were rejected", mend=f"see {counts.rejects}")


def _model(app: App, version: str | None) -> Active:
    registry = PinnedRegistry.open(app.settings.registry(), app.settings.model)
    assert isinstance(registry, PinnedRegistry)  # noqa: S101  (`open` makes what it is called on)
    if version is not None:
        registry.manifest(version)  # an unknown one is refused by name
        registry.pinned = version
    if registry.alias() is None:
        raise ConfigurationError(f"model {registry.model} has no champion", mend="run `longshore train`")
    trusted = Trust(app.settings).keyring
    models = Models(
        app.schema, [RegistryPlace(registry)], model=registry.model, format=app.settings.scorer.format, trusted=trusted
    )
    models.refresh()
    active = models.active()
    if active is None:
        raise DataError("the model cannot be used", mend="the line above says why")
    return active
