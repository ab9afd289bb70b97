"""A member of a consumer group: which partitions are ours, how far they are read, and the way back after a failure.

The consuming half of `longshore.stream.ExactlyOnceStream`. What happens to outputs, and to offsets with them, is the
outlet's work: `longshore.kafka.transactions` or `longshore.kafka.flushes`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

import structlog
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from longshore import telemetry
from longshore.config import Settings
from longshore.errors import AbortedError, LongshoreError
from longshore.kafka.client import translate
from longshore.kafka.consuming import asking_config, is_incremental, member_config
from longshore.kafka.lag import LagReport, lags
from longshore.kafka.outlet import Hooks, Outlet, noted
from longshore.kafka.starts import SEARCH_S, Starts
from longshore.stream import Batch, Mark, Message, Partitions, PartitionsHook, Single, last_of_each

log = structlog.get_logger()


class GroupMember:
    """Implements `longshore.stream.ExactlyOnceStream` on a real broker, as exactly as its outlet is; for one thread."""

    def __init__(
        self, settings: Settings, outlet: Outlet, *, group: str, topics: list[str], **hooks: Unpack[Hooks]
    ) -> None:
        self._group = group
        self._hooks: Mapping[str, Any] = hooks
        self._service = group.removeprefix(settings.topic_prefix)
        self._outlet = outlet
        self._assigned: Partitions = set()
        self._positions: dict[tuple[str, int], int] = {}
        self._before: Mark = {}
        self._committing: dict[tuple[str, int], int] = {}
        self._then: Callable[[], None] | None = None
        self._committed: dict[tuple[str, int], int] = {}
        self._at_end: dict[tuple[str, int], bool] = {}
        self._uncommitted = False
        self._hook_error: LongshoreError | None = None
        self._forgotten: AbortedError | None = None
        self._lag_report = LagReport(self._service)
        self._leaving: Partitions = set()
        self._moved: Partitions = set()
        self._rewound = False
        self._waiting: Partitions = set()
        config = member_config(settings, group, len(topics))
        self._incremental = is_incremental(config)
        self._consumer = Consumer(config)
        self._starts = Starts(
            self._consumer, group, lambda: Consumer(asking_config(settings, group)), hooks.get("on_start")
        )
        revoke, lose = (functools.partial(self._give_up, kind) for kind in ("revoked", "lost"))
        self._consumer.subscribe(topics, on_assign=self._assign, on_revoke=revoke, on_lost=lose)

    def poll(self, max_records: int, timeout_s: float) -> list[Message]:
        """Up to `max_records` committed records of the assigned partitions, oldest first within each."""
        if self._outlet.settled():
            self.settle()
        if self._waiting:
            self._go_on(self._starts.look_again(self._waiting))
        batch = self._records(self._consume(max_records, timeout_s))
        self._uncommitted = self._uncommitted or bool(batch)
        if not self._uncommitted and self._outlet.settled():
            self._commit_skipped_markers()
        self._lag_report.tick(self._consumer, self._positions, self._assigned)
        return batch

    def send(self, outputs: Sequence[Batch | Single]) -> None:
        """See `longshore.stream.ExactlyOnceStream.send`."""
        self.settle()
        self._or_rewind(lambda: self._outlet.send(outputs))

    def mark(self) -> Mark:
        """See `longshore.stream.ExactlyOnceStream.mark`."""
        return self._before

    def commit(
        self,
        outputs: Sequence[Batch | Single] = (),
        *,
        upto: Mark | None = None,
        wait: bool = True,
        then: Callable[[], None] | None = None,
    ) -> None:
        """See `longshore.stream.ExactlyOnceStream.commit`."""
        self.settle()
        positions = dict(self._positions if upto is None else upto)
        offsets = [TopicPartition(*place, at, *noted(self._hooks, place)) for place, at in positions.items()]
        self._or_rewind(lambda: self._outlet.commit(offsets, self._consumer, outputs))
        self._committing, self._then = positions, then
        self._uncommitted = positions != self._positions
        if wait:
            self.settle()

    def assignment(self) -> Partitions:
        """The (topic, partition) pairs this member reads now."""
        return set(self._assigned)

    def at_end(self) -> dict[tuple[str, int], bool]:
        """Whether each assigned partition has been read to its present end (markers included)."""
        return {partition: self._at_end.get(partition, False) for partition in self._assigned}

    def backlog(self) -> int:
        """Records and markers known to wait, as of the last fetch."""
        return sum(lags(self._consumer, self._positions).values())

    def close(self) -> None:
        """Leave the group; `on_revoked` is called first and may commit."""
        self._starts.close()
        self._consumer.close()
        self._outlet.close()
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
        if self._rewound:
            # Something was undone meanwhile: what was fetched lies beyond the records to be read again.
            self._rewind()
            events = []
        self._raise_pending()
        return events

    def _raise_pending(self) -> None:
        """Tell what had to be undone meanwhile; nothing that was fetched before is to be taken in."""
        if (pending := self._hook_error or self._forgotten) is not None:
            self._hook_error = self._forgotten = None
            raise pending

    def _commit_skipped_markers(self) -> None:
        """Commit positions that moved over transaction markers only, so that lag reads 0 at the end of a topic."""
        if any(at > self._committed.get(partition, at - 1) for partition, at in self._positions.items()):
            # In a transaction of its own: a plain commit that arrives late could move the group back.
            self.commit([])

    def _records(self, events: list[Any]) -> list[Message]:
        """The records among what came, their positions noted; ends of partitions and errors are dealt with."""
        ends: dict[tuple[str, int], int] = {}
        errors = [event.error() for event in events]
        if any(errors):
            events = [event for event in events if self._is_record(event, ends)]
            self._raise_pending()
        last = {place: event.offset() for place, event in last_of_each(events).items()}
        self._before = dict(self._positions)
        ours = self._assigned - self._waiting
        if not last.keys() <= ours:
            events = [event for event in events if (event.topic(), event.partition()) in ours]
        for place in (last.keys() | ends.keys()) & ours:
            read, end = last.get(place, -1), ends.get(place, -1)
            self._at_end[place] = end > read
            if max(read + 1, end) >= 0:
                self._positions[place] = max(read + 1, end)
        return events

    def _is_record(self, event: Any, ends: dict[tuple[str, int], int]) -> bool:
        error = event.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            ends[event.topic(), event.partition()] = event.offset()
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._begin_anew((event.topic(), event.partition()))
        elif error.fatal():
            raise translate(KafkaException(error), f"reading as group {self._group}")
        else:
            log.warning("kafka consumer", group=self._group, error=str(error))
        return False

    def settle(self, within_s: float | None = None) -> None:
        """Learn how the commit under way ended; AbortedError with the input rewound if it failed."""
        if within_s is not None and not self._outlet.settled(within_s):
            return
        if self._or_rewind(self._outlet.settle):
            for place, at in self._committing.items():
                if place in self._assigned:
                    self._committed[place] = at
            then, self._then = self._then, None
            if then is not None:
                then()

    def _or_rewind(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except AbortedError:
            self._then = None
            self._rewind()
            raise

    def _rewind(self) -> None:
        """Read every assigned partition from the group's committed offset again."""
        self._uncommitted = False
        self._rewound = True
        self._positions.clear()
        self._at_end.clear()
        self._starts.forget()
        self._waiting = self._assigned - self._leaving
        self._go_on(self._starts.find(self._waiting))

    def _go_on(self, found: dict[tuple[str, int], int]) -> None:
        """Seek to what is certain. What is not stays in `_waiting`: whatever comes of it until then is passed over."""
        for place, offset in found.items():
            try:
                self._consumer.seek(TopicPartition(*place, offset))
            except KafkaException:
                continue  # not fetched yet
            self._at_end[place] = False
            self._waiting.discard(place)

    def _begin_anew(self, place: tuple[str, int]) -> None:
        """The offset to go on from is not there: records were deleted before it, or lost with a broker behind it."""
        if place not in self._assigned:
            return
        self._waiting.add(place)
        at = self._positions.get(place) or self._starts.find({place}).get(place, 0)
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=SEARCH_S, cached=False)
        except KafkaException:
            # The search goes on, from the committed offset: what is read and not committed would be read again.
            self._forget("the offset to go on from is gone")
            return
        log.error("offset out of range", partition=place, offset=at, first=low, end=high)
        self._go_on({place: low if at < low else high})

    def _assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        gained = {(p.topic, p.partition) for p in partitions}
        self._starts.forget()
        found = self._starts.find(gained)
        starts = [TopicPartition(*place, found.get(place, OFFSET_END)) for place in gained]
        if self._incremental:
            consumer.incremental_assign(starts)
        else:
            consumer.assign(starts)
        self._assigned |= gained
        self._waiting |= gained - found.keys()
        self._hook("assigned", gained)

    def _give_up(self, kind: str, _consumer: Any, partitions: list[TopicPartition]) -> None:
        gone = {(p.topic, p.partition) for p in partitions}
        self._starts.forget()
        self._leaving = gone
        if kind == "lost":
            self._forget("partitions were lost")
        self._hook(kind, gone)
        if kind == "revoked":
            self._forget("partitions were revoked before their records were committed")
        self._leaving = set()
        self._assigned -= gone
        self._waiting -= gone
        for partition in gone:
            self._positions.pop(partition, None)
            self._committed.pop(partition, None)
            self._at_end.pop(partition, None)

    def _forget(self, reason: str) -> None:
        """Undo what is not committed: a part of it can no longer be, and a transaction is one."""
        try:
            self.settle()
            if not self._uncommitted and self._outlet.settled() and not self._outlet.is_open():
                return
            self._outlet.abandon(reason)
        except AbortedError as error:
            self._forgotten = error
        except LongshoreError as error:
            self._hook_error = error
        else:
            self._forgotten = AbortedError(reason)
        self._then = None
        self._rewind()

    def _hook(self, kind: str, partitions: Partitions) -> None:
        """Run a hook inside the client's callback; what it raises is raised again by `poll`."""
        self._moved |= partitions
        telemetry.REBALANCES.labels(self._service, kind).inc()
        log.info("partitions " + kind, group=self._group, partitions=sorted(f"{t}[{n}]" for t, n in partitions))
        hook: PartitionsHook | None = self._hooks.get(f"on_{kind}")
        if hook is None:
            return
        try:
            hook(partitions)
        except LongshoreError as error:
            self._hook_error = error
