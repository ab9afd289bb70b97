"""`longshore doctor`: every check a service's start depends on, before anything joins a group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.errors import EXIT_FAILED, ConfigurationError, LongshoreError
from longshore.kafka.admin import check_reachable, existing_topics, topic_setting
from longshore.monitor.alerts.configured import has_receivers, targets_of
from longshore.monitor.alerts.post import check_reachable as check_receiver
from longshore.redis_store import ModelCache
from longshore.registry import Registry

MESSAGE_BYTES = 1_000_000
"""What a client sends at most by default, and a prediction or dead letter may need."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome."""

    check: str
    good: bool
    found: str


@click.command("doctor")
@output_option
@click.pass_context
@pass_app
def doctor(app: App, ctx: click.Context, output: str) -> None:
    """Check schema, Kafka, topics, Redis, registry and who is to be told of drift; exit 1 if anything is wrong."""
    checks: dict[str, Callable[[], str]] = {
        "schema": lambda: f"{app.schema.name}, {len(app.schema.fields)} fields",
        "kafka": lambda: f"{check_reachable(app.settings)} broker(s)",
        "topics": lambda: _topics(app),
        "labels": lambda: _labels(app),
        "redis": lambda: _redis(app),
        "registry": lambda: _registry(app),
    }
    if has_receivers(app.settings.alerts):
        checks["alerts"] = lambda: _alerts(app)
    findings = [_run(name, check) for name, check in checks.items()]
    if output == "json":
        print_json([{"check": f.check, "ok": f.good, "found": f.found} for f in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.good else 'FAIL'} {finding.check:9} {finding.found}")
    ctx.exit(0 if all(f.good for f in findings) else EXIT_FAILED)


def _run(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except LongshoreError as error:
        return Finding(name, False, str(error))


def _topics(app: App) -> str:
    existing = existing_topics(app.settings)
    specs = app.topics.specs(app.settings)
    missing = [spec.name for spec in specs if spec.name not in existing]
    if missing:
        raise ConfigurationError(f"missing: {', '.join(missing)}", mend="run `longshore topics create`")
    counts = {existing[name] for name in (app.topics.records, app.topics.predictions, app.topics.labels)}
    if len(counts) > 1:
        raise ConfigurationError(
            f"records, predictions and labels have different numbers of partitions: {sorted(counts)}",
            mend="give the three the same number; adding partitions changes the order within a key",
        )
    for topic in (app.topics.predictions, app.topics.dead_letters):
        most = topic_setting(app.settings, topic, "max.message.bytes")
        if most is not None and int(most) < MESSAGE_BYTES:
            raise ConfigurationError(
                f"{topic} has max.message.bytes = {most}: a long record's prediction would be refused again and again",
                mend=f"raise it to {MESSAGE_BYTES} or more",
            )
    return f"{len(specs)} there, data topics with {counts.pop()} partitions"


def _labels(app: App) -> str:
    """What waits for its label is made again from the topics where a file is lost: so long they must hold it."""
    lateness_s = app.settings.monitor.label_lateness_s
    for topic in (app.topics.predictions, app.topics.to_join(app.settings)):
        kept_ms = topic_setting(app.settings, topic, "retention.ms")
        if kept_ms is not None and 0 <= int(kept_ms) < 2_000 * lateness_s:
            raise ConfigurationError(
                f"{topic} keeps {int(kept_ms) / 3_600_000:g} h, labels may be waited for {2 * lateness_s / 3_600:g} h",
                mend="raise its retention.ms, or lower monitor.label_lateness_s",
            )
    return f"joined up to {lateness_s / 3_600:g} h after their records"


def _redis(app: App) -> str:
    url = app.settings.redis_url
    if url is None:
        raise ConfigurationError("redis_url is not set", mend="run `longshore local up`, or set LONGSHORE_REDIS_URL")
    active = ModelCache(url.get_secret_value()).active()
    return f"model {active.version}, generation {active.generation}" if active else "answers, holds no model yet"


def _registry(app: App) -> str:
    registry = Registry.open(app.settings.registry(), app.settings.model)
    alias = registry.alias("champion")
    if alias is None:
        raise ConfigurationError("no champion yet", mend="run `longshore train`")
    return f"{len(registry.versions())} version(s), champion {alias.version}, generation {alias.generation}"


def _alerts(app: App) -> str:
    targets = [target for target in targets_of(app.settings.alerts) if target.url]
    for target in targets:
        check_receiver(target.url, app.settings.alerts.timeout_s)
    names = ", ".join(target.name for target in targets)
    return f"{names} can be reached; `longshore alerts test` sends them a message"
