"""Slots of days and weeks."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from longshore.slots import DAY_MS, MINUTE_MS, SCHEDULES, WEEK_MS, Slot, last_over


def ms(*given):
    return int(datetime(*given, tzinfo=UTC).timestamp() * 1_000)


def test_days_end_at_their_hour_and_weeks_on_mondays():
    now = ms(2026, 11, 25, 5, 59)  # a Wednesday
    assert last_over("daily", 360, now) == Slot("daily", ms(2026, 11, 23, 6), ms(2026, 11, 24, 6))
    assert last_over("daily", 360, now + MINUTE_MS).end == ms(2026, 11, 25, 6)
    assert last_over("weekly", 360, now) == Slot("weekly", ms(2026, 11, 16, 6), ms(2026, 11, 23, 6))
    assert last_over("weekly", 0, ms(2026, 11, 23)).name == "weekly-20261116T0000Z-20261123T0000Z"


@given(st.sampled_from(SCHEDULES), st.integers(0, 1_439), st.integers(0, 4_000_000_000_000))
def test_slots_follow_one_another_without_gap(schedule, at, now):
    length = WEEK_MS if schedule == "weekly" else DAY_MS
    slot = last_over(schedule, at, now)
    assert slot.end <= now < slot.end + length and slot.end - slot.start == length
    assert last_over(schedule, at, slot.end) == slot
    assert last_over(schedule, at, slot.end - 1).end == slot.start
