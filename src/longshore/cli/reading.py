"""How far a long read of a topic is, on stderr: one line that moves on a terminal, a line now and then otherwise."""

from __future__ import annotations

import sys
import time

QUIET_S = 2.0
"""A read that takes less says nothing."""
MOVING_S, LINE_S = 0.2, 10.0


class Reading:
    """Told of every batch that was read of one topic; `clear` at the end."""

    def __init__(self, topic: str, messages: int) -> None:
        self._topic, self._messages = topic, messages
        self._began = self._told = time.monotonic()
        self._moving = sys.stderr.isatty()
        self._shown = False
        self._read = 0

    def add(self, offsets: int) -> None:
        """So many more offsets lie behind the reader."""
        self._read += offsets
        now = time.monotonic()
        if now - self._began < QUIET_S or now - self._told < (MOVING_S if self._moving else LINE_S):
            return
        self._told, self._shown = now, True
        share = self._read / max(self._messages, self._read, 1)
        rate = self._read / (now - self._began)
        text = f"reading {self._topic}: {self._read:,} of {self._messages:,} offsets, {share:.0%}, {rate:,.0f}/s"
        sys.stderr.write(f"\r{text}\x1b[K" if self._moving else f"{text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the moving line away."""
        if self._shown and self._moving:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
