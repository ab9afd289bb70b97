"""What every `ExactlyOnceStream` keeps: run on the fake that unit tests use and on a real broker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.memory_stream import MemoryStream, Record

from longshore.config import Settings
from longshore.errors import AbortedError
from longshore.kafka.admin import create_topics
from longshore.kafka.exactly_once import ExactlyOnce
from longshore.kafka.reader import read_all
from longshore.kafka.writer import Writer
from longshore.stream import Batch, ExactlyOnceStream, Message, Single
from longshore.topics import TopicSpec

Values = list[bytes | None]


class MemoryPlace:
    """Opens fakes over one set of topics."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Record]] = {"in": [], "out": []}
        self._stream: MemoryStream | None = None

    def write(self, values: Values) -> None:
        for value in values:
            self.topics["in"].append(Record("in", 0, len(self.topics["in"]), b"k", value))

    def open(self) -> ExactlyOnceStream:
        committed = self._stream._committed if self._stream else {"in": 0}
        self._stream = MemoryStream(self.topics, ["in"])
        self._stream._committed = dict(committed)
        self._stream._positions = dict(committed)
        return self._stream

    def read(self) -> Values:
        return [record.value() for record in self.topics["out"]]

    def break_next(self, stream: ExactlyOnceStream) -> list[Batch | Single]:
        assert isinstance(stream, MemoryStream)
        stream.fail_next = 1
        return []


class KafkaPlace:
    """Opens real members of one group on the session's broker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._in, self._out = settings.topic_prefix + "in", settings.topic_prefix + "out"
        self._narrow = settings.topic_prefix + "narrow"
        narrow = TopicSpec(self._narrow, 1, {"max.message.bytes": "1000"})
        create_topics(settings, [TopicSpec(self._in, 1, {}), TopicSpec(self._out, 1, {}), narrow])

    def write(self, values: Values) -> None:
        with Writer(self._settings) as writer:
            for value in values:
                writer.send(self._in, b"k", value)

    def open(self) -> ExactlyOnceStream:
        return ExactlyOnce(self._settings, group=self._settings.topic_prefix + "g", instance="0", topics=[self._in])

    def read(self) -> Values:
        return [message.value() for batch in read_all(self._settings, self._out) for message in batch]

    def break_next(self, stream: ExactlyOnceStream) -> list[Batch | Single]:
        """A message the broker refuses: the transaction it is in cannot be committed."""
        del stream
        return [Single(self._narrow, b"k", os.urandom(5_000))]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield MemoryPlace() if request.param == "memory" else KafkaPlace(request.getfixturevalue("settings"))


def poll_some(stream: ExactlyOnceStream, at_least: int) -> list[Message]:
    found: list[Message] = []
    for _ in range(600):
        found += stream.poll(1_000, 0.1)
        if len(found) >= at_least:
            return found
    raise AssertionError(f"only {len(found)} of {at_least} records came")


def echo(place: Any) -> Callable[[list[Message]], Batch]:
    topic = place._out if isinstance(place, KafkaPlace) else "out"
    return lambda batch: Batch(topic, [{"key": m.key(), "value": m.value()} for m in batch])


def numbered(count: int, start: int = 0) -> Values:
    return [b"%d" % i for i in range(start, start + count)]


def test_what_is_committed_is_not_read_again(place: Any) -> None:
    place.write(numbered(10))
    stream = place.open()
    batch = poll_some(stream, 10)
    stream.commit([echo(place)(batch)])
    stream.close()
    place.write(numbered(5, 10))
    stream = place.open()
    again = poll_some(stream, 5)
    stream.commit([echo(place)(again)])
    stream.close()
    assert place.read() == numbered(15)


def test_what_is_not_committed_is_read_again(place: Any) -> None:
    place.write(numbered(10))
    stream = place.open()
    poll_some(stream, 10)
    stream.close()
    stream = place.open()
    assert [m.value() for m in poll_some(stream, 10)] == numbered(10)
    stream.close()
    assert place.read() == []


def test_one_commit_covers_every_poll_before_it(place: Any) -> None:
    place.write(numbered(6))
    stream = place.open()
    first = [m for _ in range(1) for m in poll_some(stream, 6)]
    place.write(numbered(4, 6))
    second = poll_some(stream, 4)
    stream.commit([echo(place)(first), echo(place)(second)])
    stream.close()
    stream = place.open()
    place.write(numbered(1, 10))
    assert [m.value() for m in poll_some(stream, 1)] == numbered(1, 10)
    stream.close()
    assert place.read() == numbered(10)


def test_a_failed_commit_publishes_nothing_and_rewinds(place: Any) -> None:
    place.write(numbered(8))
    stream = place.open()
    batch = poll_some(stream, 8)
    with pytest.raises(AbortedError):
        stream.commit([echo(place)(batch), *place.break_next(stream)])
    assert place.read() == []
    again = poll_some(stream, 8)
    assert [m.value() for m in again] == numbered(8)
    stream.commit([echo(place)(again)])
    stream.close()
    assert place.read() == numbered(8)


def test_the_end_is_noticed(place: Any) -> None:
    place.write(numbered(3))
    stream = place.open()
    poll_some(stream, 3)
    for _ in range(100):
        if all(stream.at_end().values()) and stream.assignment():
            break
        stream.poll(10, 0.05)
    assert set(stream.at_end().values()) == {True}
    stream.close()


def test_headers_and_tombstones_go_through(place: Any) -> None:
    place.write([b"a"])
    stream = place.open()
    poll_some(stream, 1)
    topic = echo(place)([]).topic
    stream.commit([Single(topic, None, None, [("h", b"\x00\xff")])])
    stream.close()
    assert place.read() == [None]
