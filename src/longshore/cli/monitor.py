"""`longshore monitor`: wires the monitor's roles to Kafka and the registry."""

from __future__ import annotations

from functools import partial

import click

from longshore.cli.app import App, pass_app
from longshore.errors import ConfigurationError
from longshore.instance import instance_id
from longshore.kafka.admin import create_topics
from longshore.loss_model import FILE as LOSS
from longshore.monitor.service import ROLES, run
from longshore.registry import Registry
from longshore.service import running


@click.command("monitor")
@click.option(
    "--role",
    type=click.Choice(sorted(ROLES)),
    default="all",
    show_default=True,
    help="count and join scale out over partitions; decide and notify have one active member, more stand by. "
    "all notifies where alerts has a receiver.",
)
@click.option("--instance", help="Stable name of this replica [host + slot]. Two living processes must not share one.")
@pass_app
def monitor(app: App, role: str, instance: str | None) -> None:
    """Count predictions into panes, join labels to them, decide on drift and tell of it, until SIGTERM."""
    settings = app.settings
    with running("monitor", settings) as runtime:
        create_topics(settings, app.topics.specs(settings))
        registry = Registry.open(settings.registry(), settings.model)

        def read(file: str, version: str) -> bytes | None:
            try:
                return registry.read(version, file) if file in registry.manifest(version)["files"] else None
            except ConfigurationError:
                return None

        name = instance or instance_id(settings, f"monitor-{role}")
        files = {"read_profile": partial(read, "profile"), "read_loss": partial(read, LOSS)}
        run(settings, app.schema, runtime, role=role, instance=name, **files)
