"""`longshore score`: wires a scorer to Kafka, the model cache, the registry and the projector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from longshore.cli.app import App, pass_app, projector_for
from longshore.cli.score_file import Request, score_file
from longshore.errors import ConfigurationError
from longshore.heap import one_arena
from longshore.instance import instance_id
from longshore.kafka.admin import create_topics
from longshore.redis_store import ModelCache
from longshore.registry import Registry
from longshore.scorer.places import open_models
from longshore.scorer.service import run
from longshore.service import running

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("score")
@click.option("--instance", help="Stable name of this replica [host + slot]. Two living processes must not share one.")
@click.option("--input", "source", type=FILE, help="Score this CSV or Parquet file instead, and end.")
@click.option("--to", type=FILE, help="With --input: where the rows go, with prediction and model_version.")
@click.option("--rejects", type=FILE, help="With --input: where bad rows go, with their reason [TO.rejects.csv].")
@click.option("--model-version", help="With --input: the version to use [the registry's champion].")
@click.option("--overwrite", is_flag=True, help="With --input: replace files that exist.")
@click.option("--fail-on-reject", is_flag=True, help="With --input: exit 1 if a row was rejected.")
@pass_app
def score(app: App, /, instance: str | None, source: Path | None, **file: Any) -> None:
    """Score records from the records' topic until SIGTERM, each exactly once; with --input, a file's rows.

    The model comes from Redis, or from the registry when Redis is empty or away; a newer one is taken into use between
    two transactions. A record that cannot be scored goes to the dead-letter topic with its reason.
    """
    if source is not None:
        score_file(app, Request(source, **file))
        return
    given = [name for name, value in file.items() if value]
    if given:
        raise ConfigurationError(f"--{given[0].replace('_', '-')} needs --input", mend="name the file to score")
    one_arena()
    settings = app.settings
    with running("scorer", settings) as runtime:
        name = instance or instance_id(settings, "scorer")
        create_topics(settings, app.topics.specs(settings))
        registry = Registry.open(settings.registry(), settings.model)
        cache = ModelCache(settings.redis_url.get_secret_value()) if settings.redis_url else None
        projector = projector_for(app, registry)
        run(
            settings,
            app.schema,
            runtime,
            instance=name,
            models=open_models(settings, app.schema, registry, instance=name, projector=projector),
            projector=projector,
            cache=cache,
        )
