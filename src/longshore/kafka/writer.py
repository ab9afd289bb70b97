"""A plain idempotent producer for programs that have no input to commit: producers, tools."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from confluent_kafka import KafkaError, Producer

from longshore.config import Settings
from longshore.errors import UnavailableError
from longshore.kafka.producing import enqueue, producer_config
from longshore.stream import Batch, Single


class Writer:
    """Sends messages in order within a key; `flush` (also at the end of `with`) tells whether all arrived."""

    def __init__(self, settings: Settings, *, timeout_s: float = 60.0) -> None:
        self._timeout_s = timeout_s
        self._failed: list[str] = []
        ours = {"linger.ms": 20, "message.timeout.ms": int(timeout_s * 1_000), "on_delivery": self._delivered}
        self._producer = Producer(producer_config(settings, ours))

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]] | None = None,
        partition: int | None = None,
    ) -> None:
        """Queue one message, waiting while the queue is full."""
        enqueue(self._producer, Single(topic, key, value, headers, partition), self._timeout_s)
        self._producer.poll(0)
        self._check()

    def send_batch(self, topic: str, messages: list[dict[str, Any]]) -> None:
        """Queue many messages without headers, waiting while the queue is full."""
        enqueue(self._producer, Batch(topic, messages), self._timeout_s)
        self._producer.poll(0)
        self._check()

    def flush(self) -> None:
        """Wait until every queued message is on the brokers.

        Raises:
            UnavailableError: some did not arrive within the time-out.

        """
        left = self._producer.flush(self._timeout_s)
        self._check()
        if left:
            raise UnavailableError(
                f"{left} messages were not delivered in {self._timeout_s:.0f} s", mend="see that Kafka is up"
            )

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self._failed.append(error.str())

    def _check(self) -> None:
        if self._failed:
            raise UnavailableError(
                f"{len(self._failed)} messages were not delivered: {self._failed[0]}", mend="see that Kafka is up"
            )
