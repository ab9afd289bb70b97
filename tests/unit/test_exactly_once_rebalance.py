"""A rebalance in the middle of one poll: a record of a partition that stays is neither lost nor read twice.

With a scripted client: on a real broker the moment between the two `consume` calls of one poll is too short to hit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, OFFSET_INVALID, KafkaError, KafkaException, TopicPartition
from structlog.testing import capture_logs
from tests.memory_stream import Record
from tests.waiting import eventually

from longshore.config import KafkaSettings, Settings
from longshore.errors import AbortedError
from longshore.kafka import member, transactions
from longshore.kafka.exactly_once import ExactlyOnce
from longshore.kafka.starts import Starts

Step = Callable[["Client"], list[Any]]


class Message(Record):
    """A record as the client hands it out."""

    def error(self) -> None:
        return None


class Committed:
    """The group's answer: 5 for partition 0, nothing for others; as the client has it, -1001 where it is not stable."""

    def __init__(self, topic: str, partition: int, unstable: bool) -> None:
        self.topic, self.partition = topic, partition
        self.error = KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT) if unstable else None
        self.offset = 5 if partition == 0 and not unstable else OFFSET_INVALID
        self.metadata = None


class Client:
    """Answers `consume` by a script; each step may call the rebalance callbacks, as the client does."""

    def __init__(self, *_: Any) -> None:
        self.script: list[Step] = []
        self.sought: list[tuple[int, int]] = []
        self.hooks: dict[str, Any] = {}
        self.assigned: dict[int, int] = {}
        self.unstable: set[int] = set()
        self.watermarks = (0, 0)

    def subscribe(self, _topics: list[str], **hooks: Any) -> None:
        self.hooks = hooks

    def consume(self, _count: int, _timeout_s: float) -> list[Any]:
        return self.script.pop(0)(self) if self.script else []

    def rebalance(self, hook: str, *numbers: int) -> None:
        self.hooks[hook](self, [TopicPartition("in", number) for number in numbers])

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned |= {p.partition: p.offset for p in partitions}

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[Any]:
        del timeout
        return [Committed(p.topic, p.partition, p.partition in self.unstable) for p in partitions]

    def seek(self, partition: TopicPartition) -> None:
        self.sought.append((partition.partition, partition.offset))

    def get_watermark_offsets(
        self, _partition: TopicPartition, timeout: float = 0, cached: bool = False
    ) -> tuple[int, int]:
        del timeout, cached
        return self.watermarks


class Producer:
    def __init__(self, _config: Any) -> None:
        """Nothing is produced here."""

    def init_transactions(self, _timeout_s: float) -> None:
        """There is no broker."""


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> ExactlyOnce:
    kafka = Client()  # the member's, and the one that searches
    monkeypatch.setattr(member, "Consumer", lambda _config: kafka)
    monkeypatch.setattr(transactions, "Producer", Producer)
    # With a session time-out given, the broker is not asked for its least.
    settings = Settings(bootstrap_servers="nowhere:1", kafka=KafkaSettings(session_timeout_ms=6_000))
    stream = ExactlyOnce(settings, group="g", instance="i", topics=["in"])
    client(stream).rebalance("on_assign", 0, 1)
    return stream


def client(stream: ExactlyOnce) -> Client:
    found: Any = stream._consumer
    assert isinstance(found, Client)
    return found


def message(number: int, offset: int) -> Message:
    return Message("in", number, offset, b"k", b"v")


def polled(stream: ExactlyOnce, *script: Step) -> list[tuple[int, int]]:
    client(stream).script = list(script)
    return [(m.partition(), m.offset()) for m in stream.poll(100, 0.1)]


def after(hook: str, *numbers: int, then: list[Message]) -> Step:
    def step(kafka: Client) -> list[Any]:
        kafka.rebalance(hook, *numbers)
        return list(then)

    return step


@pytest.mark.parametrize(("hook", "number"), [("on_revoke", 1), ("on_assign", 2), ("on_lost", 1)])
def test_a_partition_that_stays_keeps_its_record(stream: ExactlyOnce, hook: str, number: int) -> None:
    found = polled(stream, lambda _: [message(0, 5)], after(hook, number, then=[message(0, 6)]))
    assert found == [(0, 5), (0, 6)]


def test_a_partition_that_goes_takes_its_record_along(stream: ExactlyOnce) -> None:
    assert polled(stream, lambda _: [message(1, 5)], after("on_revoke", 1, then=[message(0, 6)])) == [(0, 6)]


