"""`longshore topics create`."""

from __future__ import annotations

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.kafka.admin import create_topics


@click.group("topics")
def topics() -> None:
    """The topics Longshore uses."""


@topics.command("create")
@output_option
@pass_app
def create(app: App, output: str) -> None:
    """Create the topics that are missing, with their partitions, replication and retention."""
    specs = app.topics.specs(app.settings)
    created = set(create_topics(app.settings, specs))
    rows = [{"topic": s.name, "partitions": s.partitions, "created": s.name in created} for s in specs]
    if output == "json":
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{'created' if row['created'] else 'exists ':8} {row['topic']}")
