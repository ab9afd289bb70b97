"""The relaying role's shell: labels to a topic of ours, each under its entity's id, for producers who key otherwise.

A label is looked for in its prediction's partition, and predictions go by their records' keys. Whoever sends labels
under another key (or by another partitioner) needs them sent on: each once, in the order in which they stood.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from longshore import telemetry
from longshore.config import Settings
from longshore.errors import AbortedError
from longshore.records import UNREADABLE
from longshore.schema import Schema
from longshore.stream import Batch, ExactlyOnceStream, Message
from longshore.topics import Topics

log = structlog.get_logger()

MAX_BATCH = 4_000
POLL_TIMEOUT_S = 0.2


class Relaying:
    """Sends labels on until told to stop."""

    def __init__(self, settings: Settings, schema: Schema) -> None:
        self._topic = Topics.of(settings.topic_prefix, schema).relayed
        self._interval_s = settings.monitor.commit_interval_s
        self._key = keys_by(schema.key)
        self._opened: float | None = None
        self._sent = 0
        self._broken = False

    def step(self, stream: ExactlyOnceStream) -> None:
        """One round: poll, send on, commit what is due."""
        try:
            batch = stream.poll(MAX_BATCH, POLL_TIMEOUT_S)
            if batch:
                self._opened = self._opened or time.monotonic()
                stream.send([Batch(self._topic, [{"key": self._key(m), "value": m.value()} for m in batch])])
                self._sent += len(batch)
            if self._opened is not None and time.monotonic() - self._opened >= self._interval_s:
                self._commit(stream)
        except AbortedError as error:
            log.warning("labels will be sent on again", error=str(error))
            self.drop()
        except BaseException:
            self._broken = True
            raise

    def finish(self, stream: ExactlyOnceStream) -> None:
        """Commit before partitions are given up; an abort leaves the labels to their next owner."""
        if self._broken or self._opened is None:
            return
        try:
            self._commit(stream)
        except AbortedError as error:
            log.warning("the last labels were not sent on and will be again", error=str(error))
            self.drop()

    def drop(self) -> None:
        """Forget what is not committed."""
        self._opened, self._sent = None, 0

    def _commit(self, stream: ExactlyOnceStream) -> None:
        stream.commit()
        telemetry.LABELS_RELAYED.inc(self._sent)
        self.drop()


def keys_by(field: str) -> Callable[[Message], bytes | None]:
    """A label's key: the id that stands under `field`; its own where none can be read there."""
    decode = msgspec.json.Decoder(msgspec.defstruct("Entity", [(field, Any, None)], gc=False)).decode

    def key(message: Message) -> bytes | None:
        try:
            found = getattr(decode(message.value() or b""), field)
        except UNREADABLE:
            return message.key()
        return str(found).encode() if isinstance(found, str | int) else message.key()

    return key
