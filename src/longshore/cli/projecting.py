"""What a command that moved an alias does next: bring Redis and `model.events` along as far as they can be reached."""

from __future__ import annotations

from longshore.cli.app import App, projector_for
from longshore.errors import LongshoreError
from longshore.kafka.admin import create_topics
from longshore.registry import Registry
from longshore.service import configure_logs


def converge(app: App) -> list[str]:
    """Copy the registry's truth now; what has to wait for the services' projectors, a line each, never an error."""
    settings = app.settings
    if settings.redis_url or settings.bootstrap_servers:
        configure_logs()  # stdout is the command's answer
    waiting = [] if settings.redis_url else ["redis: redis_url is not set"]
    waiting += [] if settings.bootstrap_servers else ["model.events: bootstrap_servers is not set"]
    if settings.bootstrap_servers:
        try:
            create_topics(settings, [spec for spec in app.topics.specs(settings) if spec.name == app.topics.models])
        except LongshoreError as error:
            waiting.append(f"model.events: {error}")
            app = App(settings.model_copy(update={"bootstrap_servers": None}))
    registry = Registry.open(app.settings.registry(), app.settings.model)
    return waiting + projector_for(app, registry).tick()
