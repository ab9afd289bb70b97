"""What was read and not delivered yet, in order, and which position may be committed. Pure.

A position covers what was delivered and what is not told at all, never what waits or what is held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from longshore.monitor.alerts.notice import Notice
from longshore.stream import Partitions

Place = tuple[str, int]


def place_of(notice: Notice) -> Place:
    """The partition it came from."""
    return notice.source.topic, notice.source.partition


class Waiting:
    """A queue of notices in the order they were read; partitions come and go."""

    def __init__(self) -> None:
        self._notices: deque[Notice] = deque()
        self._read: dict[Place, int] = {}

    def __len__(self) -> int:
        return len(self._notices)

    def read(self, place: Place, offset: int, notice: Notice | None) -> None:
        """A record was read; None where there is nothing to tell of it."""
        self._read[place] = offset + 1
        if notice is not None:
            self._notices.append(notice)

    def first(self) -> Notice | None:
        """What is to be delivered next."""
        return self._notices[0] if self._notices else None

    def done(self) -> None:
        """The first was delivered, or is passed over."""
        self._notices.popleft()

    def positions(self, held: Mapping[Place, int]) -> dict[Place, int]:
        """Where each partition may be committed: at its first notice that waits, or at what is `held`, if earlier."""
        waiting: dict[Place, int] = {}
        for notice in self._notices:
            waiting.setdefault(place_of(notice), notice.source.offset)
            if len(waiting) == len(self._read):
                break
        found = self._read | waiting
        return {place: min(at, held.get(place, at)) for place, at in found.items()}

    def forget(self, partitions: Partitions | None = None) -> None:
        """They are no longer ours, or are read again (None: all)."""
        if partitions is None:
            self._notices.clear()
            self._read.clear()
            return
        self._notices = deque(notice for notice in self._notices if place_of(notice) not in partitions)
        self._read = {place: at for place, at in self._read.items() if place not in partitions}
