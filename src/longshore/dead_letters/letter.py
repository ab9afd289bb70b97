"""One dead letter: where it stands, where its record came from, why it failed, and how often it was replayed.

Headers are untrusted: senders may set any, and the scorer keeps what it finds. So what decides where a replay goes
(`origin`) counts only where it is whole, unambiguous and names this deployment's records; else `problem` says why not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from longshore.records import CONTEXT, SOURCE, TRUNCATED
from longshore.stream import Message

REPLAY_OF, REPLAY_ROOT, REPLAY_ATTEMPT = "replay-of", "replay-root", "replay-attempt"
"""Headers of a replayed record: the record it stands for, the first of that chain, and how many replays led here."""

UNKNOWN = "Unknown"

Headers = list[tuple[str, bytes]]

_COORDINATES = re.compile(r"([A-Za-z0-9._-]{1,249})/([0-9]{1,10})/([0-9]{1,19})", re.ASCII)
_NUMBER = re.compile(rb"[0-9]{1,19}")
_MAX_PARTITION, _MAX_OFFSET = 2**31 - 1, 2**63 - 1


@dataclass(frozen=True, slots=True, order=True)
class Coordinates:
    """Where a record stands; as text `topic/partition/offset` (a topic's name holds no slash)."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Coordinates:
        """The coordinates that `str` gave.

        Raises:
            ValueError: the text is none.

        """
        found = _COORDINATES.fullmatch(text)
        if found is None or int(found[2]) > _MAX_PARTITION or int(found[3]) > _MAX_OFFSET:
            raise ValueError(f"not topic/partition/offset: {text[:300]!r}")
        return cls(found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the dead-letter topic.

    Attributes:
        place: where it stands on the dead-letter topic.
        key, value, headers, timestamp_ms: as they are there; `timestamp_ms` is the original record's, None without one.
        origin: where its record came from; None where the headers do not tell.
        problem: why it cannot be replayed; empty where it can.
        reason: the last part of the exception's class, `Unknown` without one.
        message: the exact message.
        attempt: how many replays led to it; 0 for a record nobody replayed.
        root: the first record of the chain of replays; its own origin where there was none.

    """

    place: Coordinates
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int | None
    origin: Coordinates | None
    problem: str
    reason: str
    message: str
    attempt: int
    root: Coordinates | None

    @classmethod
    def of(cls, message: Message, records_topic: str) -> DeadLetter:
        """The dead letter in a message; never fails, whatever its headers are."""
        headers = [(name, value) for name, value in message.headers() or []]
        kind, at = message.timestamp()
        origin, problem = _origin(headers, records_topic)
        attempt, root, broken_chain = _chain(headers, origin)
        return cls(
            place=Coordinates(message.topic(), message.partition(), message.offset()),
            key=message.key(),
            value=message.value(),
            headers=headers,
            timestamp_ms=at if kind else None,
            origin=origin,
            problem=problem or broken_chain or _cut(headers),
            reason=_context(headers, "exception.class.name").rpartition(".")[2] or UNKNOWN,
            message=_context(headers, "exception.message"),
            attempt=attempt,
            root=root,
        )


def readable(value: bytes | None) -> str:
    """Bytes as text, what is not UTF-8 as `\\xNN`."""
    return (value or b"").decode("utf-8", "backslashreplace")


def _values(headers: Headers, name: str) -> list[bytes | None]:
    return [value for found, value in headers if found == name]


def _context(headers: Headers, name: str) -> str:
    """The last one: a sender's own comes before what was appended."""
    found = _values(headers, CONTEXT + name)
    return readable(found[-1]) if found else ""


def _origin(headers: Headers, records_topic: str) -> tuple[Coordinates | None, str]:
    """Where the record came from, as far as the headers tell, and why that is not to be relied on."""
    if ours := _values(headers, SOURCE):
        return _ours(readable(ours[-1]), records_topic)
    names = [CONTEXT + name for name in ("topic", "partition", "offset")]
    places = [[i for i, (name, _) in enumerate(headers) if name == wanted] for wanted in names]
    for name, found in zip(names, places, strict=True):
        if len(found) != 1:
            return None, f"its header {name} is there {len(found)} times, not once"
    at = [found[0] for found in places]
    text = "/".join(readable(headers[i][1]) for i in at)
    try:
        origin = Coordinates.parse(text)
    except ValueError as error:
        return None, f"its headers name no record: {error}"
    if at != [at[0], at[0] + 1, at[0] + 2]:
        # The scorer appends all three in a row, and only those that are missing: apart, one of them is a sender's own.
        return origin, "its origin was written by two hands: topic, partition and offset do not stand in a row"
    if origin.topic != records_topic:
        return origin, f"it comes from the topic {origin.topic}, not from {records_topic}"
    return origin, ""


def _cut(headers: Headers) -> str:
    whole = _values(headers, TRUNCATED)
    return f"it holds only the first of its record's {readable(whole[-1])} bytes" if whole else ""


def _ours(text: str, records_topic: str) -> tuple[Coordinates | None, str]:
    try:
        origin = Coordinates.parse(text)
    except ValueError as error:
        return None, f"its header {SOURCE} names no record: {error}"
    elsewhere = f"it comes from the topic {origin.topic}, not from {records_topic}"
    return origin, "" if origin.topic == records_topic else elsewhere


def _chain(headers: Headers, origin: Coordinates | None) -> tuple[int, Coordinates | None, str]:
    """How often it was replayed, the first record of its chain, and what is wrong with the headers that say so."""
    attempts = _values(headers, REPLAY_ATTEMPT)
    if not attempts:
        return 0, origin, ""
    if len(attempts) > 1 or not _NUMBER.fullmatch(attempts[0] or b""):
        return 0, origin, f"its header {REPLAY_ATTEMPT} is not one number"
    roots = _values(headers, REPLAY_ROOT)
    try:
        root = Coordinates.parse(readable(roots[0])) if len(roots) == 1 else None
    except ValueError:
        root = None
    if root is None:
        return int(attempts[0] or b""), origin, f"its header {REPLAY_ROOT} is not topic/partition/offset"
    return int(attempts[0] or b""), root, ""
