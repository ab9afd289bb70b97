"""Where a group goes on reading: the committed offset of each partition, known for certain or not yet.

Never left to the client: with KIP-848 it took "not stable yet" (a neighbour's open transaction) or "stale epoch" (a
second rebalance) for "no offset", and began a partition anew from its first record (seen with librdkafka 2.16).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from longshore.kafka.watched import Watched
from longshore.stream import Partitions, Place, StartHook

log = structlog.get_logger()

SEARCH_S = 1.0
"""For one question; while a predecessor's transaction is open there is no answer, and it is asked again."""

TOLD_S = 30.0
"""A wait as long as this is told, and again each time it has lasted so much longer."""

Offsets = dict[Place, int]
Committed = dict[Place, tuple[int, str]]
"""Offsets with the notes beside them."""


class Starts:
    """Asks a group for committed offsets: through its member, or on a thread of its own while the member goes on.

    There through a client of its own (`searcher` makes it): `Consumer.consume` and `Consumer.committed` of one client
    lock each other out, for a second and more (seen with confluent-kafka 2.16: a member that read on kept the search
    from ever beginning, and its partitions stood still for up to a minute).
    """

    def __init__(
        self, consumer: Consumer, group: str, searcher: Callable[[], Consumer], begin: StartHook | None = None
    ) -> None:
        """`begin` may choose another place to begin at than the committed offset."""
        self._consumer = consumer
        self._searcher = searcher
        self._begin = begin
        self._apart: Consumer | None = None
        self._watched = Watched(f"offsets {group}")
        self._search: Future[Committed] | None = None
        self._since: float | None = None
        self._tell_at = 0.0

    def find(self, partitions: Partitions) -> Offsets:
        """Offsets to go on from, of the partitions whose answer is certain; the first where nothing is committed."""
        return self._begins(_committed(self._consumer, partitions)) if partitions else {}

    def look_again(self, partitions: Partitions) -> Offsets:
        """What has been found since the last call, without waiting; the search goes on for the rest."""
        found: Committed = {}
        if self._search is not None and self._search.done():
            found, self._search = self._search.result(), None
        asked = partitions - found.keys()
        self._tell(asked)
        if self._search is None and asked:
            self._search = self._watched.start(lambda: self._find_apart(asked))
        return self._begins({place: at for place, at in found.items() if place in partitions})

    def _tell(self, waiting: Partitions) -> None:
        """Say so where partitions stand still for long: nothing else would."""
        if not waiting:
            self._since = None
            return
        now = time.monotonic()
        if self._since is None:
            self._since, self._tell_at = now, now + TOLD_S
        if now >= self._tell_at:
            self._tell_at = now + TOLD_S
            log.warning(
                "partitions wait for their committed offset",
                partitions=sorted(f"{topic}[{number}]" for topic, number in waiting),
                waited_s=round(now - self._since),
                mend="a transaction is open on the group's offsets; if it stays: docs/operations/transaction-aborts.md",
            )

    def forget(self) -> None:
        """Pass over a search: what it finds may be from before a commit, or before a partition went."""
        if self._search is not None:
            self._search.cancel()  # unless it is under way
        self._search, self._since = None, None

    def close(self) -> None:
        """Let the searching client go, once what it is about is over."""
        self.forget()
        self._watched.start(self._close_apart)
        self._watched.retire()

    def _begins(self, found: Committed) -> Offsets:
        if self._begin is not None and found:
            return dict(self._begin(found))
        return {place: offset for place, (offset, _) in found.items()}

    def _find_apart(self, partitions: Partitions) -> Committed:
        if self._apart is None:
            self._apart = self._searcher()
        return _committed(self._apart, partitions)

    def _close_apart(self) -> None:
        if self._apart is not None:
            self._apart.close()


def _committed(consumer: Consumer, partitions: Partitions) -> Committed:
    try:
        found = consumer.committed([TopicPartition(*place) for place in partitions], timeout=SEARCH_S)
    except KafkaException:
        return {}
    certain = [p for p in found if p.error is None]
    return {
        (p.topic, p.partition): (p.offset, p.metadata or "") if p.offset >= 0 else (OFFSET_BEGINNING, "")
        for p in certain
    }
