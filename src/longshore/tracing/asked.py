"""What a person may ask for: a record's coordinates, or its id with a key, time bounds, or both. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from longshore.errors import ConfigurationError
from longshore.records import Source

_COORDINATES = re.compile(r"(?P<topic>[A-Za-z0-9._-]{1,249})[/:](?P<partition>[0-9]{1,9})[/:](?P<offset>[0-9]{1,18})")
_AGO = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[smhd])(?:\s+ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class ById:
    """A record by its id: in the partition of `key` (all where None), from `since_ms` until before `until_ms`."""

    record_id: str
    key: bytes | None = None
    since_ms: int | None = None
    until_ms: int | None = None


Asked = Source | ById


def coordinates(text: str, *, topic: str, prefix: str) -> Source:
    """`districts/2/1234` or `longshore.districts/2/1234` as coordinates.

    Raises:
        ConfigurationError: it has another form, or names a topic that is not the records'.

    """
    match = _COORDINATES.fullmatch(text.strip())
    if match is None:
        mend = f"give topic/partition/offset, as in {topic.removeprefix(prefix)}/2/1234"
        raise ConfigurationError(f"coordinates {text!r} cannot be read", mend=mend)
    return at(match["topic"], int(match["partition"]), int(match["offset"]), topic=topic, prefix=prefix)


def at(given: str | None, partition: int, offset: int, *, topic: str, prefix: str) -> Source:
    """Coordinates on the records' topic, whose name may be given with or without the prefix, or not at all.

    Raises:
        ConfigurationError: another topic is named.

    """
    if given not in (None, topic, topic.removeprefix(prefix)):
        raise ConfigurationError(
            f"topic {given!r} is not the records' topic {topic}",
            mend="name a record by where it was read from, not by its prediction; LONGSHORE_SCHEMA_FILE and "
            "LONGSHORE_TOPIC_PREFIX say which topic that is",
        )
    return Source(topic, partition, offset)


def moment(text: str, *, now: datetime) -> int:
    """A time as ms since epoch: ISO 8601 (UTC where it says nothing), ms since epoch, or `15m`, `2h`, `1d` ago.

    Raises:
        ConfigurationError: it is none of these.

    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) >= 11:
        return int(text)
    try:
        if match := _AGO.fullmatch(text):
            return _ms(now - timedelta(**{_UNITS[match["unit"]]: float(match["number"])}))
        parsed = datetime.fromisoformat(text)
        return _ms(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        mend = "give ISO 8601 (2026-11-23T03:00Z), ms since epoch, or how long ago (15m, 2h, 1d)"
        raise ConfigurationError(f"time {text!r} cannot be read", mend=mend) from error


def _ms(when: datetime) -> int:
    return round(when.timestamp() * 1_000)
