"""A rebalance in the middle of one poll: a record of a partition that stays is neither lost nor read twice.

With a scripted client: on a real broker the moment between the two `consume` calls of one poll is too short to hit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, TopicPartition
from tests.memory_stream import Record

from longshore.config import KafkaSettings, Settings
from longshore.kafka import member, transactions
from longshore.kafka.exactly_once import ExactlyOnce

Step = Callable[["Client"], list[Any]]


class Message(Record):
    """A record as the client hands it out."""

    def error(self) -> None:
        return None


class Client:
    """Answers `consume` by a script; each step may call the rebalance callbacks, as the client does."""

    def __init__(self, *_: Any) -> None:
        self.script: list[Step] = []
        self.sought: list[tuple[int, int]] = []
        self.hooks: dict[str, Any] = {}

    def subscribe(self, _topics: list[str], **hooks: Any) -> None:
        self.hooks = hooks

    def consume(self, _count: int, _timeout_s: float) -> list[Any]:
        return self.script.pop(0)(self) if self.script else []

    def rebalance(self, hook: str, *numbers: int) -> None:
        self.hooks[hook](self, [TopicPartition("in", number) for number in numbers])

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        del timeout
        return [TopicPartition(p.topic, p.partition, 5 if p.partition == 0 else OFFSET_INVALID) for p in partitions]

    def seek(self, partition: TopicPartition) -> None:
        self.sought.append((partition.partition, partition.offset))

    def get_watermark_offsets(self, _partition: TopicPartition, cached: bool) -> tuple[int, int]:
        del cached
        return 0, 0


class Producer:
    def __init__(self, _config: Any) -> None:
        """Nothing is produced here."""

    def init_transactions(self, _timeout_s: float) -> None:
        """There is no broker."""


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> ExactlyOnce:
    monkeypatch.setattr(member, "Consumer", Client)
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
    stream._hooks["revoked"] = lambda _: stream._rewind()
    found = polled(stream, lambda _: [message(0, 8)], after("on_revoke", 1, then=[message(0, 9)]))
    assert found == []
    assert client(stream).sought[-1] == (0, 5)
