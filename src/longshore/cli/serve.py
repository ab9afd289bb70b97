"""`longshore serve`: wires the HTTP server to the model cache and the registry."""

from __future__ import annotations

import socket

import click

from longshore.cli.app import App, pass_app
from longshore.redis_store import ModelCache
from longshore.registry import Registry
from longshore.scorer.places import open_models
from longshore.scorer.serving.service import run

PROFILE = "profile"


@click.command("serve")
@click.option("--host", help="Address to listen on [serve.host, 127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on, 0 for any [serve.port, 8080].")
@pass_app
def serve(app: App, host: str | None, port: int | None) -> None:
    """Answer single requests over HTTP until SIGTERM, with the model the scorers use.

    The Open Inference Protocol (V2) under /v2, a page for people at /, and /metrics, /healthz, /readyz on the same
    port. A row that would be a dead letter on the stream is refused with 400 and its reason.
    """
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = app.settings.model_copy(update={"serve": app.settings.serve.model_copy(update=given)})
    registry = Registry.open(settings.registry(), settings.model)
    cache = ModelCache(settings.redis_url.get_secret_value()) if settings.redis_url else None
    name = settings.instance or f"serve-{socket.gethostname()}"
    models = open_models(settings, app.schema, registry, instance=name)

    def read_profile(version: str) -> bytes:
        return registry.read(version, PROFILE)

    run(settings, app.schema, models=models, cache=cache, read_profile=read_profile)
