"""Columns and predictions to messages: a prediction with its input embedded verbatim, a dead letter with its origin.

Pure: no clock, no Kafka. Dead letters' header names are Kafka Connect's (KIP-298); one that is there is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from longshore.codec import Decoded, Reject
from longshore.columns import Floats
from longshore.records import CONTEXT, SOURCE, TRUNCATED, Interval, Route, Source
from longshore.schema import Schema
from longshore.stream import Batch, Message, Single, wire_bytes

MAX_DEAD_LETTER_BYTES = 950_000
MAX_CONTEXT_BYTES = 8_192
"""Of each header of ours, in a dead letter that must be cut: another program may have written it before us."""
STAGE = "VALUE_CONVERTER"
TRACE_HEADERS = frozenset(("traceparent", "tracestate"))
"""W3C Trace Context: carried from a record to its prediction as they are."""
MAX_TRACE_BYTES = 8_192
"""Of all together: more is no trace context (the standard asks for 512), and might not fit beside the prediction."""


class PredictionEncoder:
    """Encodes predictions for one schema (the entity's id is under the schema's key name).

    `interval`: the level of the intervals that go with them (None: they have no such field).
    """

    def __init__(self, schema: Schema, interval: float | None = None) -> None:
        self._level = interval
        self._struct = msgspec.defstruct(
            "Prediction",
            [
                ("record_id", str),
                (schema.key, str),
                ("event_time", int),
                ("scored_at", int),
                ("prediction", float),
                ("model_version", str),
                ("route", str),
                ("source", Source),
                ("record", msgspec.Raw),
                ("prediction_interval", Interval | None | msgspec.UnsetType, msgspec.UNSET),
            ],
            gc=False,
        )
        self._encode = msgspec.json.Encoder().encode

    def encode(
        self,
        messages: Sequence[Message],
        decoded: Decoded,
        predictions: Floats,
        *,
        version: str,
        scored_at: int,
        half_width: float | None = None,
    ) -> list[dict[str, Any]]:
        """One message per good record, in order and with its record's key; `half_width` of its interval."""
        good = messages
        if decoded.rejects:
            good = [messages[position] for position in decoded.positions]
        columns = decoded.columns
        rows = zip(
            good,
            columns.record_ids,
            columns.keys,
            columns.event_times.tolist(),
            predictions.tolist(),
            self._intervals(predictions, half_width),
            strict=True,
        )
        make, encode, raw, route = self._struct, self._encode, msgspec.Raw, Route.CHAMPION.value
        out = []
        for message, record_id, key, event_time, prediction, interval in rows:
            source = Source(message.topic(), message.partition(), message.offset())
            record = raw(message.value() or b"")
            made = make(record_id, key, event_time, scored_at, prediction, version, route, source, record, interval)
            out.append({"key": message.key(), "value": encode(made)})
        return out

    def _intervals(self, predictions: Floats, half_width: float | None) -> Sequence[Interval | Any | None]:
        """One for each prediction: none asked for, none known, or the prediction plus and minus the half-width."""
        if self._level is None or half_width is None:
            return [msgspec.UNSET if self._level is None else None] * len(predictions)
        low, high = (predictions - half_width).tolist(), (predictions + half_width).tolist()
        return [Interval(self._level, *ends) for ends in zip(low, high, strict=True)]


def _headers_of(messages: Sequence[Message]) -> list[list[tuple[str, bytes]] | None]:
    """Every message's headers; None for those that cannot be read (the client fails at a name that is not UTF-8)."""
    try:
        return [message.headers() for message in messages]
    except (SystemError, UnicodeDecodeError):
        return [_headers(message) for message in messages]


def _headers(message: Message) -> list[tuple[str, bytes]] | None:
    try:
        return message.headers()
    except (SystemError, UnicodeDecodeError):
        return None


def with_traces(topic: str, messages: Sequence[Message], values: list[dict[str, Any]]) -> list[Batch | Single]:
    """Outputs for `values`, one for each message, in order: a batch, cut where a message has trace headers to carry."""
    headers = _headers_of(messages)
    if not any(headers):
        return [Batch(topic, values)] if values else []
    outputs: list[Batch | Single] = []
    run: list[dict[str, Any]] = []
    for value, present in zip(values, headers, strict=True):
        carried = [pair for pair in present or () if pair[0].lower() in TRACE_HEADERS]
        if not carried or wire_bytes(None, None, carried) > MAX_TRACE_BYTES:
            run.append(value)
            continue
        if run:
            outputs.append(Batch(topic, run))
            run = []
        outputs.append(Single(topic, value["key"], value["value"], carried))
    return [*outputs, Batch(topic, run)] if run else outputs


def dead_letter(message: Message, reject: Reject, *, topic: str, task: str) -> Single:
    """The original key, value, headers and timestamp, and why and where it failed."""
    headers = [pair for pair in _headers(message) or [] if pair[0] not in (SOURCE, TRUNCATED)]
    present = {name for name, _ in headers}
    context = {
        "topic": message.topic(),
        "partition": str(message.partition()),
        "offset": str(message.offset()),
        "connector.name": "longshore-scorer",
        "task.id": task,
        "stage": STAGE,
        "class.name": "longshore.codec.Codec",
        "exception.class.name": f"longshore.codec.{reject.reason.value}",
        "exception.message": reject.message,
        "exception.stacktrace": f"longshore.codec.{reject.reason.value}: {reject.message}",
    }
    headers += [(CONTEXT + name, text.encode()) for name, text in context.items() if CONTEXT + name not in present]
    headers.append((SOURCE, f"{message.topic()}/{message.partition()}/{message.offset()}".encode()))
    kind, at = message.timestamp()
    ours = {CONTEXT + name for name in context} | {SOURCE, TRUNCATED}
    key, value, headers = _fitted(message.key(), message.value(), headers, ours)
    return Single(topic, key, value, headers, timestamp_ms=at if kind else None)


def _fitted(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]], ours: set[str]
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """The same, or what Kafka takes of it: the value's end goes first, then headers but `ours`, then the key's end."""
    if wire_bytes(key, value, headers) <= MAX_DEAD_LETTER_BYTES:
        return key, value, headers
    headers = [*headers, (TRUNCATED, str(len(value or b"")).encode())]
    value = _cut(value, wire_bytes(key, value, headers))
    if wire_bytes(key, value, headers) > MAX_DEAD_LETTER_BYTES:
        headers = [(name, (text or b"")[:MAX_CONTEXT_BYTES]) for name, text in dict(headers).items() if name in ours]
        key = _cut(key, wire_bytes(key, value, headers))
    return key, value, headers


def _cut(data: bytes | None, size: int) -> bytes | None:
    """What is left of a part when its message of `size` bytes must lose what is too much."""
    return data and data[: max(0, len(data) - max(0, size - MAX_DEAD_LETTER_BYTES))]
