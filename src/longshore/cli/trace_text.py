"""Text for a person's terminal: times in UTC with milliseconds, spans, wrapped rows, and nothing a terminal acts upon.

What came from outside (keys, values, headers, reasons) never reaches the terminal raw: a control character in it is
written as an escape. Pure but for the terminal's width.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime

NAME_WIDTH = 14
MAX_LINES = 4
"""Of one row."""

_UNSAFE = re.compile(
    # C0 and C1 controls, line and paragraph separators, zero-width and direction marks, lone surrogates
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def terminal_width() -> int:
    """Columns of the terminal, 120 where there is none, and never less than 60."""
    return max(60, shutil.get_terminal_size((120, 24)).columns)


def wrapped(name: str, text: str, width: int) -> Iterator[str]:
    """A row in up to `MAX_LINES` lines, the name before the first."""
    room = width - NAME_WIDTH - 2
    # Cut first: wrapping looks at every character, and a record may be a megabyte.
    shown = clean(text[: room * (MAX_LINES + 1)])
    pieces = textwrap.wrap(shown, room, max_lines=MAX_LINES, placeholder=" …", break_on_hyphens=False)
    for number, piece in enumerate(pieces or [""]):
        yield f"  {name if number == 0 else '':<{NAME_WIDTH}}{piece}"


def paragraph(text: str, width: int) -> Iterator[str]:
    """All of a text, over as many lines as it needs."""
    yield from textwrap.wrap(clean(text), width, break_on_hyphens=False)


def clean(text: str) -> str:
    """`text` with nothing in it that a terminal acts upon."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def when(time_ms: int | None) -> str:
    """UTC with milliseconds: 2026-11-23 03:14:15.926 UTC; the number itself where it is no time a calendar has."""
    if time_ms is None:
        return "-"
    try:
        moment = datetime.fromtimestamp(time_ms / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ms % 1_000:03d} UTC"


def span(milliseconds: int) -> str:
    """A length of time in the unit that reads best: 12 ms, 3.4 s, 2 h 5 min, 3 d 4 h."""
    sign, rest = ("-" if milliseconds < 0 else ""), abs(milliseconds)
    if rest < 1_000:
        return f"{sign}{rest} ms"
    if rest < 60_000:
        return f"{sign}{rest / 1_000:.1f} s"
    minutes = rest // 60_000
    if minutes < 60:
        return f"{sign}{minutes} min {rest // 1_000 % 60} s"
    hours = minutes // 60
    return f"{sign}{hours} h {minutes % 60} min" if hours < 48 else f"{sign}{hours // 24} d {hours % 24} h"
