"""Reading a little of a topic, outside any group: one offset, or a bounded stretch, and saying what was read.

What is looked for is the caller's (`longshore.tracing`); here is how far: to the end as it is when a search begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cached_property

from confluent_kafka import Consumer, KafkaException, TopicPartition

from longshore.config import Settings
from longshore.errors import UnavailableError
from longshore.kafka.admin import committed_offsets, existing_topics
from longshore.kafka.client import translate
from longshore.kafka.consuming import reader_config
from longshore.kafka.reader import SILENCE_LIMIT_S, next_events
from longshore.records import Source
from longshore.stream import Message
from longshore.tracing.matching import Look, Looker
from longshore.tracing.reading import At, Stretch
from longshore.tracing.trace import Searched, Status

Progress = Callable[[Stretch, int, int, int], None]
"""Told of a stretch, its first offset, where the reader is, and where it ends."""


class KafkaFinder:
    """One consumer for many small reads; `close` it. Not for threads."""

    def __init__(self, settings: Settings, progress: Progress | None = None) -> None:
        self._settings = settings
        self._progress = progress
        self._timeout_s = settings.kafka.request_timeout_s
        self._consumers: dict[str, Consumer] = {}
        self._located: set[tuple[str, str]] = set()

    def __enter__(self) -> KafkaFinder:
        return self

    def __exit__(self, *error: object) -> None:
        for consumer in self._consumers.values():
            consumer.close()

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has, 0 where there is none."""
        return self._counts.get(topic, 0)

    @cached_property
    def _counts(self) -> dict[str, int]:
        return existing_topics(self._settings)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """A group's committed offsets."""
        return committed_offsets(self._settings, group, topic)

    def at(self, source: Source) -> At:
        """What is at one offset: the committed record, or why there is none."""
        first, stable = self._bounds(source.topic, source.partition, "read_committed")
        _, end = self._bounds(source.topic, source.partition, "read_uncommitted")
        if source.offset < first:
            return At(Status.EXPIRED, None, first, end)
        if source.offset >= end:
            return At(Status.BEYOND_END, None, first, end)
        if source.offset >= stable:
            return At(Status.OPEN, None, first, end)
        if record := self._one(source, "read_committed"):
            return At(None, record, first, end)
        aborted = self._one(source, "read_uncommitted") is not None
        return At(Status.ABORTED if aborted else Status.NO_RECORD, None, first, end)

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int:
        """The first offset with a timestamp of `time_ms` or later; the end where there is none."""
        asked = [TopicPartition(topic, partition, max(0, time_ms))]
        try:
            (found,) = self._consumer("read_committed").offsets_for_times(asked, timeout=self._timeout_s)
        except KafkaException as error:
            raise translate(error, f"reading {topic}") from error
        return found.offset if found.offset >= 0 else self._bounds(topic, partition, "read_committed")[1]

    def search(self, stretch: Stretch, look: Looker) -> tuple[list[Message], Searched]:
        """What `look` found in a stretch, and what was read for it."""
        start, stop = self._limits(stretch)
        found: list[Message] = []
        records, position, state = 0, start, Look.GO_ON
        for message in self._between(stretch.topic, stretch.partition, start, stop):
            state, position, records = look(message), message.offset() + 1, records + 1
            if state is Look.FOUND:
                found.append(message)
            if state is Look.PASSED or len(found) >= stretch.matches or records == stretch.limit:
                break
            if self._progress is not None and not records % 1_000:
                self._progress(stretch, start, position, stop)
        else:
            position = stop
        cut = records == stretch.limit and not found and state is Look.GO_ON and position < stop
        return found, Searched(
            what=stretch.what,
            topic=stretch.topic,
            partition=stretch.partition,
            start=start,
            stop=position,
            records=records,
            complete=not cut,
        )

    def _limits(self, stretch: Stretch) -> tuple[int, int]:
        """A stretch's offsets, within what is there and readable now."""
        topic, partition = stretch.topic, stretch.partition
        first, end = self._bounds(topic, partition, "read_committed")
        start = stretch.start if stretch.start is not None else first
        stop = stretch.stop if stretch.stop is not None else end
        if stretch.since_ms is not None:
            start = max(start, self.offset_at(topic, partition, stretch.since_ms))
        if stretch.until_ms is not None:
            stop = min(stop, self.offset_at(topic, partition, stretch.until_ms))
        return min(max(first, start), end), min(stop, end)

    def _bounds(self, topic: str, partition: int, isolation: str) -> tuple[int, int]:
        """The first offset, and the one after the last that this isolation can read."""
        consumer = self._consumer(isolation)
        try:
            found = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=self._timeout_s)
        except KafkaException as error:
            raise translate(error, f"reading {topic}") from error
        if found is None:
            raise UnavailableError(f"topic {topic}: its offsets were not told", mend="see that Kafka is up")
        return int(found[0]), int(found[1])

    def _one(self, source: Source, isolation: str) -> Message | None:
        stretch = self._between(source.topic, source.partition, source.offset, source.offset + 1, isolation)
        return next(stretch, None)

    def _between(
        self, topic: str, partition: int, start: int, stop: int, isolation: str = "read_committed"
    ) -> Iterator[Message]:
        """The messages from `start` to before `stop`, or to the end where that is nearer."""
        if start >= stop:
            return
        consumer, heard = self._located_consumer(topic, isolation), time.monotonic()
        consumer.assign([TopicPartition(topic, partition, start)])
        ended = False
        while not ended:
            batch, at_end = next_events(consumer, topic, 0.5)
            if batch or at_end:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE_LIMIT_S:
                raise UnavailableError(f"topic {topic}: partition {partition} is silent", mend="see that Kafka is up")
            for message in batch:
                if message.offset() >= stop:
                    return
                yield message
                ended = message.offset() == stop - 1
            ended = ended or bool(at_end)

    def _located_consumer(self, topic: str, isolation: str) -> Consumer:
        """A consumer that knows the topic's leaders: one that must still find them waits 500 ms."""
        consumer = self._consumer(isolation)
        if (topic, isolation) not in self._located:
            try:
                consumer.list_topics(topic, timeout=self._timeout_s)
            except KafkaException as error:
                raise translate(error, f"reading {topic}") from error
            self._located.add((topic, isolation))
        return consumer

    def _consumer(self, isolation: str) -> Consumer:
        if isolation not in self._consumers:
            self._consumers[isolation] = Consumer(reader_config(self._settings) | {"isolation.level": isolation})
        return self._consumers[isolation]
