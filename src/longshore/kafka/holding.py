"""A group member that leaves partitions unread for a while, and says how far each is read."""

from __future__ import annotations

import contextlib
from typing import Any, Unpack

from confluent_kafka import KafkaException, TopicPartition

from longshore.config import Settings
from longshore.kafka.member import GroupMember
from longshore.kafka.outlet import Hooks, Outlet
from longshore.stream import Mark, Partitions


class HoldingMember(GroupMember):
    """Implements `longshore.stream.HoldingStream`, as exactly as its outlet is."""

    def __init__(
        self, settings: Settings, outlet: Outlet, *, group: str, topics: list[str], **hooks: Unpack[Hooks]
    ) -> None:
        self._paused: Partitions = set()
        super().__init__(settings, outlet, group=group, topics=topics, **hooks)

    def hold(self, places: Partitions) -> None:
        """See `longshore.stream.HoldingStream.hold`."""
        wanted = places & self._assigned
        if begun := wanted - self._paused:
            self._consumer.pause([TopicPartition(*place) for place in begun])
        self._resume(self._paused - wanted)
        self._paused = wanted

    def positions(self) -> Mark:
        """See `longshore.stream.HoldingStream.positions`."""
        return dict(self._positions)

    def _resume(self, places: Partitions) -> None:
        if not places:
            return
        self._consumer.resume([TopicPartition(*place) for place in places])
        for place in places & self._positions.keys() - self._waiting:
            # What had been fetched of it is gone.
            with contextlib.suppress(KafkaException):
                self._consumer.seek(TopicPartition(*place, self._positions[place]))

    def _give_up(self, kind: str, _consumer: Any, partitions: list[TopicPartition]) -> None:
        """A pause would outlast the assignment."""
        gone = {(p.topic, p.partition) for p in partitions} & self._paused
        if gone:
            with contextlib.suppress(KafkaException):
                self._consumer.resume([TopicPartition(*place) for place in gone])
        self._paused -= gone
        super()._give_up(kind, _consumer, partitions)

    def _go_on(self, found: dict[tuple[str, int], int]) -> None:
        """A partition that is sought is read: it is held again when there is reason to."""
        held: Any = found.keys() & self._paused
        if held:
            self._consumer.resume([TopicPartition(*place) for place in held])
            self._paused -= held
        super()._go_on(found)
