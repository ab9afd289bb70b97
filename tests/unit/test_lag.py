"""The lag metric tells of the partitions this member reads, and of no other."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import REGISTRY

from longshore.kafka import lag
from longshore.kafka.lag import LagReport


class Fetched:
    """A consumer that knows the ends of some partitions."""

    def __init__(self, **ends: int) -> None:
        self.ends = ends

    def get_watermark_offsets(self, partition: TopicPartition, *, cached: bool) -> tuple[int, int]:
        assert cached, "no request of its own"
        if partition.topic not in self.ends:
            raise KafkaException(KafkaError(KafkaError._NO_OFFSET))
        return 0, self.ends[partition.topic]


def told(service: str, topic: str) -> float | None:
    return REGISTRY.get_sample_value(
        "longshore_consumer_lag_records", {"service": service, "topic": topic, "partition": "0"}
    )


def test_a_partition_that_left_is_not_told_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "INTERVAL_S", 0.0)
    consumer: Any = Fetched(a=10, b=5)
    report = LagReport("lag-test")
    report.tick(consumer, {("a", 0): 3, ("b", 0): 9}, {("a", 0), ("b", 0)})
    assert (told("lag-test", "a"), told("lag-test", "b")) == (7, 0), "a position may be ahead of what was fetched"
    report.tick(consumer, {}, {("a", 0), ("b", 0)})
    assert (told("lag-test", "a"), told("lag-test", "b")) == (7, 0), "ours, and not known just now"
    report.tick(consumer, {("b", 0): 4}, {("b", 0)})
    assert (told("lag-test", "a"), told("lag-test", "b")) == (None, 1)
    report.tick(consumer, {("b", 0): 4, ("c", 0): 0}, {("b", 0), ("c", 0)})
    assert (told("lag-test", "b"), told("lag-test", "c")) == (1, None)
