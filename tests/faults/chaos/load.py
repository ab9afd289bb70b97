"""The load: records with keys, one in a hundred malformed, each acknowledged or written again until it is.

The producer is idempotent and never gives up within a run, so that what is on the source topic is known exactly.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import Producer
from tests.faults.chaos.history import Written

from longshore.producers.generator import districts_frame
from longshore.producers.malformed import BREAKS
from longshore.schema import districts

KEYS, ROWS = 400, 1_000
POISON_EVERY = 100
RATE, TRICKLE = 4_000, 150
"""Records a second below the quota, and above it: the flow never stops, or a fault would hit an idle system."""
TICK_S = 0.01

CONFIG = {
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": 600_000,
    "linger.ms": 5,
    "compression.type": "lz4",
    "partitioner": "murmur2_random",
    "reconnect.backoff.max.ms": 500,
    "log_level": 0,  # outages are what this is about
    "queue.buffering.max.messages": 1_000_000,
}

MORE_BREAKS: dict[str, Callable[[bytes], bytes | None]] = {
    "tombstone": lambda value: None,
    "byte order mark": lambda value: b"\xef\xbb\xbf" + value,
    "utf-16": lambda value: value.decode().encode("utf-16"),
    "two records": lambda value: value + value,
    "second half": lambda value: value[1:],
    "trailing comma": lambda value: value[:-1] + b",}",
    "nested too deeply": lambda value: value[:-1] + b', "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "a number": lambda value: b"17",
    "null": lambda value: b"null",
    "noise": lambda value: bytes(byte ^ 0xA5 for byte in value),
}


def poison(value: bytes, turn: int) -> bytes | None:
    """A record broken in the way whose turn it is."""
    schema = districts()
    kinds = [*(partial(change, schema=schema) for change in BREAKS.values()), *MORE_BREAKS.values()]
    return kinds[turn % len(kinds)](value)


class Load(threading.Thread):
    """Writes `records` records, and on until `last` is set: up to `quota` at full rate, above it in a trickle."""

    def __init__(self, bootstrap: str, topic: str, records: int, written: Written) -> None:
        super().__init__(name="load", daemon=True)
        self.records = records
        self.sent = 0
        self.poison = 0
        self.quota = 0
        self.last = threading.Event()
        self.failures: list[str] = []
        self._written = written
        self._topic = topic
        self._halt = threading.Event()
        self._producer = Producer(CONFIG | {"bootstrap.servers": bootstrap})
        self._rows = json.loads(districts_frame(ROWS, 9).to_json(orient="records"))

    def run(self) -> None:
        """Write; then wait until everything is acknowledged."""
        credit, before = 0.0, time.monotonic()
        while not self._is_done() and not self._halt.wait(TICK_S):
            now = time.monotonic()
            credit = min(credit + (now - before) * (RATE if self.sent < self.quota else TRICKLE), RATE * 0.1)
            before = now
            while credit >= 1 and not self._is_done():
                self._send(self.sent)
                self.sent += 1
                credit -= 1
            self._producer.poll(0)
        while self._producer.flush(0.2) and not self._halt.is_set():
            pass

    def _is_done(self) -> bool:
        return self.sent >= self.records and self.last.is_set()

    def halt(self) -> None:
        """Stop now: the run has failed."""
        self._halt.set()

    def _send(self, number: int) -> None:
        key = f"d{number * 7919 % KEYS}".encode()
        row = number % ROWS
        body = self._rows[row] | {"record_id": f"r{number}", "district_id": key.decode(), "event_time": number}
        value: bytes | None = json.dumps(body).encode()
        bad = number * 31 % POISON_EVERY == 0
        if bad and value is not None:
            value = poison(value, self.poison)
            self.poison += 1
        facts = {"key": key, "digest": zlib.crc32(value or b""), "poison": bad, "row": row}
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=partial(self._delivered, facts))
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _delivered(self, facts: dict[str, Any], error: Any, message: Any) -> None:
        if error is not None:
            self.failures.append(str(error))
        else:
            self._written.add(partition=message.partition(), offset=message.offset(), **facts)
