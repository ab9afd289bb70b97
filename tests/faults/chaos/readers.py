"""Readers outside any group: one that reads through everything, one that comes afterwards.

Not Longshore's own reader: what judges must not share the code of what is judged.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition
from tests.faults.chaos.history import DEAD_LETTER, PREDICTION, Seen, Written, source_id

MARK = "__connect.errors."
BATCH = 5_000
NOWHERE = (-1, 0)
"""The source of a message that names another topic or nothing."""

CONFIG = {
    "group.id": "chaos-reader",
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",  # never begin anew in silence: a reader that did would see records twice
    "reconnect.backoff.max.ms": 500,
    "log_level": 0,  # outages are what this is about
    "fetch.wait.max.ms": 50,
    "fetch.error.backoff.ms": 100,
}
PASSING = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE}
"""What an outage looks like to a reader: it goes on by itself."""


class Reader(threading.Thread):
    """Gives every committed message of the topics to `take`, until `halt`, or with `to_end` to the present ends."""

    def __init__(
        self,
        bootstrap: str,
        topics: Iterable[str],
        partitions: int,
        take: Callable[[Any], None],
        *,
        to_end: bool = False,
    ) -> None:
        super().__init__(name="reader", daemon=True)
        self.troubles: list[str] = []
        self._take = take
        self._open = {(topic, number) for topic in topics for number in range(partitions)} if to_end else None
        self._halt = threading.Event()
        self._consumer = Consumer(CONFIG | {"bootstrap.servers": bootstrap})
        self._consumer.assign([TopicPartition(topic, n, 0) for topic in topics for n in range(partitions)])

    def run(self) -> None:
        """Read."""
        try:
            while not self._halt.is_set() and self._open != set():
                for event in self._consumer.consume(BATCH, 0.05):
                    self._one(event)
        except Exception as error:  # whatever it is, the verdict must tell
            self.troubles.append(repr(error))
            raise
        finally:
            self._consumer.close()

    def halt(self) -> None:
        """Stop and wait for the end."""
        self._halt.set()
        self.join(20)

    def _one(self, event: Any) -> None:
        error = event.error()
        if error is None:
            if self._open is None or (event.topic(), event.partition()) in self._open:
                self._take(event)
        elif error.code() == KafkaError._PARTITION_EOF:
            if self._open is not None:
                self._open.discard((event.topic(), event.partition()))
        elif error.code() not in PASSING and not error.retriable():
            self.troubles.append(str(error))


class _Source(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Prediction(msgspec.Struct):
    source: _Source
    model_version: str
    prediction: float
    record: msgspec.Raw


class Taking:
    """Notes predictions and dead letters in a `Seen`."""

    def __init__(self, seen: Seen, *, records: str, predictions: str) -> None:
        self._seen = seen
        self._records = records
        self._predictions = predictions
        self._decode = msgspec.json.Decoder(_Prediction).decode

    def __call__(self, message: Any) -> None:
        """Note one message."""
        at = {"partition": message.partition(), "offset": message.offset(), "key": message.key()}
        if message.topic() == self._predictions:
            found = self._decode(message.value())
            source = found.source
            self._seen.add(
                output=PREDICTION,
                source=(source.partition, source.offset) if source.topic == self._records else NOWHERE,
                digest=zlib.crc32(found.record),
                version=found.model_version,
                value=found.prediction,
                **at,
            )
            return
        headers = dict(message.headers() or [])
        whence = (headers.get(f"{MARK}topic") or b"").decode() == self._records
        self._seen.add(
            output=DEAD_LETTER,
            source=(int(headers[f"{MARK}partition"]), int(headers[f"{MARK}offset"])) if whence else NOWHERE,
            digest=zlib.crc32(message.value() or b""),
            **at,
        )


class SourceCheck:
    """Compares the source topic with what its producer was told."""

    def __init__(self, written: Written) -> None:
        columns = written.columns()
        facts = zip(columns["key"].tolist(), columns["digest"].tolist(), strict=True)
        self._missing = dict(zip(columns["id"].tolist(), facts, strict=True))
        self._keys = written.keys
        self.wrong: list[str] = []

    def __call__(self, message: Any) -> None:
        """Tick one record off."""
        facts = self._missing.pop(source_id(message.partition(), message.offset()), None)
        if facts != (self._keys.number(message.key()), zlib.crc32(message.value() or b"")):
            self.wrong.append(f"{message.partition()}/{message.offset()} is not what was acknowledged")

    def violations(self) -> list[str]:
        """What differs; only complete once everything was read."""
        return [*self.wrong, *(f"acknowledged, but gone: {identity}" for identity in self._missing)]
