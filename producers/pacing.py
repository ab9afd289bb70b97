"""How many records to send next and how long to wait before: pure, given the time."""

from __future__ import annotations

from dataclasses import dataclass

LARGEST_BLOCK = 4_096
BLOCK_S = 0.02
"""A block is about this much of the stream's time, so that even pace and few calls go together."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`rate` records a second on average, or as fast as can be where it is None.

    Record i is due i / rate seconds after the start, whatever happened in between: after a stall it catches up.
    """

    rate: float | None

    @property
    def block(self) -> int:
        """How many records to send at once."""
        return LARGEST_BLOCK if self.rate is None else max(1, min(LARGEST_BLOCK, round(self.rate * BLOCK_S)))

    def wait_s(self, sent: int, elapsed_s: float) -> float:
        """Seconds until record `sent` is due (0 where it already is)."""
        return 0.0 if self.rate is None else max(0.0, sent / self.rate - elapsed_s)
