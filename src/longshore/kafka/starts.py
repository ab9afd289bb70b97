"""Where a group goes on reading: the committed offset of each partition, known for certain or not yet.

Never left to the client: with KIP-848 it took "not stable yet" (a neighbour's open transaction) or "stale epoch" (a
second rebalance) for "no offset", and began a partition anew from its first record (seen with librdkafka 2.16).
"""

from __future__ import annotations

from concurrent.futures import Future

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from longshore.kafka.watched import Watched
from longshore.stream import Partitions

SEARCH_S = 1.0
"""For one question; while a predecessor's transaction is open there is no answer, and it is asked again."""

Offsets = dict[tuple[str, int], int]


class Starts:
    """Asks a consumer's group for committed offsets: now, or on a thread of its own while the caller goes on."""

    def __init__(self, consumer: Consumer, group: str) -> None:
        self._consumer = consumer
        self._watched = Watched(f"offsets {group}")
        self._search: Future[Offsets] | None = None

    def find(self, partitions: Partitions) -> Offsets:
        """Offsets to go on from, of the partitions whose answer is certain; the first where nothing is committed."""
        if not partitions:
            return {}
        try:
            found = self._consumer.committed([TopicPartition(*place) for place in partitions], timeout=SEARCH_S)
        except KafkaException:
            return {}
        certain = [p for p in found if p.error is None]
        return {(p.topic, p.partition): p.offset if p.offset >= 0 else OFFSET_BEGINNING for p in certain}

    def look_again(self, partitions: Partitions) -> Offsets:
        """What has been found since the last call, without waiting; the search goes on for the rest."""
        found: Offsets = {}
        if self._search is not None and self._search.done():
            found, self._search = self._search.result(), None
        if self._search is None and partitions - found.keys():
            asked = partitions - found.keys()
            self._search = self._watched.start(lambda: self.find(asked))
        return {place: offset for place, offset in found.items() if place in partitions}

    def forget(self) -> None:
        """Pass over a search under way: what it finds may be from before a commit, or before a partition went."""
        self._search = None

    def close(self) -> None:
        """No search may be under way when the consumer is closed, none that was passed over either."""
        self.forget()
        self._watched.retire()
        self._watched.join(2 * SEARCH_S)
