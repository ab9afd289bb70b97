"""The log of model events: what the registry says happened, each event once, whoever appends and dies doing so.

Appending is exclusive through one transactional id for all projectors of a prefix. The steps, and what a kill leaves:

1. read        nothing; if every event is there (the usual case) nobody is disturbed
2. init        the predecessor is fenced, its open transaction aborted or completed, before this call returns
3. read again  now nobody else can append: what is missing is missing for good
4. produce     written, invisible to `read_committed` readers
5. commit      visible at once; a kill before leaves a transaction that the next projector's step 2 aborts

An ambiguous commit needs nothing of its own: the producer is dropped and the next call's steps 2 and 3 tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import structlog
from confluent_kafka import KafkaException, Producer

from longshore.config import Settings
from longshore.errors import AbortedError, FencedError
from longshore.kafka.admin import partition_count
from longshore.kafka.client import translate
from longshore.kafka.producing import enqueue, producer_config, transactional
from longshore.kafka.reader import read_all
from longshore.records import UNREADABLE, ModelEvent
from longshore.registry.timeline import Identity, identity
from longshore.stream import Message, Single

log = structlog.get_logger()


class ModelEventLog:
    """The topic `model.events`, keyed by model; UnavailableError when Kafka is away or the topic does not exist."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._id = f"{settings.topic_prefix}model-events"
        self._timeout_s = settings.kafka.request_timeout_s
        self._there: set[Identity] = set()
        self._next: dict[int, int] = {}

    def append_missing(self, events: Sequence[ModelEvent]) -> int:
        """Append those of `events` that the topic does not hold, in their order; how many that were.

        Raises:
            AbortedError: another projector took over in the middle; a later call finds out what is left to do.

        """
        partition_count(self._settings, self._topic)
        if not self._missing(events):
            return 0
        try:
            producer = self._exclusive_producer()
            self._there, self._next = set(), {}  # what decides is read anew, whatever became of the topic
            missing = self._missing(events)
            if missing:
                self._append(producer, missing)
        except FencedError as error:
            raise AbortedError(
                f"{self._topic}: another projector took over", mend="the next round reads what it appended"
            ) from error
        return len(missing)

    def read(self) -> list[ModelEvent]:
        """Every committed event of every model, in the topic's order; values that are no event are passed over."""
        return [event for message in self._messages({}) if (event := self._event(message)) is not None]

    def _missing(self, events: Sequence[ModelEvent]) -> list[ModelEvent]:
        """Those that the topic does not hold as far as is known; only what came since the last look is read."""
        for message in self._messages(self._next):
            self._next[message.partition()] = message.offset() + 1
            event = self._event(message)
            if event is not None:
                self._there.add(identity(event))
        return [event for event in events if identity(event) not in self._there]

    def _messages(self, from_offsets: dict[int, int]) -> Iterator[Message]:
        for batch in read_all(self._settings, self._topic, from_offsets=from_offsets):
            yield from batch

    def _event(self, message: Message) -> ModelEvent | None:
        try:
            return msgspec.json.decode(message.value() or b"", type=ModelEvent)
        except UNREADABLE:
            log.debug("not a model event", topic=self._topic, offset=message.offset())
            return None

    def _exclusive_producer(self) -> Producer:
        try:
            producer = Producer(producer_config(self._settings, transactional(self._settings, self._id)))
            producer.init_transactions(self._timeout_s)
        except KafkaException as error:
            raise translate(error, f"appending to {self._topic}") from error
        return producer

    def _append(self, producer: Producer, events: Sequence[ModelEvent]) -> None:
        try:
            producer.begin_transaction()
            for event in events:
                value = msgspec.json.encode(event)
                enqueue(producer, Single(self._topic, event.model.encode(), value, None), self._timeout_s)
            producer.commit_transaction(self._timeout_s)
        except KafkaException as error:
            producer.purge()
            raise translate(error, f"appending to {self._topic}") from error
