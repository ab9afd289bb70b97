"""How far event time has come over all partitions: what closes panes. Pure, and without a clock of its own."""

from __future__ import annotations

import msgspec


class Watermark(msgspec.Struct):
    """The partitions' watermarks (ms) and how many partitions there are.

    A partition nothing was heard of holds everything back; so does one whose scorer is dead. Only an idle mark, given
    when nothing is on its way to it, lets it follow the others, and only as far as they had come by then.
    """

    partitions: int = 0
    by_partition: dict[int, int] = {}

    def advance(self, partition: int, to: int, partitions: int) -> None:
        """A partition's records reach event time `to`."""
        self.partitions = max(self.partitions, partitions)
        self.by_partition[partition] = max(to, self.by_partition.get(partition, to))

    def follow(self, partition: int, partitions: int) -> None:
        """An idle partition takes the highest watermark of all."""
        if self.by_partition:
            self.advance(partition, max(self.by_partition.values()), partitions)

    def current(self) -> int | None:
        """The event time all partitions have reached; None while one was not heard of."""
        if not self.partitions or len(self.by_partition) < self.partitions:
            return None
        return min(self.by_partition.values())
