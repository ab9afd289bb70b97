"""`longshore local`: the embedded Kafka and Redis, for other programs to use. What they do is left to `local.stack`."""

from __future__ import annotations

from dataclasses import asdict

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.config import Settings
from longshore.local.stack import Endpoints, LocalStack

NOTHING: dict[str, object] = {"bootstrap_servers": None, "redis_url": None, "pids": {}}
PORT = click.IntRange(0, 65_535)


@click.group("local")
def local() -> None:
    """Apache Kafka and Redis on this machine, without Docker or an installed Java."""


@local.command()
@click.option("--kafka-port", type=PORT, default=0, help="Kafka's port; a free one by default.")
@click.option("--redis-port", type=PORT, default=0, help="Redis' port; a free one by default.")
@output_option
@pass_app
def up(app: App, kafka_port: int, redis_port: int, output: str) -> None:
    """Start them, or find them running; return when both answer."""
    stack = _stack(app.settings, kafka_port=kafka_port, redis_port=redis_port)
    _show(stack.up(), output)


@local.command()
@output_option
@pass_app
def status(app: App, output: str) -> None:
    """Show where they answer; exit 1 if they do not."""
    stack = _stack(app.settings)
    found = stack.status()
    for line in stack.left_overs():
        click.echo(line, err=True)
    if found is not None:
        _show(found, output)
        return
    if output == "json":
        print_json(NOTHING)
    click.echo(f"nothing is up in {app.settings.home}: start it with longshore local up", err=True)
    raise click.exceptions.Exit(1)


@local.command()
@click.option("--purge", is_flag=True, help="Remove Kafka's data too.")
@output_option
@pass_app
def down(app: App, purge: bool, output: str) -> None:
    """Stop them; the data stays for the next `up`."""
    stopped = _stack(app.settings).down(purge=purge)
    if output == "json":
        print_json({"stopped": stopped})
    else:
        click.echo(f"stopped {' and '.join(stopped)}" if stopped else f"nothing was up in {app.settings.home}")


def _stack(settings: Settings, *, kafka_port: int = 0, redis_port: int = 0) -> LocalStack:
    return LocalStack(
        settings.home,
        bootstrap_servers=settings.bootstrap_servers,
        redis_url=settings.redis_url.get_secret_value() if settings.redis_url else None,
        kafka_port=kafka_port,
        redis_port=redis_port,
    )


def _show(endpoints: Endpoints, output: str) -> None:
    if output == "json":
        print_json(asdict(endpoints))
        return
    pids = ", ".join(f"{name} {pid}" for name, pid in endpoints.pids.items())
    click.echo(f"bootstrap_servers  {endpoints.bootstrap_servers}")
    click.echo(f"redis_url          {endpoints.redis_url}")
    click.echo(f"pids               {pids or 'none of ours'}")
