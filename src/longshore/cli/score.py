"""`longshore score`: wires a scorer to Kafka, the model cache, the registry and the projector."""

from __future__ import annotations

import click
import structlog

from longshore.cli.app import App, pass_app, projector_for
from longshore.instance import instance_id
from longshore.kafka.admin import create_topics
from longshore.redis_store import ModelCache
from longshore.registry import Registry
from longshore.scorer.models import ModelPlace, Models
from longshore.scorer.places import CachePlace, RegistryPlace
from longshore.scorer.service import run
from longshore.service import running

log = structlog.get_logger()


@click.command("score")
@click.option("--instance", help="Stable name of this replica [host + slot]. Two living processes must not share one.")
@pass_app
def score(app: App, instance: str | None) -> None:
    """Score records from the records' topic until SIGTERM, each exactly once.

    The model comes from Redis, or from the registry when Redis is empty or away; a newer one is taken into use between
    two transactions. A record that cannot be scored goes to the dead-letter topic with its reason.
    """
    settings = app.settings
    with running("scorer", settings) as runtime:
        name = instance or instance_id(settings, "scorer")
        create_topics(settings, app.topics.specs(settings))
        registry = Registry.open(settings.registry(), settings.model)
        cache = ModelCache(settings.redis_url.get_secret_value()) if settings.redis_url else None
        places: list[ModelPlace] = [RegistryPlace(registry)]
        if cache is None:
            log.warning("redis_url is not set: models come from the registry alone")
        else:
            places.insert(0, CachePlace(cache))
        run(
            settings,
            app.schema,
            runtime,
            instance=name,
            models=Models(app.schema, places),
            projector=projector_for(app),
            cache=cache,
        )
