"""How messages enter a producer's queue: in batches where they carry no headers, in order, waiting while it is full."""

from __future__ import annotations

import time
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from longshore.config import Settings
from longshore.errors import DataError, UnavailableError
from longshore.kafka.client import client_config, users_own
from longshore.stream import Batch, Single

PRODUCER_DEFAULTS: dict[str, Any] = {
    # Java clients partition by murmur2: with librdkafka's own CRC32 one key would live in two partitions.
    "partitioner": "murmur2_random",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 5,
    "batch.num.messages": 10_000,
    "queue.buffering.max.messages": 500_000,
    # Back-to-back transactions meet CONCURRENT_TRANSACTIONS (confluent-kafka-python #967): retry at once.
    "retry.backoff.ms": 1,
}

VALUE_OF = itemgetter("value")
MAX_CHUNK = 10_000
MAX_QUEUED = 100_000
"""Messages in the queue before more may enter: far below the client's own limit, at which it refuses single messages
out of the middle of a batch, and their keys' order would be lost."""
HEAVY_BYTES = 4_096
QUEUED_BYTES = 64 * 1024 * 1024
"""Where a chunk's messages are larger than `HEAVY_BYTES` on average, so many bytes of such may be queued before more
enter: the client's own limit is in bytes, too (`queue.buffering.max.kbytes`)."""


def producer_config(settings: Settings, ours: dict[str, Any]) -> dict[str, Any]:
    """For a producer: our defaults, what this one needs, and the user's own over both."""
    return client_config(settings) | PRODUCER_DEFAULTS | ours | users_own(settings)


def transactional(settings: Settings, transactional_id: str) -> dict[str, Any]:
    """What makes a producer one of transactions under this id."""
    timeout_ms = settings.kafka.transaction_timeout_ms
    return {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": timeout_ms,
        # Give up on a message before the broker gives up on the transaction: that would look like being fenced.
        "message.timeout.ms": int(timeout_ms * 0.6),
    }


def enqueue(producer: Producer, output: Batch | Single, timeout_s: float) -> None:
    """Hand messages to the producer in order, waiting while its queue is full.

    Raises:
        UnavailableError: the queue stayed full for `timeout_s`.
        DataError: a message cannot be sent at all (too large).

    """
    deadline = time.monotonic() + timeout_s
    if isinstance(output, Single):
        _enqueue_single(producer, output, deadline)
        return
    for chunk in _chunks(output.messages):
        _make_room(producer, chunk, output.topic, deadline)
        try:
            accepted = producer.produce_batch(output.topic, chunk)
        except BufferError:
            accepted = 0
        if accepted < len(chunk):
            raise _refused(chunk, output.topic)


def _chunks(messages: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    if len(messages) <= MAX_CHUNK:
        yield messages
        return
    for at in range(0, len(messages), MAX_CHUNK):
        yield messages[at : at + MAX_CHUNK]


def _make_room(producer: Producer, chunk: list[dict[str, Any]], topic: str, deadline: float) -> None:
    size = sum(map(len, filter(None, map(VALUE_OF, chunk)))) / max(1, len(chunk))
    allowed = MAX_QUEUED if size <= HEAVY_BYTES else min(MAX_QUEUED, int(QUEUED_BYTES / size))
    while len(producer) > allowed:
        _wait(producer, topic, deadline)


def _refused(chunk: list[dict[str, Any]], topic: str) -> DataError | UnavailableError:
    """Why a part of a chunk did not enter. It is not tried again: what came after it may be in the queue already."""
    error = next((message["_error"] for message in chunk if message.get("_error") is not None), None)
    if error is None or error.code() == KafkaError._QUEUE_FULL:
        return UnavailableError(f"the queue for {topic} is full", mend="see whether the brokers accept writes")
    return DataError(f"a message for {topic} cannot be sent: {error.str()}", mend="raise message.max.bytes")


def _enqueue_single(producer: Producer, output: Single, deadline: float) -> None:
    given: dict[str, Any] = {}
    if output.partition is not None:
        given["partition"] = output.partition
    if output.timestamp_ms is not None:
        given["timestamp"] = output.timestamp_ms
    while True:
        try:
            producer.produce(output.topic, key=output.key, value=output.value, headers=output.headers, **given)
        except BufferError:
            _wait(producer, output.topic, deadline)
        except KafkaException as error:
            reason = error.args[0].str()
            raise DataError(
                f"a message for {output.topic} cannot be sent: {reason}", mend="raise message.max.bytes"
            ) from error
        else:
            return


def _wait(producer: Producer, topic: str, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise UnavailableError(f"the queue for {topic} stayed full", mend="see whether the brokers accept writes")
    producer.poll(0.02)
