"""Days and weeks as slots of time, in UTC: a slot's name, and the last slot that is over. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SCHEDULES = ("daily", "weekly")

MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS
WEEK_MS = 7 * DAY_MS

MONDAY_MS = 4 * DAY_MS
"""The epoch's first Monday: weeks begin there, as ISO 8601 has them."""


def slot_of(schedule: str, at: datetime) -> str:
    """`daily-2026-11-24`, or `weekly-2026-W48` (an ISO week: from Monday); `at` in UTC."""
    year, week, _ = at.isocalendar()
    return f"weekly-{year}-W{week:02}" if schedule == "weekly" else f"daily-{at:%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class Slot:
    """A day or a week from one moment (ms since epoch) to before another."""

    schedule: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """`daily-20261129T0600Z-20261130T0600Z`: sorts by time, and is a file's name anywhere."""
        return f"{self.schedule}-{_text(self.start)}-{_text(self.end)}"


def last_over(schedule: str, at_minute: int, now_ms: int) -> Slot:
    """The newest slot that ended by `now_ms`; slots change `at_minute` minutes after midnight (on Mondays)."""
    length, origin = (WEEK_MS, MONDAY_MS) if schedule == "weekly" else (DAY_MS, 0)
    origin += at_minute * MINUTE_MS
    end = (now_ms - origin) // length * length + origin
    return Slot(schedule, end - length, end)


def _text(at_ms: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms):%Y%m%dT%H%MZ}"
