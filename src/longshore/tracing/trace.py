"""The answer: one record's way as plain values, and the sentence that sums it up. Pure.

Names here are the names in the JSON of `longshore trace --output json`. Times are ms since epoch. What was not found is
null; why not stands in `notes` and `searched`.
"""

from __future__ import annotations

import base64
import re
from enum import StrEnum
from typing import Any

import msgspec

from longshore.records import DriftEvent, Source
from longshore.stream import Message

FORMAT = 1


class Status(StrEnum):
    """How it stands with the record; the first two are what promise 1 allows for good."""

    SCORED = "scored"
    DEAD_LETTER = "dead_letter"
    NOT_SCORED_YET = "not_scored_yet"
    NO_OUTCOME_FOUND = "no_outcome_found"
    EXPIRED = "expired"
    BEYOND_END = "beyond_end"
    NO_RECORD = "no_record"
    ABORTED = "aborted"
    OPEN = "open_transaction"
    NOT_FOUND = "not_found"

    @property
    def answered(self) -> bool:
        """Whether the record's outcome is known."""
        return self in (Status.SCORED, Status.DEAD_LETTER)


class Payload(msgspec.Struct, frozen=True):
    """Bytes as they are: as text where they are UTF-8, else in base64."""

    encoding: str
    data: str
    size: int

    @classmethod
    def of(cls, data: bytes | None) -> Payload | None:
        """None stays None."""
        if data is None:
            return None
        try:
            return cls("utf-8", data.decode(), len(data))
        except UnicodeDecodeError:
            return cls("base64", base64.b64encode(data).decode(), len(data))


class Header(msgspec.Struct, frozen=True):
    """One header of a message; names may repeat."""

    name: str
    value: Payload | None


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A message as Kafka has it. `timestamp` is null where it has none."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    key: Payload | None
    value: Payload | None
    headers: list[Header]

    @classmethod
    def of(cls, message: Message) -> Envelope:
        """A message's every part."""
        kind, time = message.timestamp()
        return cls(
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
            timestamp=time if kind else None,
            key=Payload.of(message.key()),
            value=Payload.of(message.value()),
            headers=[Header(name, Payload.of(value)) for name, value in message.headers() or []],
        )


class Identity(msgspec.Struct, frozen=True):
    """Who the record says it is, as far as it can be read."""

    record_id: str | None = None
    entity: str | None = None
    event_time: int | None = None


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What the scorer wrote; `message` without its value, which is these fields and the input."""

    prediction: float
    scored_at: int
    model_version: str
    route: str
    message: Envelope


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter sent again, as the journal has it: the new record's coordinates, when, and the how manieth time."""

    replayed_as: str
    replayed_at: int
    attempt: int
    patched: bool
    root: str


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Why the record was not scored, and what became of it."""

    reason: str
    message: str
    stage: str
    task: str
    envelope: Envelope
    replay: Replay | None = None


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """The truth, where it is known already."""

    label: float
    observed_at: int
    topic: str
    partition: int
    offset: int


class Reign(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch in which a version was champion, and the moves at both ends; `until` is null while it lasts."""

    generation: int
    kind: str
    since: int
    actor: str
    reason: str
    trigger_id: str
    until: int | None = None
    ended_by: dict[str, Any] | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The version that predicted: what it is, where it comes from, and when it was champion; or the `problem`."""

    version: str
    model: str
    file: str = ""
    sha256: str | None = None
    dataset: dict[str, Any] = {}
    trigger_id: str = ""
    created: str | None = None
    actor: str = ""
    reason: str = ""
    code_version: str | None = None
    libraries: dict[str, str] = {}
    metrics: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    signature: Any = None
    request: dict[str, Any] | None = None
    generation: int | None = None
    champion_then: dict[str, Any] | None = None
    reigns: list[Reign] = []
    problem: str = ""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What the monitor said: the last word before the record was scored, and the verdict on the record's own window.

    `covers` is false where that verdict is on the last window before the record: its own is not judged (yet).
    """

    known: DriftEvent | None = None
    known_at: int | None = None
    verdict: DriftEvent | None = None
    verdict_at: int | None = None
    covers: bool = False
    alert: DriftEvent | None = None


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """A W3C `traceparent` header; ids are null where it is malformed."""

    header: str
    trace_id: str | None = None
    parent_id: str | None = None
    sampled: bool | None = None


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch that was read: offsets `start` to `stop` - 1. `complete`: to the end it had, not cut short."""

    what: str
    topic: str
    partition: int
    start: int
    stop: int
    records: int
    complete: bool


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one record."""

    status: Status
    detail: str
    source: Source | None = None
    identity: Identity = Identity()
    input: Envelope | None = None
    replay_of: str | None = None
    prediction: Prediction | None = None
    dead_letter: DeadLetter | None = None
    label: Label | None = None
    model: Model | None = None
    drift: Drift | None = None
    traceparent: dict[str, TraceContext | None] = {}
    group: str = ""
    committed: int | None = None
    others: list[str] = []
    notes: list[str] = []
    searched: list[Searched] = []
    format: int = FORMAT


_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def trace_context(headers: list[tuple[str, bytes]] | None) -> TraceContext | None:
    """The first `traceparent` among headers, by the W3C recommendation's rules for what is valid."""
    value = next((value for name, value in headers or [] if name.lower() == "traceparent" and value), None)
    if value is None:
        return None
    text = value.decode("utf-8", "replace")
    match = _TRACEPARENT.fullmatch(text)
    if match is None or match[1] == "ff" or not match[2].strip("0") or not match[3].strip("0"):
        return TraceContext(header=text)
    if match[1] == "00" and match[5]:
        return TraceContext(header=text)
    return TraceContext(header=text, trace_id=match[2], parent_id=match[3], sampled=bool(int(match[4], 16) & 1))
