"""How long what failed is left alone: a place that does not answer, a version that was refused. Counted in rounds."""

from __future__ import annotations

from dataclasses import dataclass

from longshore.scorer.checks import Candidate, Reason

MAX_WAIT = 64
"""Rounds until a refused version is tried again, at most; the first waits are 2, 4, 8, …"""
MAX_SILENCE = 4
"""Rounds that a place which did not answer is left alone, at most: 1, 2, 4."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What was tried: the same pointer under other keys is another try."""

    candidate: Candidate
    keys: frozenset[str]


@dataclass(slots=True)
class Wait:
    """How often something failed in a row, and the round in which it is tried again."""

    failures: int = 0
    until: int = 0
    told: tuple[str, int, Reason] | None = None
    objected: bool = False

    def fail(self, now: int, *, first: int, most: int) -> None:
        """Wait `first` rounds, and twice as many after each further failure, `most` at most."""
        self.until = now + min(first * 2**self.failures, most)
        self.failures = min(self.failures + 1, 16)


NEVER = Wait()
