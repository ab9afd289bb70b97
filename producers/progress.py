"""How far a run is: a bar on a terminal, a line every few seconds elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_INTERVAL_S = 5.0


@contextmanager
def shown(title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Show progress of `total` units (None: without end); call what it yields with each number of units done."""
    if sys.stderr.isatty():
        with _bar(title, total) as advance:
            yield advance
        return
    lines = _Lines(title, total, unit)
    yield lines.advance
    lines.tell()


@contextmanager
def _bar(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich import progress  # noqa: PLC0415  # only where there is something to draw
    from rich.console import Console  # noqa: PLC0415

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)


class _Lines:
    def __init__(self, title: str, total: int | None, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._done = 0
        self._started = self._told = time.monotonic()

    def advance(self, done: int) -> None:
        self._done += done
        if time.monotonic() - self._told >= LINE_INTERVAL_S:
            self.tell()

    def tell(self) -> None:
        self._told = time.monotonic()
        rate = self._done / max(self._told - self._started, 1e-9)
        of = "" if self._total is None else f" of {self._total:,}"
        sys.stderr.write(f"{self._title}: {self._done:,}{of} {self._unit} ({rate:,.0f}/s)\n")
        sys.stderr.flush()
