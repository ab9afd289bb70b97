"""A moment on the command line: a date and time, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """An option's callback: ISO 8601 (UTC where it names no zone) or an age (`2h`) to milliseconds since the epoch."""
    if value is None:
        return None
    ago = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
    try:
        age = timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else None
        at = datetime.fromisoformat(value) if age is None else datetime.now(UTC) - age
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{value!r} is neither a time such as 2026-05-01T12:00Z nor an age such as 2h"
        ) from error
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
