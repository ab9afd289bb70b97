"""How far a trace reads: the seam to Kafka, and the bounds on every search. Pure but for the `Finder` it is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from longshore.records import Source
from longshore.stream import Message
from longshore.tracing.matching import Looker
from longshore.tracing.trace import Searched, Status

READ_LIMIT = 2_000_000
"""Messages one search reads at most: some ten seconds' worth."""
CLOCK_SLACK_MS, WIDE_SLACK_MS = 5_000, 600_000
"""How far a scorer's clock may be behind the sender's: by that much a prediction may look older than its record.

The wide one is for a second look, where the first found nothing although there must be something.
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of one partition: offsets `start` to `stop` - 1, within `since_ms` and `until_ms`; None is no bound.

    At most `limit` messages are read, and at most `matches` are looked for.
    """

    what: str
    topic: str
    partition: int
    start: int | None = None
    stop: int | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int | None = None
    matches: int = 1


@dataclass(frozen=True, slots=True)
class At:
    """What is at one offset: the committed record, or why there is none. `first` and `end` are its partition's."""

    absent: Status | None
    record: Message | None
    first: int
    end: int


class Finder(Protocol):
    """Bounded reading of topics outside any group."""

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has, 0 where there is none."""
        ...

    def at(self, source: Source) -> At:
        """What is at one offset."""
        ...

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int:
        """The first offset with a timestamp of `time_ms` or later; the end where there is none."""
        ...

    def search(self, stretch: Stretch, look: Looker) -> tuple[list[Message], Searched]:
        """What `look` found in a stretch, and what was read for it."""
        ...

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """A group's committed offsets."""
        ...


@dataclass(slots=True)
class Searches:
    """Every search of one trace, and what is to be said about them. `everything` lifts the bounds."""

    finder: Finder
    everything: bool = False
    done: list[Searched] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def first(
        self,
        what: str,
        topic: str,
        partitions: Iterable[int],
        since_ms: int | None,
        look: Looker,
        *,
        slack_ms: int = CLOCK_SLACK_MS,
    ) -> Message | None:
        """The first message found in these partitions, in turn, from `since_ms` on (less the clocks' slack)."""
        unbounded = self.everything or since_ms is None
        since = None if unbounded or since_ms is None else since_ms - slack_ms
        for number in partitions:
            limit = None if self.everything else READ_LIMIT
            if found := self.read(Stretch(what, topic, number, since_ms=since, limit=limit), look):
                return found[0]
        return None

    def read(self, stretch: Stretch, look: Looker) -> list[Message]:
        """All that was found in a stretch."""
        found, searched = self.finder.search(stretch, look)
        self.done.append(searched)
        if not searched.complete:
            where = f"{searched.topic}/{searched.partition}"
            self.notes.append(
                f"{stretch.what}: the search ended after {searched.records:,} messages of {where}; --everything goes on"
            )
        return found


def sent_at(message: Message) -> int | None:
    """A message's timestamp, None where it has none."""
    kind, time = message.timestamp()
    return time if kind else None
