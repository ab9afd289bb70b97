"""Which dead letters are meant, and how many there are of each reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from longshore.dead_letters.letter import DeadLetter

MAX_REASONS = 100
"""Reasons come from headers that anybody may write; beyond this many different ones they are counted together."""

OTHER_REASONS = "(other reasons)"


@dataclass(frozen=True, slots=True)
class Filter:
    """All conditions that are set must hold. Times are those of the original records (ms, `until_ms` exclusive).

    `partition` and `offset` are the origin's; a dead letter whose headers do not tell its origin matches neither.
    """

    reasons: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    key: bytes | None = None
    partition: int | None = None
    offset: int | None = None

    @property
    def empty(self) -> bool:
        """Whether every dead letter matches."""
        return self == Filter()

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a dead letter is meant."""
        return (
            (not self.reasons or letter.reason.casefold() in {reason.casefold() for reason in self.reasons})
            and self._in_time(letter.timestamp_ms)
            and (self.key is None or letter.key == self.key)
            and (self.partition is None or (letter.origin is not None and letter.origin.partition == self.partition))
            and (self.offset is None or (letter.origin is not None and letter.origin.offset == self.offset))
        )

    def _in_time(self, at: int | None) -> bool:
        if at is None:
            return self.since_ms is None and self.until_ms is None
        return (self.since_ms is None or at >= self.since_ms) and (self.until_ms is None or at < self.until_ms)


@dataclass(slots=True)
class ReasonCount:
    """How many dead letters have a reason; `first_seen` and `last_seen` are their records' timestamps (ms)."""

    reason: str
    count: int = 0
    replayed: int = 0
    first_seen: int | None = None
    last_seen: int | None = None

    def add(self, at: int | None, *, replayed: bool) -> None:
        """Count one more."""
        self.count += 1
        self.replayed += replayed
        if at is not None:
            self.first_seen = at if self.first_seen is None else min(self.first_seen, at)
            self.last_seen = at if self.last_seen is None else max(self.last_seen, at)


@dataclass(slots=True)
class ReasonCounts:
    """Counts by reason, in memory that does not grow with what is counted."""

    _by_reason: dict[str, ReasonCount] = field(default_factory=dict)

    def add(self, letter: DeadLetter, *, replayed: bool) -> None:
        """Count one dead letter."""
        reason = letter.reason
        if reason not in self._by_reason and len(self._by_reason) >= MAX_REASONS:
            reason = OTHER_REASONS
        counts = self._by_reason.setdefault(reason, ReasonCount(reason))
        counts.add(letter.timestamp_ms, replayed=replayed)

    def rows(self) -> list[ReasonCount]:
        """The most frequent reason first."""
        return sorted(self._by_reason.values(), key=lambda row: (-row.count, row.reason))
