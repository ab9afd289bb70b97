"""When the next window is told of before its panes are closed: provisional verdicts, by revision. Pure.

Only the window that is to be final next is looked at, once the closed and the open panes fill it. Revision 0 comes
then; a further one only if the window's records or bounds have changed since, and when the watermark has come 1, 2, 4,
… panes further than at the one before. So a window has at most 1 + log₂(k + 1) of them if the watermark moves on by k
panes until it is final, and a message brings about one at most. Where the allowed lateness is one pane, that is one or
two, each a few milliseconds' work; asking whether to judge costs next to nothing.
"""

from __future__ import annotations

import msgspec

from longshore.monitor.window_parts import Filled
from longshore.monitor.windows import Windows
from longshore.records import Window


class Look(msgspec.Struct, frozen=True):
    """The last provisional verdict on a window: what it held then, and the pane that the watermark was in."""

    revision: int
    window: Window
    pane: int


class LookAhead:
    """The looks at the next window; `last` is all that a restart needs."""

    def __init__(self, pane_ms: int, last: Look | None = None) -> None:
        self._pane_ms = pane_ms
        self.last = last

    def due(self, windows: Windows, watermark_ms: int) -> Filled | None:
        """The next window, if it is to be told of now: it then counts as told."""
        last, pane = self.last, watermark_ms // self._pane_ms
        if last is not None and pane < last.pane + 2**last.revision:
            return None
        ahead = windows.ahead()
        window = ahead.window(self._pane_ms) if ahead is not None else None
        if ahead is None or window is None or (last is not None and window == last.window):
            return None
        self.last = Look(0 if last is None else last.revision + 1, window, pane)
        return windows.filled_with(ahead)

    def over(self) -> None:
        """The window was closed, or dropped with its era: the next one begins with revision 0."""
        self.last = None
