"""How messages enter a producer's queue: in batches where they carry no headers, with back-pressure when it is full."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from longshore.errors import DataError, UnavailableError
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


def enqueue(producer: Producer, output: Batch | Single, timeout_s: float) -> None:
    """Hand messages to the producer, waiting while its queue is full.

    Raises:
        UnavailableError: the queue stayed full for `timeout_s`.
        DataError: a message cannot be sent at all (too large).

    """
    deadline = time.monotonic() + timeout_s
    if isinstance(output, Single):
        _enqueue_single(producer, output, deadline)
        return
    pending = output.messages
    while pending:
        producer.produce_batch(output.topic, pending)
        pending = [message for message in pending if _to_retry(message, output.topic)]
        if pending:
            _wait(producer, output.topic, deadline)


def _to_retry(message: dict[str, Any], topic: str) -> bool:
    error = message.pop("_error", None)
    if error is None:
        return False
    if error.code() == KafkaError._QUEUE_FULL:
        return True
    raise DataError(f"a message for {topic} cannot be sent: {error.str()}", mend="raise message.max.bytes")


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
    producer.poll(0.05)
