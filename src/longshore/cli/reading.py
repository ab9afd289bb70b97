"""How far a long read is, on stderr: one line that moves on a terminal, a line now and then otherwise."""

from __future__ import annotations

import sys
import time

import click

MOVING_S = 0.2


class ReadingLine:
    """Says nothing of what takes less than `quiet_s`; off a terminal, a line comes every `line_s`."""

    def __init__(self, quiet_s: float = 2.0, line_s: float = 10.0) -> None:
        self._moving = sys.stderr.isatty()
        self._quiet_s, self._every_s = quiet_s, MOVING_S if self._moving else line_s
        self._began = self._told = time.monotonic()
        self._shown = False

    def begin(self) -> None:
        """Another read begins."""
        self._began = time.monotonic()
        self.clear()

    def due(self) -> float:
        """Seconds since the read began, where it is time to tell of it; else 0."""
        now = time.monotonic()
        return 0.0 if now - self._began < self._quiet_s or now - self._told < self._every_s else now - self._began

    def show(self, text: str) -> None:
        """Tell."""
        self._told, self._shown = time.monotonic(), True
        click.echo(f"\r\x1b[K{text}" if self._moving else text, err=True, nl=not self._moving)

    def clear(self) -> None:
        """Take the moving line away."""
        if self._shown and self._moving:
            click.echo("\r\x1b[K", err=True, nl=False)
        self._shown = False


class Reading:
    """Told of every batch that was read of one topic; `clear` at the end."""

    def __init__(self, topic: str, messages: int) -> None:
        self._topic, self._messages = topic, messages
        self._line = ReadingLine()
        self._read = 0
        self.clear = self._line.clear

    def add(self, offsets: int) -> None:
        """So many more offsets lie behind the reader."""
        self._read += offsets
        if took := self._line.due():
            share, rate = self._read / max(self._messages, self._read, 1), self._read / took
            self._line.show(
                f"reading {self._topic}: {self._read:,} of {self._messages:,} offsets, {share:.0%}, {rate:,.0f}/s"
            )
