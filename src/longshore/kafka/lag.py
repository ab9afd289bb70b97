"""How far a consumer is behind, from what its last fetches told: no request of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from longshore import telemetry
from longshore.stream import Partitions

INTERVAL_S = 1.0


def lags(consumer: Consumer, positions: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """Records and markers between each position and its partition's end; a partition not fetched yet is left out."""
    found = {}
    for (topic, number), position in positions.items():
        try:
            _, high = consumer.get_watermark_offsets(TopicPartition(topic, number), cached=True)
        except KafkaException:
            continue
        found[topic, number] = max(0, high - position)
    return found


class LagReport:
    """Sets a service's lag metrics, once a second at most."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._next = 0.0
        self._told: set[tuple[str, str]] = set()

    def tick(self, consumer: Consumer, positions: Mapping[tuple[str, int], int], assigned: Partitions) -> None:
        """Call as often as you like. What is ours and cannot be told just now keeps its last figure: alerts need it."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + INTERVAL_S
        found = {(topic, str(number)): lag for (topic, number), lag in lags(consumer, positions).items()}
        gone = self._told - {(topic, str(number)) for topic, number in assigned}
        for place in gone:
            telemetry.CONSUMER_LAG.remove(self._service, *place)  # another member tells it now
        for place, lag in found.items():
            telemetry.CONSUMER_LAG.labels(self._service, *place).set(lag)
        self._told = (self._told - gone) | found.keys()
