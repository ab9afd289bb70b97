"""Records that were set aside, by pane: late, future and unreadable ones on their way to the window they are told with.

Pure. What was set aside while a partition's watermark stood in a pane is told with the window that this pane is in.
"""

from __future__ import annotations

from collections.abc import Iterable

Aside = tuple[int, int, int]
"""Late, future and unreadable records."""

NO_ASIDE: Aside = (0, 0, 0)


def put(pending: dict[int, Aside], counted: Iterable[tuple[int, int, int, int]]) -> None:
    """Add what was counted, (pane, late, future, unreadable) each, to what is pending by pane."""
    for pane, late, future, unreadable in counted:
        pending[pane] = added(pending.get(pane, NO_ASIDE), (late, future, unreadable))


def taken(pending: dict[int, Aside], upto: int) -> Aside:
    """What is pending for panes up to `upto`; it then is no longer."""
    total = NO_ASIDE
    for pane in [pane for pane in pending if pane <= upto]:
        total = added(total, pending.pop(pane))
    return total


def added(one: Aside, other: Aside) -> Aside:
    """Both together."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
