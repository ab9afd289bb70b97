"""When a partition counts as idle: never by the wall clock alone. Pure; the shell asks Kafka and passes the time in.

A partition is idle when it has been silent for a while *and* every record produced before that was noticed has been
scored *and* it is still at its end then: nothing is on its way to it. While the scorer is dead its offsets stand still,
and so does the proof. A mark holds for an instant only; it is renewed as long as the silence lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Offsets = Mapping[int, int]


@dataclass(slots=True)
class IdleJudge:
    """Silence by partition (`heard`, seconds of the caller's clock) and the proof under way."""

    idle_after_s: float
    heard: dict[int, float] = field(default_factory=dict)
    waiting_for: dict[int, dict[int, int]] = field(default_factory=dict)

    def hear(self, partition: int, now: float) -> None:
        """Records came from the partition."""
        self.heard[partition] = now
        self.waiting_for.pop(partition, None)

    def forget(self, partitions: Iterable[int]) -> None:
        """The partitions are read by others now, or from another place."""
        for partition in partitions:
            self.heard.pop(partition, None)
            self.waiting_for.pop(partition, None)

    def suspects(self, now: float, at_end: Mapping[int, bool]) -> list[int]:
        """Partitions at their end and silent long enough: those worth asking Kafka about."""
        for partition in at_end:
            self.heard.setdefault(partition, now)
        return [p for p, ended in sorted(at_end.items()) if ended and now - self.heard[p] >= self.idle_after_s]

    def idle(self, suspects: list[int], ends: Offsets, scored: Offsets, now: float) -> list[int]:
        """Those of the suspects that are proven idle, given the records topic's ends and the scorer's offsets."""
        proven = []
        for partition in suspects:
            target = self.waiting_for.get(partition)
            if target is None:
                self.waiting_for[partition] = dict(ends)
            elif all(scored.get(number, 0) >= end for number, end in target.items()):
                proven.append(partition)
                self.hear(partition, now)
        return proven
