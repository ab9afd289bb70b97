"""What an answer means, and when the next try comes. Pure.

A receiver that is down, slow or overloaded *fails*; one that says no to what it was sent *refuses*. Both are tried
again, with longer and longer pauses; only refusals may be given up (`alerts.refused_tries`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

ABOUT_LOAD = frozenset({408, 425, 429})
"""4xx that say "later", not "never"."""

MOST_DOUBLINGS = 30


class Outcome(StrEnum):
    """How a try ended, or a state change without one."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"
    PASSED_OVER = "passed_over"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Answer:
    """A receiver's answer: its status (0: none came), the beginning of what it said, how long it asks to wait."""

    status: int
    said: str = ""
    retry_after_s: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """2xx is yes. Redirects are not followed: a signature is for one receiver, so 3xx is a no like most 4xx."""
        if 200 <= self.status < 300:
            return Outcome.DELIVERED
        if 300 <= self.status < 500 and self.status not in ABOUT_LOAD:
            return Outcome.REFUSED
        return Outcome.FAILED


ACCEPTED = Answer(200)


class Backoff:
    """Pauses that double from `first_s` to `most_s`, each shortened by chance to between half and all of it.

    `chance` gives numbers in [0, 1): receivers that failed together are not asked together again.
    """

    def __init__(self, first_s: float, most_s: float, chance: Callable[[], float]) -> None:
        self._first_s = first_s
        self._most_s = max(first_s, most_s)
        self._chance = chance
        self._tries = 0

    def succeeded(self) -> None:
        """Begin anew with the shortest pause."""
        self._tries = 0

    def pause_s(self, answer: Answer) -> float:
        """Seconds until the next try: what the receiver asks for where that is longer, `most_s` at most."""
        full = min(self._most_s, self._first_s * 2.0 ** min(self._tries, MOST_DOUBLINGS))
        self._tries += 1
        return max(full * (1 + self._chance()) / 2, min(answer.retry_after_s, self._most_s))