def test_a_partition_that_went_and_came_back_is_read_from_its_committed_offset(stream: ExactlyOnce) -> None:
    def again(kafka: Client) -> list[Any]:
        kafka.rebalance("on_revoke", 0, 1)
        kafka.rebalance("on_assign", 0)
        return [message(0, 5), message(0, 6)]

    assert polled(stream, lambda _: [message(0, 5)], again) == [(0, 5), (0, 6)]


def test_a_rewind_inside_a_rebalance_drops_what_came_before_it(stream: ExactlyOnce) -> None:
    """The hook's commit was aborted: what that poll holds lies beyond the batch that must be read again."""
    stream._hooks["on_revoked"] = lambda _: stream._rewind()
    found = polled(stream, lambda _: [message(0, 8)], after("on_revoke", 1, then=[message(0, 9)]))
    assert found == []
    assert client(stream).sought[-1] == (0, 5)


def test_a_member_begins_at_the_committed_offset_and_at_the_first_record_only_where_there_is_none(
    stream: ExactlyOnce,
) -> None:
    assert client(stream).assigned == {0: 5, 1: OFFSET_BEGINNING}


def test_an_offset_that_is_not_stable_yet_is_waited_for_and_nothing_is_read_meanwhile(stream: ExactlyOnce) -> None:
    """KIP-848, librdkafka 2.16: the client took a neighbour's open transaction for "no offset" and began at 0."""
    kafka = client(stream)
    kafka.unstable = {2}
    kafka.rebalance("on_assign", 2)
    assert kafka.assigned[2] == OFFSET_END
    assert polled(stream, lambda _: [message(0, 5)], lambda _: [message(2, 0), message(2, 1)]) == [(0, 5)]
    assert not [sought for sought in kafka.sought if sought[0] == 2]
    kafka.unstable = set()
    eventually(lambda: polled(stream) == [] and (2, OFFSET_BEGINNING) in kafka.sought, what="the search")
    assert polled(stream, lambda _: [message(2, 0)]) == [(2, 0)]


def test_a_rewind_waits_for_what_is_not_stable(stream: ExactlyOnce) -> None:
    kafka = client(stream)
    kafka.unstable = {0}
    stream._rewind()
    assert kafka.sought == [(1, OFFSET_BEGINNING)]
    assert polled(stream, lambda _: [message(1, 0)], lambda _: [message(0, 9)]) == [(1, 0)]
    kafka.unstable = set()
    eventually(lambda: polled(stream) == [] and (0, 5) in kafka.sought, what="the search")


def test_a_partition_taken_away_while_it_waited_is_forgotten(stream: ExactlyOnce) -> None:
    kafka = client(stream)
    kafka.unstable = {2}
    kafka.rebalance("on_assign", 2)
    kafka.rebalance("on_revoke", 2)
    kafka.unstable = set()
    for _ in range(3):
        assert polled(stream) == []
    assert (2, OFFSET_BEGINNING) not in kafka.sought


@pytest.mark.parametrize(("watermarks", "start"), [((7, 20), 7), ((0, 3), 3)], ids=["deleted", "lost"])
def test_an_offset_out_of_range_goes_on_at_the_nearest_record(
    stream: ExactlyOnce, watermarks: tuple[int, int], start: int
) -> None:
    """Never at the first record where the log's end came back: all of it would be scored again."""

    class Deleted(Message):
        def error(self) -> Any:
            return KafkaError(KafkaError._AUTO_OFFSET_RESET)

    client(stream).watermarks = watermarks
    assert polled(stream, lambda _: [Deleted("in", 0, 5, None, None)]) == []
    assert client(stream).sought == [(0, start)]


