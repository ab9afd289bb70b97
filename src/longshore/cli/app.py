"""What every command shares: the settings, the output form, and how an error becomes one line and an exit code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import msgspec

from longshore.config import Settings
from longshore.kafka.model_events import ModelEventLog
from longshore.projector import Projector
from longshore.redis_store import ModelCache
from longshore.registry import Registry
from longshore.schema import Schema, load_schema
from longshore.topics import Topics

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class App:
    """Handed to every command: validated settings and the schema and topic names they imply."""

    settings: Settings

    @property
    def schema(self) -> Schema:
        """The schema the settings name, `districts` by default."""
        return load_schema(self.settings.schema_file)

    @property
    def topics(self) -> Topics:
        """The topic names under the settings' prefix."""
        return Topics.of(self.settings.topic_prefix, self.schema)


pass_app = click.make_pass_decorator(App)


def projector_for(app: App, registry: Registry) -> Projector:
    """A projector to whichever of Redis and Kafka the settings name."""
    settings = app.settings
    cache = ModelCache(settings.redis_url.get_secret_value()) if settings.redis_url else None
    log = ModelEventLog(settings, app.topics.models) if settings.bootstrap_servers else None
    return Projector(settings, registry, cache, log)


def output_option(command: F) -> F:
    """Add `--output table|json`; json goes to stdout alone, everything else to stderr."""
    option = click.option(
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="Form of the result on stdout.",
    )
    return option(command)


def print_json(value: Any) -> None:
    """One JSON value on stdout, indented, non-finite numbers as null."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
