"""What a service sees of Kafka: messages in, outputs out, and the promise that both advance together.

`longshore.kafka.exactly_once` keeps it against a real broker. Services depend on this module only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, islice, pairwise
from operator import ne
from typing import Any, Protocol

Partitions = set[tuple[str, int]]
Mark = Mapping[tuple[str, int], int]
PartitionsHook = Callable[[Partitions], None]
Place = tuple[str, int]
"""A topic and a partition."""

BEGINNING = -2
"""As an offset: the first that there is; as a group's: none is committed."""

StartHook = Callable[[Mapping[Place, tuple[int, str]]], Mapping[Place, int]]
"""Given what a group has committed of each partition, and the note beside it: where to begin reading each."""

NoteHook = Callable[[Place], str]
"""What to keep beside the offset of a partition that is committed."""


class Message(Protocol):
    """A record as it came from a topic (the client's own message type fits)."""

    def topic(self) -> str: ...  # noqa: D102
    def partition(self) -> int: ...  # noqa: D102
    def offset(self) -> int: ...  # noqa: D102
    def key(self) -> bytes | None: ...  # noqa: D102
    def value(self) -> bytes | None: ...  # noqa: D102
    def headers(self) -> list[tuple[str, bytes]] | None: ...  # noqa: D102
    def timestamp(self) -> tuple[int, int]: ...  # noqa: D102


def places_of(batch: Sequence[Message]) -> list[tuple[str, int]]:
    """Each message's topic and partition."""
    return [(message.topic(), message.partition()) for message in batch]


def by_partition(batch: Sequence[Message]) -> dict[tuple[str, int], list[Message]]:
    """The messages of each partition, in order.

    A client hands out what it fetched of one partition in one stretch: so stretches are told apart, not messages.
    """
    topic = _one_topic(batch)
    places: list[Any] = [message.partition() for message in batch] if topic is not None else places_of(batch)
    starts = [*compress(range(len(places)), chain([True], map(ne, islice(places, 1, None), places)))]
    found: dict[Any, list[Message]] = {}
    for start, end in pairwise([*starts, len(places)]):
        found.setdefault(places[start], []).extend(batch[start:end])
    return found if topic is None else {(topic, number): members for number, members in found.items()}


def last_of_each(batch: Sequence[Message]) -> dict[tuple[str, int], Message]:
    """Each partition's last message."""
    if (topic := _one_topic(batch)) is None:
        return dict(zip(places_of(batch), batch, strict=True))
    lasts = dict(zip([message.partition() for message in batch], batch, strict=True))
    return {(topic, number): message for number, message in lasts.items()}


def _one_topic(batch: Sequence[Message]) -> str | None:
    """The topic that all are of, if there is one: every message has a string of its own, which is slow to hash."""
    topics = [message.topic() for message in batch]
    return topics[0] if topics and topics.count(topics[0]) == len(topics) else None


@dataclass(frozen=True, slots=True)
class Batch:
    """Many messages for one topic, without headers: dicts with `key`, `value` and optionally `partition`."""

    topic: str
    messages: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Single:
    """One message with all that a message can carry."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] | None = None
    partition: int | None = None
    timestamp_ms: int | None = None


HEADER_BYTES = 10
"""What a header needs on its way besides name and value, at most."""


def wire_bytes(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> int:
    """How many bytes a message counts for against a client's or broker's limit, at most."""
    own = sum(len(name.encode()) + len(text or b"") + HEADER_BYTES for name, text in headers)
    return len(key or b"") + len(value or b"") + own


class ExactlyOnceStream(Protocol):
    """A consumer-group member whose outputs and input positions advance in one transaction, or not at all.

    Any call may raise AbortedError (nothing since the last commit that succeeded was committed and the input is
    rewound: forget everything since then) and FencedError (another process with this instance id took over: end).
    """

    def poll(self, max_records: int, timeout_s: float) -> list[Message]:
        """Up to `max_records` committed records; may call the assignment hooks from inside."""
        ...

    def send(self, outputs: Sequence[Batch | Single]) -> None:
        """Hand outputs over, in order, to the open transaction or a new one; they travel while others are made."""
        ...

    def settle(self, within_s: float | None = None) -> None:
        """Wait for the commit under way, if there is one: until it has ended, or for so long."""
        ...

    def mark(self) -> Mark:
        """The positions as they were before the last batch that `poll` returned."""
        ...

    def commit(
        self,
        outputs: Sequence[Batch | Single] = (),
        *,
        upto: Mark | None = None,
        wait: bool = True,
        then: Callable[[], None] | None = None,
    ) -> None:
        """End the transaction with `outputs` and the positions of everything polled so far, or of a `mark`.

        Without `wait` the commit goes on while the caller polls and computes; a later call tells how it ended. `then`
        is called once it has succeeded, on the caller's thread.
        """
        ...

    def backlog(self) -> int:
        """How many records (and markers) are known to wait on the broker, as of the last fetch."""
        ...

    def assignment(self) -> Partitions:
        """The (topic, partition) pairs this member reads now."""
        ...

    def at_end(self) -> dict[tuple[str, int], bool]:
        """Whether each assigned partition has been read to its present end."""
        ...

    def close(self) -> None:
        """Leave the group; what was polled and not committed is read again by whoever comes next."""
        ...


class HoldingStream(ExactlyOnceStream, Protocol):
    """One that can leave partitions unread for a while."""

    def hold(self, places: Partitions) -> None:
        """Read of these partitions nothing, until a call without them; of what is under way a little may still come."""
        ...

    def positions(self) -> Mark:
        """How far each partition is read (markers included), as of the last batch that `poll` returned."""
        ...