def test_records_not_committed_are_undone_where_it_is_unknown_how_an_offset_out_of_range_goes_on(
    stream: ExactlyOnce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search goes on from the committed offset: what was read since would be read and sent a second time."""

    class Deleted(Message):
        def error(self) -> Any:
            return KafkaError(KafkaError._AUTO_OFFSET_RESET)

    def away(*_: Any, **__: Any) -> tuple[int, int]:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    assert polled(stream, lambda _: [message(0, 5), message(1, 0)]) == [(0, 5), (1, 0)]
    monkeypatch.setattr(client(stream), "get_watermark_offsets", away)
    client(stream).script = [lambda _: [message(1, 1), Deleted("in", 0, 6, None, None)]]
    with pytest.raises(AbortedError, match="offset to go on from is gone"):
        stream.poll(100, 0.1)
    assert set(client(stream).sought[-2:]) == {(0, 5), (1, OFFSET_BEGINNING)}
    assert polled(stream, lambda _: [message(0, 5), message(1, 0)]) == [(0, 5), (1, 0)]


def test_a_commit_that_failed_meanwhile_is_told_there_too(stream: ExactlyOnce, monkeypatch: pytest.MonkeyPatch) -> None:
    """One fault of a broker gives both; untold, what was fetched before the rewind would be taken in."""

    class Deleted(Message):
        def error(self) -> Any:
            return KafkaError(KafkaError._AUTO_OFFSET_RESET)

    def away(*_: Any, **__: Any) -> tuple[int, int]:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def failed() -> bool:
        raise AbortedError("the commit under way failed")

    assert polled(stream, lambda _: [message(1, 0)]) == [(1, 0)]
    monkeypatch.setattr(client(stream), "get_watermark_offsets", away)
    monkeypatch.setattr(stream._outlet, "settled", lambda: False)
    monkeypatch.setattr(stream._outlet, "settle", failed)
    client(stream).script = [lambda _: [message(1, 1), Deleted("in", 0, 6, None, None)]]
    with pytest.raises(AbortedError, match="the commit under way failed"):
        stream.poll(100, 0.1)
    assert ("in", 1) not in stream._positions


def test_what_comes_after_something_was_undone_is_read_again_not_dropped(stream: ExactlyOnce) -> None:
    """A revocation with uncommitted records, a new assignment and the first record in one call of the client."""
    assert polled(stream, lambda _: [message(0, 5)]) == [(0, 5)]

    def rebalance(kafka: Client) -> list[Any]:
        kafka.rebalance("on_revoke", 0, 1)
        kafka.rebalance("on_assign", 0, 1)
        return [message(0, 5)]

    client(stream).script = [rebalance, lambda _: [message(0, 6)]]
    with pytest.raises(AbortedError):
        stream.poll(100, 0.1)
    assert set(client(stream).sought[-2:]) == {(0, 5), (1, OFFSET_BEGINNING)}
    assert polled(stream, lambda _: [message(0, 5)]) == [(0, 5)]


def test_a_search_from_before_a_partition_went_tells_nothing_about_it_now(stream: ExactlyOnce) -> None:
    """Meanwhile another member may have gone on from there."""
    kafka = client(stream)
    kafka.unstable = {2}
    kafka.rebalance("on_assign", 2)
    polled(stream)
    assert stream._starts._search is not None
    kafka.rebalance("on_revoke", 2)
    kafka.rebalance("on_assign", 2)
    assert stream._starts._search is None


def test_a_search_leaves_the_members_own_client_alone(stream: ExactlyOnce, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client lets only one of `consume` and `committed` run at a time; each would wait for the other."""
    kafka, apart, begun, go_on = client(stream), Client(), threading.Event(), threading.Event()
    asked: list[str] = []

    def slow(partitions: list[TopicPartition], timeout: float) -> list[Any]:
        begun.set()
        go_on.wait(5)
        asked.append("apart")
        return Client().committed(partitions, timeout)

    monkeypatch.setattr(apart, "committed", slow)
    monkeypatch.setattr(apart, "close", lambda: asked.append("closed"), raising=False)
    monkeypatch.setattr(kafka, "committed", lambda *_, **__: asked.append("member"))
    starts = Starts(cast("Any", kafka), "g", lambda: cast("Any", apart))
    assert starts.look_again({("in", 0)}) == {}
    assert begun.wait(5)
    starts.forget()
    starts.look_again({("in", 1)})
    starts.close()
    go_on.set()
    eventually(lambda: asked == ["apart", "closed"], what="the search, then the end of its client")


def test_a_long_wait_for_a_committed_offset_is_told_and_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that hangs on the group's offsets stops a partition without any other sign."""
    clock, asked = [100.0], threading.Event()

    def unanswered(_partitions: list[TopicPartition], timeout: float) -> list[Any]:
        del timeout
        asked.set()
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    apart = Client()
    monkeypatch.setattr(apart, "committed", unanswered)
    monkeypatch.setattr(apart, "close", lambda: None, raising=False)
    monkeypatch.setattr("longshore.kafka.starts.time.monotonic", lambda: clock[0])
    starts = Starts(cast("Any", Client()), "g", lambda: cast("Any", apart))
    with capture_logs() as logs:
        for seconds in (0, 29, 1, 1, 28, 2):
            clock[0] += seconds
            starts.look_again({("in", 3)})
        starts.forget()
        starts.look_again({("in", 3)})
    assert asked.wait(5)
    starts.close()
    assert [(one["event"], one["partitions"], one["waited_s"]) for one in logs] == [
        ("partitions wait for their committed offset", ["in[3]"], 30),
        ("partitions wait for their committed offset", ["in[3]"], 61),
    ]
