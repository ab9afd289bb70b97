"""At-least-once outputs: sent with an idempotent producer, and the offsets committed once all of them have arrived.

A crash between the two scores some records again, under the same source coordinates. It saves the transaction's round
trips, and readers need not wait for its marker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from longshore import telemetry
from longshore.config import Settings
from longshore.errors import AbortedError, LongshoreError
from longshore.kafka.producing import enqueue, producer_config
from longshore.kafka.watched import Watched
from longshore.stream import Batch, Single

log = structlog.get_logger()


class Flushes:
    """The producing half of an at-least-once member; the same calls as `longshore.kafka.transactions.Transactions`."""

    def __init__(self, settings: Settings, service: str) -> None:
        self._service = service
        self._timeout_s = settings.kafka.transaction_timeout_ms / 1_000
        self._flight: Future[int] | None = None
        self._offsets: tuple[Consumer, list[TopicPartition]] | None = None
        self._began = 0.0
        self._failed: list[str] = []
        self._lock = threading.Lock()
        self._watched = Watched(f"flushes {service}")
        ours = {
            # Nobody waits for a transaction to fill: what is there goes out.
            "linger.ms": 0,
            "message.timeout.ms": int(self._timeout_s * 1_000),
            "delivery.report.only.error": True,
            "on_delivery": self._delivered,
        }
        self._config = producer_config(settings, ours)
        self._producer = Producer(self._config)

    def send(self, outputs: Sequence[Batch | Single]) -> None:
        """Send outputs; they are visible as soon as they arrive."""
        self.settle()
        try:
            for output in outputs:
                enqueue(self._producer, output, self._timeout_s)
        except (LongshoreError, KafkaException) as error:
            self._renew()
            raise AbortedError(f"outputs were not taken: {error}") from error

    def commit(self, offsets: list[TopicPartition], consumer: Consumer, outputs: Sequence[Batch | Single] = ()) -> None:
        """Send the last outputs, and begin to see everything sent arrive; `settle` commits the offsets then."""
        self.send(outputs)
        producer, timeout_s = self._producer, self._timeout_s
        self._offsets, self._began = (consumer, offsets), time.perf_counter()
        self._flight = self._watched.start(lambda: producer.flush(timeout_s))

    def is_open(self) -> bool:
        """Never: what is sent is sent."""
        return False

    def settled(self, within_s: float = 0.0) -> bool:
        """Whether `settle` would not have to wait, after `within_s` at most."""
        return self._flight is None or bool(wait([self._flight], within_s).done)

    def settle(self) -> bool:
        """Wait for the commit under way; whether there was one."""
        if self._flight is None:
            return False
        flight, self._flight = self._flight, None
        try:
            self._finish(flight.result())
        except AbortedError:
            telemetry.TRANSACTIONS.labels(self._service, "aborted").inc()
            self._renew()
            raise
        telemetry.TRANSACTIONS.labels(self._service, "committed").inc()
        telemetry.TRANSACTION_SECONDS.labels(self._service).observe(time.perf_counter() - self._began)
        return True

    def _finish(self, left: int) -> None:
        failed = self._take_failed()
        if left or failed:
            raise AbortedError(f"{left + len(failed)} outputs did not arrive{': ' + failed[0] if failed else ''}")
        held, self._offsets = self._offsets, None
        if held is None or not held[1]:
            return
        consumer, offsets = held
        try:
            # On the caller's thread: inside a rebalance callback of `Consumer.close` another would wait for ever. Not
            # waited for: it is on its way before whatever follows to the same coordinator, leaving the group included.
            consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            raise AbortedError(f"offsets were not committed: {error.args[0].str()}") from error

    def abandon(self, reason: str) -> None:
        """Nothing to undo: what was sent stays, and is sent again by the partition's next owner."""
        del reason
        try:
            self.settle()
        except AbortedError as error:
            log.warning("records will be scored again", error=str(error))

    def close(self) -> None:
        """Wait for the commit under way and let go."""
        self.abandon("the stream is closed")
        self._watched.retire()

    def _renew(self) -> None:
        """Another producer: after a fatal error this one refuses everything, and what it holds is sent again anyway."""
        self._producer.purge()
        self._producer = Producer(self._config)

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            with self._lock:
                self._failed.append(error.str())

    def _take_failed(self) -> list[str]:
        with self._lock:
            failed, self._failed = self._failed, []
        return failed
