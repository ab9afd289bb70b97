"""Which dead letters were replayed: a compacted topic whose key is the origin (`topic/partition/offset`).

The key alone decides. A value that cannot be read still says "replayed": sending a record twice is worse than asking a
person. A null value (a tombstone) takes the entry back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from longshore.dead_letters.letter import Coordinates
from longshore.records import UNREADABLE


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the journal. Coordinates are `topic/partition/offset`; `replayed_at` is ms since epoch."""

    replayed_as: str
    """Where the new record stands."""
    dead_letter: str
    """Where the dead letter stood."""
    root: str
    """The first record of the chain."""
    attempt: int
    """How many replays the chain has had with this one."""
    patched: bool
    replayed_at: int


class _Target(msgspec.Struct, frozen=True):
    replayed_as: str


@dataclass(slots=True)
class Journal:
    """What is in the journal of one records topic, in memory: two small tuples for each replay."""

    records_topic: str
    _targets: dict[tuple[int, int], tuple[int, int] | None] = field(default_factory=dict)

    def read(self, entries: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Take up keys and values in the topic's order."""
        for key, value in entries:
            origin = _coordinates(key)
            if origin is None or origin.topic != self.records_topic:
                continue
            at = (origin.partition, origin.offset)
            if value is None:
                self._targets.pop(at, None)
            else:
                self._targets[at] = self._target(value)

    def add(self, origin: Coordinates, target: Coordinates) -> None:
        """Note a replay that was committed."""
        self._targets[origin.partition, origin.offset] = (target.partition, target.offset)

    def __contains__(self, origin: Coordinates | None) -> bool:
        return (
            origin is not None
            and origin.topic == self.records_topic
            and (origin.partition, origin.offset) in self._targets
        )

    def __len__(self) -> int:
        return len(self._targets)

    def replayed_as(self, origin: Coordinates) -> Coordinates | None:
        """Where the replay of a record stands; None where there is none, or its entry cannot be read."""
        found = self._targets.get((origin.partition, origin.offset)) if origin in self else None
        return Coordinates(self.records_topic, *found) if found else None

    def _target(self, value: bytes) -> tuple[int, int] | None:
        try:
            target = Coordinates.parse(msgspec.json.decode(value, type=_Target).replayed_as)
        except (*UNREADABLE, ValueError):
            return None
        return target.partition, target.offset


def _coordinates(key: bytes | None) -> Coordinates | None:
    try:
        return Coordinates.parse((key or b"").decode("ascii"))
    except ValueError:
        return None
