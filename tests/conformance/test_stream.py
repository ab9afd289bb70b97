"""What every `ExactlyOnceStream` keeps: run on the fake that unit tests use and on a real broker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from tests.memory_stream import MemoryStream, Record
from tests.waiting import eventually

from longshore.config import Settings
from longshore.errors import AbortedError
from longshore.kafka.admin import create_topics
from longshore.kafka.exactly_once import AtLeastOnce, ExactlyOnce
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

    visible = read

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
        eventually(self._is_settled, what="the last transaction's marker")
        return self.visible()

    def visible(self) -> Values:
        """What a committed reader sees now, with a transaction open perhaps."""
        return [message.value() for batch in read_all(self._settings, self._out) for message in batch]

    def _is_settled(self) -> bool:
        """A commit returns before its markers are written, and until then a committed reader sees nothing of it."""
        admin = AdminClient({"bootstrap.servers": str(self._settings.bootstrap_servers)})
        partition = {TopicPartition(self._out, 0): OffsetSpec.latest()}
        levels = (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
        ends = [admin.list_offsets(partition, isolation_level=level) for level in levels]
        return len({future.result(10).offset for found in ends for future in found.values()}) == 1

    def break_next(self, stream: ExactlyOnceStream) -> list[Batch | Single]:
        """A message the broker refuses: the transaction it is in cannot be committed."""
        del stream
        return [Single(self._narrow, b"k", os.urandom(5_000))]


class AtLeastOncePlace(KafkaPlace):
    """Members that may repeat themselves: they keep every promise but those about what is not committed."""

    def open(self) -> ExactlyOnceStream:
        return AtLeastOnce(self._settings, group=self._settings.topic_prefix + "g", topics=[self._in])


PLACES = {"kafka": KafkaPlace, "at least once": AtLeastOncePlace}


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.integration) for name in PLACES)])
def any_place(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield MemoryPlace() if request.param == "memory" else PLACES[request.param](request.getfixturevalue("settings"))


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


def test_what_is_committed_is_not_read_again(any_place: Any) -> None:
    any_place.write(numbered(10))
    stream = any_place.open()
    batch = poll_some(stream, 10)
    stream.commit([echo(any_place)(batch)])
    stream.close()
    any_place.write(numbered(5, 10))
    stream = any_place.open()
    again = poll_some(stream, 5)
    stream.commit([echo(any_place)(again)])
    stream.close()
    assert any_place.read() == numbered(15)


def test_what_is_not_committed_is_read_again(place: Any) -> None:
    place.write(numbered(10))
    stream = place.open()
    poll_some(stream, 10)
    stream.close()
    stream = place.open()
    assert [m.value() for m in poll_some(stream, 10)] == numbered(10)
    stream.close()
    assert place.read() == []


def test_one_commit_covers_every_poll_before_it(any_place: Any) -> None:
    any_place.write(numbered(6))
    stream = any_place.open()
    first = [m for _ in range(1) for m in poll_some(stream, 6)]
    any_place.write(numbered(4, 6))
    second = poll_some(stream, 4)
    stream.commit([echo(any_place)(first), echo(any_place)(second)])
    stream.close()
    stream = any_place.open()
    any_place.write(numbered(1, 10))
    assert [m.value() for m in poll_some(stream, 1)] == numbered(1, 10)
    stream.close()
    assert any_place.read() == numbered(10)


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


def test_the_end_is_noticed(any_place: Any) -> None:
    any_place.write(numbered(3))
    stream = any_place.open()
    poll_some(stream, 3)
    for _ in range(100):
        if all(stream.at_end().values()) and stream.assignment():
            break
        stream.poll(10, 0.05)
    assert set(stream.at_end().values()) == {True}
    stream.close()


def test_what_is_sent_early_commits_with_the_rest(place: Any) -> None:
    place.write(numbered(6))
    stream = place.open()
    batch = poll_some(stream, 6)
    stream.send([echo(place)(batch[:4])])
    stream.send([echo(place)(batch[4:5])])
    assert place.visible() == []
    stream.commit([echo(place)(batch[5:])])
    stream.close()
    assert place.read() == numbered(6)


def test_a_commit_goes_on_while_more_is_polled_and_tells_its_end_once(any_place: Any) -> None:
    any_place.write(numbered(5))
    stream = any_place.open()
    ended: list[str] = []
    stream.commit([echo(any_place)(poll_some(stream, 5))], wait=False, then=lambda: ended.append("first"))
    any_place.write(numbered(3, 5))
    stream.send([echo(any_place)(poll_some(stream, 3))])
    assert ended == ["first"]
    stream.commit(then=lambda: ended.append("second"))
    assert ended == ["first", "second"]
    stream.close()
    assert any_place.read() == numbered(8)


def test_a_commit_that_fails_behind_the_back_takes_what_came_after_it_along(place: Any) -> None:
    place.write(numbered(4))
    stream = place.open()
    ended: list[str] = []
    first = poll_some(stream, 4)
    stream.commit([echo(place)(first), *place.break_next(stream)], wait=False, then=lambda: ended.append("first"))
    place.write(numbered(4, 4))
    with pytest.raises(AbortedError):
        stream.send([echo(place)(poll_some(stream, 4))])
    again = poll_some(stream, 8)
    assert [m.value() for m in again] == numbered(8)
    stream.commit([echo(place)(again)])
    stream.close()
    assert (ended, place.read()) == ([], numbered(8))


def test_what_was_sent_and_never_committed_is_not_seen(place: Any) -> None:
    place.write(numbered(3))
    stream = place.open()
    stream.send([echo(place)(poll_some(stream, 3))])
    stream.close()
    stream = place.open()
    again = poll_some(stream, 3)
    stream.commit([echo(place)(again)])
    stream.close()
    assert place.read() == numbered(3)


def test_the_backlog_counts_what_is_not_polled(any_place: Any) -> None:
    any_place.write(numbered(10))
    stream = any_place.open()
    first = stream.poll(1, 5)
    while not first:
        first = stream.poll(1, 5)
    assert stream.backlog() == 9
    poll_some(stream, 9)
    assert stream.backlog() == 0
    stream.close()


def test_headers_and_tombstones_go_through(any_place: Any) -> None:
    any_place.write([b"a"])
    stream = any_place.open()
    poll_some(stream, 1)
    topic = echo(any_place)([]).topic
    stream.commit([Single(topic, None, None, [("h", b"\x00\xff")])])
    stream.close()
    assert any_place.read() == [None]


@pytest.mark.integration
def test_at_least_once_reads_again_what_it_did_not_commit_and_has_shown_it_already(settings: Settings) -> None:
    place = AtLeastOncePlace(settings)
    place.write(numbered(3))
    stream = place.open()
    stream.send([echo(place)(poll_some(stream, 3))])
    eventually(lambda: place.visible() == numbered(3), what="outputs before any commit")
    stream.close()
    stream = place.open()
    stream.commit([echo(place)(poll_some(stream, 3))])
    stream.close()
    assert place.read() == numbered(3) * 2


@pytest.mark.integration
def test_at_least_once_reads_again_what_did_not_arrive(settings: Settings) -> None:
    place = AtLeastOncePlace(settings)
    place.write(numbered(3))
    stream = place.open()
    with pytest.raises(AbortedError, match="did not arrive"):
        stream.commit([echo(place)(poll_some(stream, 3)), *place.break_next(stream)])
    again = poll_some(stream, 3)
    assert [m.value() for m in again] == numbered(3)
    stream.commit([echo(place)(again)])
    stream.close()
