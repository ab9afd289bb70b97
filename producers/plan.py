"""What the words of the command line mean in records and milliseconds: pure, given the time.

Building the stream from it is `longshore.cli.produce`'s work.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from longshore.codec import MAX_EVENT_TIME
from longshore.errors import ConfigurationError

DEFAULT_STEP_MS = 10.0
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def event_step_ms(given: float | None, rate: float | None) -> float:
    """Event time between two records: `given`, else real time at `rate` records a second, else 10 ms."""
    if given is not None:
        return given
    return DEFAULT_STEP_MS if rate is None else 1_000.0 / rate


def event_start_ms(given: str | None, now_ms: int, *, paced: bool, count: int | None, step_ms: float) -> int:
    """Event time of record 0, ms since epoch.

    `given` is ISO 8601 (UTC where it names no zone) or ms. Without it a paced or endless stream starts now, and
    one as fast as can be ends now, so that no event lies in the future.

    Raises:
        ConfigurationError: `given` is neither form, or out of the years 1970 to 9999.

    """
    if given is None:
        return now_ms if paced or count is None else now_ms - math.ceil(count * step_ms)
    start = int(given) if re.fullmatch(r"[0-9]+", given) else _iso_ms(given)
    if not 0 <= start <= MAX_EVENT_TIME:
        raise ConfigurationError(f"--event-start {given} is out of range", mend="give a time from 1970 to 9999")
    return start


def _iso_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"--event-start {text!r} is not a time", mend="give ISO 8601 (2026-01-31T12:00:00Z) or ms since epoch"
        ) from error
    return math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def delay_records(text: str, step_ms: float) -> int:
    """A label's delay in records: `500`, or event time with a unit (`30s`, `5m`, `2h`), rounded up to whole records.

    Raises:
        ConfigurationError: it is neither, or a time for a stream whose event time stands still.

    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?", text.strip())
    if match is None or (match[2] is None and "." in match[1]):
        raise ConfigurationError(
            f"--label-delay {text!r} is no delay", mend="give a number of records (500) or event time (30s, 5m, 2h)"
        )
    if match[2] is None:
        return int(match[1])
    if step_ms == 0:
        raise ConfigurationError(
            f"--label-delay {text} needs event time that moves", mend="give a number of records, or a larger step"
        )
    return math.ceil(round(float(match[1]) * UNITS_S[match[2]] * 1_000 / step_ms, 6))


def run_id(given: str | None, seed: int, now_ms: int) -> str:
    """What a run's record ids begin with: `given`, else the seed and the time of the start.

    The default differs in every run, so a restarted producer never reuses an id unknowingly; a given one makes the
    ids repeatable.
    """
    if given is None:
        return f"s{seed}-{_base36(now_ms)}"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given):
        raise ConfigurationError(
            f"--run-id {given!r} cannot be used", mend="give 1 to 64 letters, digits, dots, dashes or underscores"
        )
    return given


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return text or "0"
