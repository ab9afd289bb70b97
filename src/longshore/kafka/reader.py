"""Reading a topic outside any group: from its start to its present end, or following it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from longshore.config import Settings
from longshore.errors import UnavailableError
from longshore.kafka.admin import partition_count
from longshore.kafka.client import translate
from longshore.kafka.consuming import reader_config
from longshore.stream import Message

BATCH = 5_000
SILENCE_LIMIT_S = 60.0
"""How long `read_all` waits for a partition's end: longer than an abandoned transaction blocks a reader."""


def read_all(
    settings: Settings,
    topic: str,
    *,
    from_offsets: dict[int, int] | None = None,
    to_offsets: dict[int, int] | None = None,
) -> Iterator[list[Message]]:
    """Every committed message from the start (or `from_offsets`) to the end as it is when each partition is reached.

    With `to_offsets` (exclusive, for each partition that is read) it ends there at the latest, however fast the topic
    grows.

    Raises:
        UnavailableError: no broker answers, or a partition's end is not reached.

    """
    starts = from_offsets or {}
    partitions = [
        TopicPartition(topic, number, starts.get(number, OFFSET_BEGINNING))
        for number in range(partition_count(settings, topic))
        if to_offsets is None or max(starts.get(number, 0), 0) < to_offsets.get(number, 0)
    ]
    if not partitions:
        return
    consumer = Consumer(reader_config(settings))
    try:
        _assign(consumer, settings, partitions)
        yield from _until_ends(consumer, topic, {p.partition for p in partitions}, to_offsets or {})
    finally:
        consumer.close()


def _until_ends(
    consumer: Consumer, topic: str, open_partitions: set[int], to_offsets: dict[int, int]
) -> Iterator[list[Message]]:
    heard = time.monotonic()
    while open_partitions:
        batch, ended = next_events(consumer, topic, 0.5)
        if batch or ended:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE_LIMIT_S:
            raise UnavailableError(
                f"topic {topic}: no end of partitions {sorted(open_partitions)}", mend="see that Kafka is up"
            )
        live = [message for message in batch if message.partition() in open_partitions]
        if to_offsets:
            # Of a partition without a limit here nothing is read.
            ended |= {m.partition() for m in live if m.offset() + 1 >= to_offsets[m.partition()]}
            live = [message for message in live if message.offset() < to_offsets[message.partition()]]
        open_partitions -= ended
        if live:
            yield live


def follow(
    settings: Settings, topic: str, *, stop: threading.Event, from_end: bool = False, timeout_s: float = 0.2
) -> Iterator[list[Message]]:
    """Every committed message as it comes, until `stop`; an empty list when nothing came for `timeout_s`."""
    start = OFFSET_END if from_end else OFFSET_BEGINNING
    numbers = range(partition_count(settings, topic))
    consumer = Consumer(reader_config(settings))
    try:
        _assign(consumer, settings, [TopicPartition(topic, number, start) for number in numbers])
        while not stop.is_set():
            yield next_events(consumer, topic, timeout_s)[0]
    finally:
        consumer.close()


def _assign(consumer: Consumer, settings: Settings, partitions: list[TopicPartition]) -> None:
    """Assign partitions of one topic whose leaders are known: a client that must still find them waits 500 ms."""
    topic = partitions[0].topic
    try:
        consumer.list_topics(topic, timeout=settings.kafka.request_timeout_s)
    except KafkaException as error:
        raise translate(error, f"reading {topic}") from error
    consumer.assign(partitions)


def next_events(consumer: Consumer, topic: str, timeout_s: float) -> tuple[list[Message], set[int]]:
    """What came within `timeout_s`: messages, and the partitions whose end was reached."""
    batch: list[Message] = []
    ended: set[int] = set()
    try:
        # Wait for the first event only, then take what is there: `consume(BATCH, ...)` waits until the batch is full.
        events = consumer.consume(1, timeout_s)
        if events:
            events += consumer.consume(BATCH - 1, 0)
    except KafkaException as error:
        raise translate(error, f"reading {topic}") from error
    for event in events:
        failure = event.error()
        if failure is None:
            batch.append(event)
        elif failure.code() == KafkaError._PARTITION_EOF:
            ended.add(event.partition())
        elif failure.fatal():
            raise translate(KafkaException(failure), f"reading {topic}")
    return batch, ended
