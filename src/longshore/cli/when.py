"""A moment on the command line: a date and time, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """An option's callback: ISO 8601 (UTC where it names no zone) or an age (`2h`) to milliseconds since the epoch."""
    if value is None:
        return None
    try:
        age = _length(value)
        at = datetime.fromisoformat(value) if age is None else datetime.now(UTC) - age
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{value!r} is neither a time such as 2026-05-01T12:00Z nor an age such as 2h"
        ) from error
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return (at - EPOCH) // timedelta(milliseconds=1)


def span(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """An option's callback: a length of time (`90m`, `7d`) in milliseconds."""
    if value is None:
        return None
    try:
        length = _length(value)
    except OverflowError:
        length = None
    if length is None:
        raise click.BadParameter(f"{value!r} is no length of time such as 90m, 2h, 7d or 4w")
    return length // timedelta(milliseconds=1)


def minute_of_day(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    """An option's callback: a time of day (`06:00`) as minutes since midnight."""
    found = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no time of day such as 06:00")
    return int(found[1]) * 60 + int(found[2])


def _length(value: str) -> timedelta | None:
    """A number and a unit, None for anything else."""
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
