"""The part of `benchmarks/counting.py` that needs Kafka: contestants who read the same predictions, in turns."""

from __future__ import annotations

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from longshore.codec import Codec
from longshore.config import Settings
from longshore.heap import collect_seldom
from longshore.kafka.admin import create_topics
from longshore.kafka.consuming import member_config
from longshore.kafka.exactly_once import ExactlyOnce
from longshore.local.stack import LocalStack
from longshore.monitor.models import Profiles
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.scored import READ
from longshore.monitor.service_count import MAX_BATCH, Counting
from longshore.schema import districts
from longshore.stream import Message, by_partition
from longshore.topics import Topics

SCHEMA = districts()
PARTITIONS = 4
LIMIT = "consume, decode"
PYTHONS_OWN = gc.get_threshold()


class Rate(NamedTuple):
    """Records a second by the clock on the wall, and by this process's CPU."""

    wall: float
    cpu: float


def from_kafka(
    profile: bytes,
    counter: Callable[..., PaneCounter],
    predictions: Iterable[bytes],
    records: int,
    rounds: int,
    *,
    only: Collection[str] = (),
) -> None:
    """Write the predictions to an embedded Kafka, and have every contestant read them `rounds` times.

    `only` names contestants to run beside the limit; empty: all.
    """
    with tempfile.TemporaryDirectory() as folder, LocalStack(Path(folder) / "stack", ephemeral=True) as stack:
        settings = Settings(bootstrap_servers=stack.bootstrap_servers, home=Path(folder))
        topics = Topics.of(settings.topic_prefix, SCHEMA)
        create_topics(settings, topics.specs(settings))
        write(settings, topics.predictions, predictions)
        contestants: dict[str, Callable[[int], Rate]] = {
            LIMIT: lambda _: consume(settings, topics.predictions, records, _decoding(Codec(SCHEMA)._row)),
            "as Python comes": lambda _: _collecting_often(
                lambda: consume(settings, topics.predictions, records, _decoding(Codec(SCHEMA)._row))
            ),
            "without fields": lambda _: consume(settings, topics.predictions, records, _decoding(msgspec.Raw)),
            "to dicts": lambda _: consume(settings, topics.predictions, records, _each(msgspec.json.decode)),
            "json.loads": lambda _: consume(settings, topics.predictions, records, _each(json.loads)),
            "pane counter": lambda _: consume(
                settings, topics.predictions, records, _counting(counter(profile), records)
            ),
            "sampling counter": lambda _: consume(
                settings,
                topics.predictions,
                records,
                _counting(counter(profile, settings.monitor.sample_rows), records),
            ),
            "counting role": lambda number: the_role(settings, topics, profile, records, number),
        }
        contestants = {name: run for name, run in contestants.items() if not only or name == LIMIT or name in only}
        collect_seldom()  # as `longshore monitor` does, for every contestant
        consume(settings, topics.predictions, records, lambda batch: None)  # the broker's page cache, and its compiler
        found: dict[str, list[Rate]] = {name: [] for name in contestants}
        for number in range(rounds):
            for name, contestant in contestants.items():
                found[name].append(contestant(number))
                print(f"  round {number + 1}: {name:16} {found[name][-1].wall:10,.0f}/s", file=sys.stderr, flush=True)
    tell(found, records)


def tell(found: dict[str, list[Rate]], records: int) -> None:
    limit = found[LIMIT]
    print(f"\nFrom Kafka, {records:,} predictions, one process (medians; ratio to the first within each round, range):")
    for name, rates in found.items():
        print(f"  {name:16}", end="")
        for clock in ("wall", "cpu"):
            values = [getattr(rate, clock) for rate in rates]
            ratios = [value / getattr(first, clock) for value, first in zip(values, limit, strict=True)]
            middle = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"  {clock} {statistics.median(values):9,.0f}/s  {middle}", end="")
        print("   target 0.60" if "count" in name else "", flush=True)


def write(settings: Settings, topic: str, predictions: Iterable[bytes]) -> None:
    producer = Producer({"bootstrap.servers": str(settings.bootstrap_servers), "linger.ms": 20, "batch.size": 500_000})
    for i, value in enumerate(predictions):
        if i % 1_000 == 0:
            while len(producer) > 50_000:
                producer.poll(0.1)
        producer.produce(topic, value, b"d%d" % (i % 400), partition=i % PARTITIONS)
    assert producer.flush(60) == 0


Take = Callable[[list[Message]], None]


def consume(settings: Settings, topic: str, records: int, take: Take) -> Rate:
    """The client as the counting role sets it up, without a group: batches are handed to `take`."""
    consumer = Consumer(member_config(settings, "bench") | {"auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
    seen, clock = 0, None
    while seen < records:
        batch = [event for event in consumer.consume(MAX_BATCH, 0.2) if event.error() is None]
        clock = clock or (Stopwatch() if batch else None)
        seen += len(batch)
        if batch:
            take(batch)
    assert clock is not None
    rate = clock.rate(records)
    consumer.close()
    return rate


def _collecting_often(run: Callable[[], Rate]) -> Rate:
    """With the interpreter's own thresholds: many who write a consumer leave them."""
    ours = gc.get_threshold()
    gc.set_threshold(*PYTHONS_OWN)
    try:
        return run()
    finally:
        gc.set_threshold(*ours)


def _decoding(record: Any) -> Take:
    scored = msgspec.defstruct("Scored", [*READ.items(), ("record", record)], gc=False)
    return _each(msgspec.json.Decoder(scored).decode)


def _each(decode: Callable[[bytes], Any]) -> Take:
    def take(batch: list[Message]) -> None:
        for message in batch:
            decode(message.value() or b"")

    return take


def _counting(counter: PaneCounter, records: int) -> Take:
    tallies, seen = [Tally() for _ in range(PARTITIONS)], 0

    def take(batch: list[Message]) -> None:
        nonlocal seen
        parts = []
        for (_, partition), members in by_partition(batch).items():
            ends = (members[0].offset(), members[-1].offset())
            parts.append((tallies[partition], [message.value() for message in members], ends))
        counter.count_all(parts)
        seen += len(batch)
        if seen >= records:
            counted = sum(pane.records for tally in tallies for pane in tally.panes.values())
            assert counted == records, f"{counted} of {records} counted"

    return take


class Polled:
    """The role's stream, and when and how many records came out of it."""

    def __init__(self, stream: ExactlyOnce) -> None:
        self._stream = stream
        self.clock: Stopwatch | None = None
        self.records = 0

    def poll(self, max_records: int, timeout_s: float) -> list[Message]:
        batch = self._stream.poll(max_records, timeout_s)
        self.clock = self.clock or (Stopwatch() if batch else None)
        self.records += len(batch)
        return batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def the_role(settings: Settings, topics: Topics, profile: bytes, records: int, number: int) -> Rate:
    """`longshore monitor --role count`, from its first record to the commit after the last."""
    counting = Counting(settings, SCHEMA, Profiles(lambda _: profile), lambda _: {})
    group = f"{settings.topic_prefix}count-{number}"
    stream = ExactlyOnce(settings, group=group, instance=f"b{number}", topics=[topics.predictions])
    polled = Polled(stream)
    while polled.records < records:
        counting.step(polled)  # type: ignore[arg-type]
    counting.finish(polled)  # type: ignore[arg-type]
    assert polled.clock is not None
    rate = polled.clock.rate(records)
    stream.close()
    return rate


class Stopwatch:
    """Started when made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def rate(self, records: int) -> Rate:
        return Rate(records / (time.perf_counter() - self._wall), records / (time.process_time() - self._cpu))
