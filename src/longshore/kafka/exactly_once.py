"""A consumer-group member whose outputs and input positions advance in one Kafka transaction, or not at all.

The steps of a commit, and what a failure at each leaves behind (KIP-98, KIP-447):

1. begin       nothing on the broker yet
2. produce     outputs are written, invisible to `read_committed` readers
3. offsets     the group's offsets are part of the transaction, checked against the group's generation
4. commit      all of it becomes visible at once

A definite failure at 2 to 4 is aborted and the input rewound to the committed offsets: an abort alone does not move the
consumer, and the batch would silently be skipped. An ambiguous one (a time-out) leaves a transaction whose delayed
marker could end the *next* one (librdkafka has no KIP-890), so the producer is discarded and one with the same id made:
`init_transactions` resolves the old transaction either way, and the committed offsets then tell which way it went.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from longshore import telemetry
from longshore.config import Settings
from longshore.errors import AbortedError, FencedError, LongshoreError
from longshore.kafka.client import client_config, translate
from longshore.kafka.consuming import member_config
from longshore.kafka.producing import PRODUCER_DEFAULTS, enqueue
from longshore.stream import Batch, Message, Partitions, PartitionsHook, Single

log = structlog.get_logger()

CALL_TIMEOUT_S = 30.0
"""For one transactional call: longer than a broker's restart, shorter than `max.poll.interval.ms`."""

LAG_INTERVAL_S = 1.0


