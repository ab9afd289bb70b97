"""Recognising messages: is this the prediction, dead letter, label or record that is looked for? Pure.

A look says FOUND, GO_ON, or PASSED: what is looked for cannot come any more in this partition. Source order makes that
so: the scorer hands a source partition's records on in their order, and a key stays in one partition.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum, auto

import msgspec

from longshore.dead_letters.letter import REPLAY_OF
from longshore.records import CONTEXT, UNREADABLE, Source
from longshore.schema import Schema
from longshore.stream import Message
from longshore.tracing.trace import Identity


class Look(Enum):
    """What a look at one message said."""

    FOUND = auto()
    GO_ON = auto()
    PASSED = auto()


Looker = Callable[[Message], Look]


class _Predicted(msgspec.Struct, gc=False):
    source: Source


class _Identified(msgspec.Struct, gc=False):
    record_id: str


_predicted = msgspec.json.Decoder(_Predicted)
_identified = msgspec.json.Decoder(_Identified)


def prediction_of(source: Source) -> Looker:
    """Looks for the prediction of a source offset."""

    def look(message: Message) -> Look:
        try:
            found = _predicted.decode(message.value() or b"").source
        except UNREADABLE:
            return Look.GO_ON
        if (found.topic, found.partition) != (source.topic, source.partition) or found.offset < source.offset:
            return Look.GO_ON
        return Look.FOUND if found.offset == source.offset else Look.PASSED

    return look


def dead_letter_of(source: Source, original: Message | None) -> Looker:
    """Looks for the dead letter of a source offset.

    A record that already carried Kafka Connect's headers keeps those, so its dead letter is known by its bytes only.
    """
    carried = original is not None and any(name.startswith(CONTEXT) for name, _ in original.headers() or [])

    def look(message: Message) -> Look:
        if errors_context(message, "topic", "partition", "offset") == [
            source.topic, str(source.partition), str(source.offset)
        ]:  # fmt: skip
            return Look.FOUND
        return Look.FOUND if carried and original is not None and _kept(original, message) else Look.GO_ON

    return look


def errors_context(message: Message, *names: str) -> list[str]:
    """The first value of each of Kafka Connect's headers, "" where there is none."""
    headers: dict[str, bytes] = {}
    for name, value in message.headers() or []:
        headers.setdefault(name, value or b"")
    return [headers.get(CONTEXT + name, b"").decode("utf-8", "replace") for name in names]


def where(message: Message) -> str:
    """`topic/partition/offset`."""
    return f"{message.topic()}/{message.partition()}/{message.offset()}"


def labelled(record_id: str) -> Looker:
    """Looks for a label of a record id."""
    return _with_id(record_id, strict=True)


def record_with(record_id: str) -> Looker:
    """Looks for records of an id; one that is not JSON is taken where the id stands in it in quotes."""
    return _with_id(record_id, strict=False)


def keyed(key: bytes) -> Looker:
    """Looks for messages of a key."""

    def look(message: Message) -> Look:
        return Look.FOUND if message.key() == key else Look.GO_ON

    return look


def _with_id(record_id: str, *, strict: bool) -> Looker:
    quoted = (msgspec.json.encode(record_id), json.dumps(record_id).encode())  # as it is, and in ASCII

    def look(message: Message) -> Look:
        value = message.value() or b""
        try:
            found = _identified.decode(value).record_id == record_id
        except UNREADABLE:
            found = not strict and any(form in value for form in quoted)
        return Look.FOUND if found else Look.GO_ON

    return look


def identity(value: bytes | None, schema: Schema) -> Identity:
    """Record id, entity and event time as far as a record's bytes can be read."""
    try:
        fields = msgspec.json.decode(value or b"")
    except UNREADABLE:
        return Identity()
    if not isinstance(fields, dict):
        return Identity()
    record_id, entity, time = (fields.get(name) for name in (schema.record_id, schema.key, schema.event_time))
    return Identity(
        record_id=record_id if isinstance(record_id, str) else None,
        entity=entity if isinstance(entity, str) else None,
        event_time=time if isinstance(time, int) and not isinstance(time, bool) else None,
    )


def replay_of(message: Message) -> str | None:
    """The coordinates a replayed dead letter names as its origin."""
    value = next((value for name, value in message.headers() or [] if name == REPLAY_OF and value), None)
    return None if value is None else value.decode("utf-8", "replace")


def _kept(original: Message, message: Message) -> bool:
    headers = original.headers() or []
    same = (original.key(), original.value()) == (message.key(), message.value())
    return same and (message.headers() or [])[: len(headers)] == headers and original.timestamp() == message.timestamp()
