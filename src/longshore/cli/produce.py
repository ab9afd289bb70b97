"""`longshore produce`: wires a source, scenarios and labels to Kafka."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from longshore import dataset
from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.errors import ConfigurationError
from longshore.kafka.admin import create_topics
from longshore.kafka.writer import Writer
from longshore.producers import plan, scenarios
from longshore.producers.csv_source import CsvReplay
from longshore.producers.encode import Clock, Encoder
from longshore.producers.generator import Districts, covers
from longshore.producers.pacing import Pace
from longshore.producers.progress import shown
from longshore.producers.rows import Source
from longshore.producers.service import Summary
from longshore.producers.service import produce as send
from longshore.producers.stream import Labels, Stream
from longshore.schema import Schema
from longshore.service import running

SHARE = click.FloatRange(0, 1)


@click.command("produce")
@click.option(
    "--data", "data_file", type=click.Path(path_type=Path), help="CSV to replay [setting, cache, or generator]."
)
@click.option("--generated", is_flag=True, help="Use the generator even where a file is set or cached.")
@click.option("--count", type=click.IntRange(1), help="Stop after this many records [a file: once; generator: never].")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Records a second [as fast as can be].")
@click.option("--loop", is_flag=True, help="Begin a file again at its end.")
@click.option("--shuffle", is_flag=True, help="Replay a file in a random order, another in each loop.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=42, show_default=True, help="Seed of all chances.")
@click.option("--scenario", "texts", multiple=True, metavar="NAME[:P=V,…]", help="Drift on purpose; repeatable.")
@click.option("--labels/--no-labels", default=True, show_default=True, help="Send the truth afterwards.")
@click.option("--label-delay", default="500", show_default=True, help="Records, or event time (30s, 5m) until a label.")
@click.option("--label-missing", type=SHARE, default=0.05, show_default=True, help="Share of labels that never come.")
@click.option("--malformed", type=SHARE, default=0.0, show_default=True, help="Share of records broken on purpose.")
@click.option("--event-start", help="Event time of the first record: ISO 8601 or ms [so that none is in the future].")
@click.option("--event-step-ms", type=click.FloatRange(0), help="Event time between records [1000/rate, else 10].")
@click.option("--run-id", help="What record ids begin with [seed and time of the start].")
@output_option
@pass_app
def produce(app: App, /, output: str, count: int | None, rate: float | None, **options: Any) -> None:
    """Put records, and later their labels, on topics until the end or SIGTERM.

    Scenarios: income-inflation, migration, missing-bedrooms, unit-fault, frozen-sensor, price-inflation, season, none;
    each takes onset and ramp in records, as in --scenario income-inflation:factor=1.25,onset=12000,ramp=500.
    docs/scenarios.md has them all.
    """
    now_ms = time.time_ns() // 1_000_000
    source = _source(app, **options)
    count = _count(count, source)
    step_ms = plan.event_step_ms(options["event_step_ms"], rate)
    start_ms = plan.event_start_ms(options["event_start"], now_ms, paced=rate is not None, count=count, step_ms=step_ms)
    run = plan.run_id(options["run_id"], options["seed"], now_ms)
    stream = _stream(app.schema, source, Encoder(app.schema, run, Clock(start_ms, step_ms)), step_ms, options)
    summary = _run(app, stream, count, Pace(rate))
    summary.detail = {
        "run_id": run,
        "seed": options["seed"],
        "topic": app.topics.records,
        "event_start": start_ms,
        "event_step_ms": step_ms,
        "scenarios": [text for text in options["texts"] if text != scenarios.NONE],
    }
    _show(summary, output)


def _source(
    app: App, *, data_file: Path | None, generated: bool, labels: bool, loop: bool, shuffle: bool, seed: int, **_: Any
) -> Source:
    """The file the user named, set or fetched, else the generator."""
    if generated and data_file is not None:
        raise ConfigurationError("--data and --generated exclude each other", mend="give one of them")
    path = None if generated else dataset.locate(data_file, app.settings)
    if path is not None:
        shuffle_seed = seed if shuffle else None
        return CsvReplay.read(path, app.schema, require_target=labels, loop=loop, shuffle_seed=shuffle_seed)
    if not covers(app.schema):
        raise ConfigurationError(
            f"schema {app.schema.name!r} has no generator", mend="name a CSV file with --data or LONGSHORE_DATA"
        )
    return Districts(seed)


def _count(given: int | None, source: Source) -> int | None:
    limits = [limit for limit in (given, source.length) if limit is not None]
    return min(limits, default=None)


def _stream(schema: Schema, source: Source, encoder: Encoder, step_ms: float, options: dict[str, Any]) -> Stream:
    chosen = [scenarios.parse(text) for text in options["texts"] if text.strip() != scenarios.NONE]
    delay = plan.delay_records(options["label_delay"], step_ms)
    return Stream(
        schema,
        source,
        scenarios.Pipeline(chosen, schema, source, options["seed"]),
        encoder,
        seed=options["seed"],
        labels=Labels(delay, options["label_missing"]) if options["labels"] else None,
        malformed_share=options["malformed"],
    )


def _run(app: App, stream: Stream, count: int | None, pace: Pace) -> Summary:
    with running("producer", app.settings) as runtime:
        create_topics(app.settings, app.topics.specs(app.settings))
        with shown(f"producing to {app.topics.records}", count, "records") as advance, Writer(app.settings) as sink:
            return send(stream, sink, app.topics, runtime, count=count, pace=pace, advance=advance)


def _show(summary: Summary, output: str) -> None:
    if output == "json":
        print_json(summary.describe())
        return
    end = "interrupted" if summary.interrupted else "done"
    outstanding = f", {summary.labels_outstanding:,} labels outstanding" if summary.labels_outstanding else ""
    malformed = f" ({summary.malformed:,} malformed)" if summary.malformed else ""
    click.echo(
        f"{end}: {summary.produced:,} records{malformed}, {summary.labels:,} labels{outstanding} "
        f"in {summary.seconds:.1f} s ({summary.records_per_s:,.0f} records/s)"
    )