class ExactlyOnce:
    """Implements `longshore.stream.ExactlyOnceStream` on a real broker; used from one thread.

    `on_revoked` is called while the partitions are still ours (it may commit); `on_lost` when they are not (what was
    counted for them must be dropped).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        instance: str,
        topics: list[str],
        on_assigned: PartitionsHook | None = None,
        on_revoked: PartitionsHook | None = None,
        on_lost: PartitionsHook | None = None,
    ) -> None:
        self._settings = settings
        self._group = group
        self._id = f"{group}-{instance}"
        self._hooks = {"assigned": on_assigned, "revoked": on_revoked, "lost": on_lost}
        self._service = group.removeprefix(settings.topic_prefix)
        self._assigned: Partitions = set()
        self._positions: dict[tuple[str, int], int] = {}
        self._committed: dict[tuple[str, int], int] = {}
        self._at_end: dict[tuple[str, int], bool] = {}
        self._uncommitted = False
        self._hook_error: LongshoreError | None = None
        self._next_lag = 0.0
        self._leaving: Partitions = set()
        self._moved: Partitions = set()
        self._rewound = False
        self._producer = self._new_producer()
        self._consumer = Consumer(member_config(settings, group))
        self._consumer.subscribe(topics, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose)

    def poll(self, max_records: int, timeout_s: float) -> list[Message]:
        """Up to `max_records` committed records of the assigned partitions, oldest first within each."""
        events = self._consume(max_records, timeout_s)
        batch: list[Message] = []
        for event in events:
            partition = (event.topic(), event.partition())
            error = event.error()
            if error is None:
                if partition in self._assigned:
                    batch.append(event)
                    self._positions[partition] = event.offset() + 1
                    self._at_end[partition] = False
            elif error.code() == KafkaError._PARTITION_EOF:
                self._reached_end(partition, event.offset())
            else:
                self._tolerate(error)
        self._uncommitted = self._uncommitted or bool(batch)
        if not self._uncommitted:
            self._commit_skipped_markers()
        self._report_lag()
        return batch

    def commit(self, outputs: Sequence[Batch | Single]) -> None:
        """One transaction; see `longshore.stream.ExactlyOnceStream.commit`."""
        started = time.perf_counter()
        try:
            self._producer.begin_transaction()
            for output in outputs:
                enqueue(self._producer, output, CALL_TIMEOUT_S)
            offsets = [TopicPartition(topic, number, at) for (topic, number), at in self._positions.items()]
            metadata = self._consumer.consumer_group_metadata()
            self._producer.send_offsets_to_transaction(offsets, metadata, CALL_TIMEOUT_S)
            self._producer.commit_transaction(CALL_TIMEOUT_S)
        except KafkaException as error:
            self._abort(error)
        except LongshoreError as error:
            self._abort_transaction()
            self._rewind()
            raise AbortedError(f"transaction aborted: {error}") from error
        self._committed.update(self._positions)
        self._uncommitted = False
        telemetry.TRANSACTIONS.labels(self._service, "committed").inc()
        telemetry.TRANSACTION_SECONDS.labels(self._service).observe(time.perf_counter() - started)

    def assignment(self) -> Partitions:
        """The (topic, partition) pairs this member reads now."""
        return set(self._assigned)

    def at_end(self) -> dict[tuple[str, int], bool]:
        """Whether each assigned partition has been read to its present end (markers included)."""
        return {partition: self._at_end.get(partition, False) for partition in self._assigned}

    def committed_offset(self, topic: str, partition: int) -> int | None:
        """The group's committed offset of an assigned partition, waiting for a predecessor's open transaction."""
        found = self._consumer.committed([TopicPartition(topic, partition)], timeout=CALL_TIMEOUT_S)[0].offset
        return found if found >= 0 else None

    def close(self) -> None:
        """Leave the group; `on_revoked` is called first and may commit."""
        self._consumer.close()
        if self._hook_error is not None:
            log.warning("the last commit on leaving the group failed", error=str(self._hook_error))

    def _consume(self, max_records: int, timeout_s: float) -> list[Any]:
        self._rewound = False
        try:
            # Wait for the first record only, then take what is there: a full batch under load, no delay when idle.
            events: list[Any] = self._consumer.consume(1, timeout_s)
            if events and max_records > 1:
                self._moved.clear()
                more = self._consumer.consume(max_records - 1, 0)
                # Of a partition that a rebalance moved it is fetched again, from the committed offset; of another not.
                events = [event for event in events if (event.topic(), event.partition()) not in self._moved] + more
        except KafkaException as error:
            raise translate(error, f"reading as group {self._group}") from error
        if self._hook_error is not None:
            error_of_hook, self._hook_error = self._hook_error, None
            raise error_of_hook
        if self._rewound:
            # A hook's commit was aborted meanwhile: what was fetched lies beyond the records to be read again.
            self._rewind()
            return []
        return events

    def _tolerate(self, error: KafkaError) -> None:
        if error.fatal():
            raise translate(KafkaException(error), f"reading as group {self._group}")
        log.warning("kafka consumer", group=self._group, error=str(error))

    def _reached_end(self, partition: tuple[str, int], offset: int) -> None:
        if partition in self._assigned:
            self._at_end[partition] = True
            if offset >= 0:
                self._positions[partition] = offset

    def _commit_skipped_markers(self) -> None:
        """Commit positions that moved over transaction markers only, so that lag reads 0 at the end of a topic."""
        if any(at > self._committed.get(partition, at - 1) for partition, at in self._positions.items()):
            # In a transaction of its own: a plain commit that arrives late could move the group back.
            self.commit([])

    def _abort(self, error: KafkaException) -> None:
        """Undo a failed transaction; always raises."""
        telemetry.TRANSACTIONS.labels(self._service, "aborted").inc()
        kafka_error = error.args[0]
        translated = translate(error, f"transaction {self._id}")
        if isinstance(translated, FencedError):
            raise translated from error
        log.warning(
            "transaction failed", id=self._id, error=kafka_error.str(), abortable=kafka_error.txn_requires_abort()
        )
        if kafka_error.txn_requires_abort():
            self._abort_transaction()
        else:
            self._replace_producer()
        self._rewind()
        raise AbortedError(f"transaction {self._id} aborted: {kafka_error.str()}") from error

    def _abort_transaction(self) -> None:
        try:
            self._producer.abort_transaction(CALL_TIMEOUT_S)
        except KafkaException as error:
            if isinstance(translate(error, ""), FencedError):
                raise translate(error, f"transaction {self._id}") from error
            self._replace_producer()

    def _replace_producer(self) -> None:
        telemetry.TRANSACTIONS.labels(self._service, "ambiguous").inc()
        self._producer.purge()
        self._producer = self._new_producer()

    def _new_producer(self) -> Producer:
        config = client_config(self._settings) | PRODUCER_DEFAULTS
        config["transactional.id"] = self._id
        timeout_ms = self._settings.kafka.transaction_timeout_ms
        config["transaction.timeout.ms"] = timeout_ms
        # Give up on a message before the broker gives up on the transaction: that would look like being fenced.
        config["message.timeout.ms"] = int(timeout_ms * 0.6)
        config.update({k: v.get_secret_value() for k, v in self._settings.kafka.client.items()})
        producer = Producer(config)
        try:
            producer.init_transactions(CALL_TIMEOUT_S)
        except KafkaException as error:
            raise translate(error, f"starting transactions as {self._id}") from error
        return producer

    def _rewind(self) -> None:
        """Seek every assigned partition to the group's committed offset."""
        self._uncommitted = False
        self._rewound = True
        self._positions.clear()
        partitions = [TopicPartition(topic, number) for topic, number in self._assigned - self._leaving]
        if not partitions:
            return
        try:
            for found in self._consumer.committed(partitions, timeout=CALL_TIMEOUT_S):
                at = found.offset if found.offset >= 0 else OFFSET_BEGINNING
                self._consumer.seek(TopicPartition(found.topic, found.partition, at))
                self._at_end[found.topic, found.partition] = False
        except KafkaException as error:
            raise translate(error, f"rewinding group {self._group}") from error

    def _assign(self, _consumer: Any, partitions: list[TopicPartition]) -> None:
        gained = {(p.topic, p.partition) for p in partitions}
        self._assigned |= gained
        self._hook("assigned", gained)

    def _revoke(self, _consumer: Any, partitions: list[TopicPartition]) -> None:
        self._give_up("revoked", partitions)

    def _lose(self, _consumer: Any, partitions: list[TopicPartition]) -> None:
        self._give_up("lost", partitions)

    def _give_up(self, kind: str, partitions: list[TopicPartition]) -> None:
        gone = {(p.topic, p.partition) for p in partitions}
        self._leaving = gone
        self._hook(kind, gone)
        self._leaving = set()
        self._assigned -= gone
        for partition in gone:
            self._positions.pop(partition, None)
            self._committed.pop(partition, None)
            self._at_end.pop(partition, None)
        self._uncommitted = self._uncommitted and bool(self._positions)

    def _hook(self, kind: str, partitions: Partitions) -> None:
        """Run a hook inside the client's callback; what it raises is raised again by `poll`."""
        self._moved |= partitions
        telemetry.REBALANCES.labels(self._service, kind).inc()
        log.info("partitions " + kind, group=self._group, partitions=sorted(f"{t}[{n}]" for t, n in partitions))
        hook = self._hooks[kind]
        if hook is None:
            return
        try:
            hook(partitions)
        except LongshoreError as error:
            self._hook_error = error

    def _report_lag(self) -> None:
        now = time.monotonic()
        if now < self._next_lag:
            return
        self._next_lag = now + LAG_INTERVAL_S
        for (topic, number), position in self._positions.items():
            try:
                _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), cached=True)
            except KafkaException:
                continue
            lag = max(0, high - position)
            telemetry.CONSUMER_LAG.labels(self._service, topic, str(number)).set(lag)
