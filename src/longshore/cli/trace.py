"""`longshore trace`: what became of one record, by which model, from which data, and what the monitor said then."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.reading import ReadingLine
from longshore.cli.trace_text import terminal_width
from longshore.cli.trace_view import lines
from longshore.errors import EXIT_FAILED
from longshore.kafka.finding import KafkaFinder
from longshore.registry import Registry
from longshore.tracing.asked import Asked, ById, at, coordinates, moment
from longshore.tracing.collect import Collector
from longshore.tracing.reading import Stretch

QUIET_S, LINE_S = 1.0, 5.0
"""Nothing is told of a read shorter than the first; off a terminal, a line comes every so often."""


@click.command("trace")
@click.argument("record", required=False, metavar="[TOPIC/PARTITION/OFFSET]")
@click.option("--topic", help="The records' topic, with or without the prefix [the schema's].")
@click.option("--partition", type=click.IntRange(min=0), help="With --offset, instead of TOPIC/PARTITION/OFFSET.")
@click.option("--offset", type=click.IntRange(min=0), help="With --partition.")
@click.option("--record-id", help="A record by its id; needs --key, or --since, or --everything.")
@click.option("--key", help="With --record-id: the record's key (its entity's id); only its partition is read.")
@click.option("--since", metavar="TIME", help="With --record-id: sent since then. ISO 8601, ms, or 15m, 2h, 1d ago.")
@click.option("--until", metavar="TIME", help="With --record-id: sent before then.")
@click.option("--everything", is_flag=True, help="Lift all bounds: read whole topics, however long it takes.")
@output_option
@pass_app
@click.pass_context
def trace(
    ctx: click.Context,
    app: App,
    *,
    record: str | None,
    topic: str | None,
    partition: int | None,
    offset: int | None,
    record_id: str | None,
    key: str | None,
    since: str | None,
    until: str | None,
    everything: bool,
    output: str,
) -> None:
    """What became of one record: its prediction or dead letter, and all that led to it.

    \b
    longshore trace districts/2/1234
    longshore trace --record-id r17 --key d4711
    longshore trace --record-id r17 --since 2h --until 2026-11-23T03:00Z

    Exits 0 when the record's outcome was found, 1 when it was not (the answer says why).
    """
    by_id = _by_id(record_id, key, since, until, everything)
    by_place = _by_place(app, record, topic, partition, offset)
    if (by_id is None) == (by_place is None):
        raise click.UsageError("give TOPIC/PARTITION/OFFSET, or --partition and --offset, or --record-id")
    asked = by_id or by_place
    assert asked is not None  # noqa: S101  # one of the two is there
    registry = Registry.open(app.settings.registry(), app.settings.model)
    with _Progress() as progress, KafkaFinder(app.settings, progress) as finder:
        found = Collector(app.settings, app.schema, finder, registry, everything=everything).trace(asked)
    if output == "json":
        print_json(found)
    else:
        for line in lines(found, terminal_width()):
            click.echo(line)
    if not found.status.answered:
        ctx.exit(EXIT_FAILED)


def _by_place(
    app: App, record: str | None, topic: str | None, partition: int | None, offset: int | None
) -> Asked | None:
    if record is not None:
        if topic is not None or partition is not None or offset is not None:
            raise click.UsageError("TOPIC/PARTITION/OFFSET takes no --topic, --partition or --offset")
        return coordinates(record, topic=app.topics.records, prefix=app.topics.prefix)
    if partition is None and offset is None and topic is None:
        return None
    if partition is None or offset is None:
        raise click.UsageError("--partition and --offset go together")
    return at(topic, partition, offset, topic=app.topics.records, prefix=app.topics.prefix)


def _by_id(
    record_id: str | None, key: str | None, since: str | None, until: str | None, everything: bool
) -> ById | None:
    if record_id is None:
        if not (key is None and since is None and until is None):
            raise click.UsageError("--key, --since and --until go with --record-id")
        return None
    if key is None and since is None and not everything:
        raise click.UsageError(
            "--record-id alone would read the whole topic: add --key, or --since, or say --everything"
        )
    now = datetime.now(UTC)
    since_ms, until_ms = (None if text is None else moment(text, now=now) for text in (since, until))
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise click.UsageError(f"--since {since} is not before --until {until}")
    return ById(record_id, None if key is None else key.encode(), since_ms, until_ms)


class _Progress:
    """Says on stderr how far a long read is."""

    def __init__(self) -> None:
        self._line = ReadingLine(QUIET_S, LINE_S)
        self._stretch: Stretch | None = None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._line.clear()

    def __call__(self, stretch: Stretch, start: int, position: int, stop: int) -> None:
        if stretch is not self._stretch:
            self._stretch = stretch
            self._line.begin()
        if took := self._line.due():
            share, rate = (position - start) / max(1, stop - start), (position - start) / took
            self._line.show(
                f"searching the {stretch.what} in {stretch.topic}/{stretch.partition}: offset {position:,} of {stop:,},"
                f" {share:.0%}, {rate:,.0f}/s"
            )
