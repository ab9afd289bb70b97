"""One instance's transactions: begin, send, commit, and the way back from whatever failed (`states` has the table).

A *definite* failure is aborted. An *ambiguous* one (a time-out, a call that does not come back, an error the client
cannot classify) may have left a transaction whose delayed marker could end the *next* one (librdkafka has no KIP-890):
the producer is thrown away and one with the same id made, whose `init_transactions` settles the old transaction one way
or the other. *Fenced* ends the process. After ABORTING and REPLACING the caller must read its input again from the
committed offsets: an abort does not move a consumer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Any, NoReturn

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from longshore import telemetry
from longshore.config import Settings
from longshore.errors import AbortedError, LongshoreError, UnavailableError
from longshore.kafka.client import translate
from longshore.kafka.producing import enqueue, producer_config, transactional
from longshore.kafka.states import TRANSITIONS, Event, State, remedy
from longshore.kafka.watched import Watched
from longshore.stream import Batch, Single

log = structlog.get_logger()

START_TIMEOUT_S = 45.0
"""For `init_transactions`: longer than a broker's restart, shorter than `max.poll.interval.ms`."""
STOP_LOOK_S, STOP_GRACE_S = 0.1, 3.0
"""How often a start looks whether it is still wanted, and how long it goes on if not: orchestrators kill after 10 s."""
OFFSETS_TIMEOUT_S = 2.5
"""For `send_offsets_to_transaction`: one round trip, and the call that hangs whenever its connection is cut."""
WATCHDOG_S = 0.5
"""How much longer than its own time-out a call may take before it is given up."""


class _Flight:
    """A commit under way: the offsets, then the last outputs and the end, one after the other on the same thread."""

    def __init__(self, watched: Watched, offsets: Callable[[], None], end: Callable[[], None], end_s: float) -> None:
        self._offsets = watched.start(offsets)
        self._end = watched.start(lambda: _after(self._offsets, end))
        self._offsets_due = time.monotonic() + OFFSETS_TIMEOUT_S + WATCHDOG_S
        self._end_due = self._offsets_due + end_s

    def landed(self, within_s: float) -> bool:
        """Whether `wait` would return or raise at once, after so long at most."""
        wait([self._end], within_s)
        late = time.monotonic() > (self._end_due if self._offsets.done() else self._offsets_due)
        return self._end.done() or late

    def wait(self) -> None:
        """TimeoutError if either call does not come back in time, else whatever they raised."""
        self._offsets.result(max(0.0, self._offsets_due - time.monotonic()))
        self._end.result(max(0.0, self._end_due - time.monotonic()))


class Transactions:
    """The producing half of an exactly-once member: `send`, `commit`, `settle`, `abandon`; used from one thread.

    What `settle` and whatever settles first (`send`, `commit`) raise: AbortedError (the transaction is undone),
    FencedError, UnavailableError (no broker to start again with).
    """

    def __init__(
        self, settings: Settings, transactional_id: str, service: str, *, stop: threading.Event | None = None
    ) -> None:
        self.state = State.READY
        self._settings = settings
        self._id = transactional_id
        self._service = service
        self._stop = stop or threading.Event()
        # A call that hangs (librdkafka #5456) holds up its partitions: half of what the broker would wait for it.
        self._call_timeout_s = settings.kafka.transaction_timeout_ms / 2_000
        self._flight: _Flight | None = None
        self._ended: LongshoreError | None = None
        self._began = 0.0
        self._start()

    def send(self, outputs: Sequence[Batch | Single]) -> None:
        """Hand outputs to the open transaction, or open one."""
        self._open()
        try:
            for output in outputs:
                enqueue(self._producer, output, self._call_timeout_s)
        except KafkaException as error:
            self._fail(error.args[0], error)
        except LongshoreError as error:
            self._abandon_for(error)

    def commit(self, offsets: list[TopicPartition], consumer: Consumer, outputs: Sequence[Batch | Single] = ()) -> None:
        """Begin to end the transaction with the consumer's offsets and the last outputs; `settle` tells how it went.

        The offsets go first: while the markers of the transaction before are being written a coordinator turns away
        both, and the client tries again 1, 2, 4 … ms later with offsets (`retry.backoff.ms`), 20 with outputs.
        """
        self._open()
        producer, timeout_s = self._producer, self._call_timeout_s
        # Here, not on the other thread: inside a rebalance callback of `Consumer.close` it would wait for ever.
        try:
            metadata = consumer.consumer_group_metadata()
        except RuntimeError as error:  # the client is leaving the group already: its next owner does it again
            self._abandon_for(error)
        self._move(Event.COMMIT)

        def send_offsets() -> None:
            _retried(lambda left: producer.send_offsets_to_transaction(offsets, metadata, left), OFFSETS_TIMEOUT_S)

        left = deque(outputs)  # none is held longer than it takes to hand it over

        def end() -> None:
            deadline = time.monotonic() + timeout_s
            while left:  # half of the time at most: what finds no room is aborted, a commit out of time is ambiguous
                enqueue(producer, left.popleft(), deadline - timeout_s / 2 - time.monotonic())
            _retried(producer.commit_transaction, deadline - time.monotonic())

        self._flight = _Flight(self._watched, send_offsets, end, timeout_s)

    def is_open(self) -> bool:
        """Whether outputs were sent that are not on their way to be committed."""
        return self.state is State.OPEN

    def settled(self, within_s: float = 0.0) -> bool:
        """Whether `settle` would not have to wait, after `within_s` at most."""
        return self._flight is None or self._flight.landed(within_s)

    def settle(self) -> bool:
        """Wait for the commit under way; whether there was one."""
        if self._flight is None:
            return False
        flight, self._flight = self._flight, None
        try:
            flight.wait()
        except KafkaException as error:
            self._fail(error.args[0], error)
        except TimeoutError as error:
            self._give_up("committing", error)
        except LongshoreError as error:
            self._abandon_for(error)
        except Exception as error:
            self._undo(Event.ABORT, repr(error))
            self._end(LongshoreError(f"transaction {self._id} aborted: {error!r}"))  # the positions are ahead of it
            raise
        self._move(Event.COMMITTED)
        telemetry.TRANSACTIONS.labels(self._service, "committed").inc()
        telemetry.TRANSACTION_SECONDS.labels(self._service).observe(time.perf_counter() - self._began)
        return True

    def abandon(self, reason: str) -> None:
        """Undo what is open or under way: it can no longer be committed."""
        try:
            self.settle()
        except AbortedError:
            return
        if self.state is State.OPEN:
            self._undo(Event.ABORT, reason)

    def close(self) -> None:
        """Let go of the producer; what is open is aborted by whoever starts under this id, or by its time-out."""
        try:
            self.abandon("the stream is closed")
        except LongshoreError as error:
            log.warning("the last transaction was not ended", id=self._id, error=str(error))
        self._watched.retire()

    def _open(self) -> None:
        self.settle()
        if self._ended is not None:
            raise self._ended  # a hook that comes late: what ended it is still the reason
        if self.state is State.READY:
            try:
                self._call(self._producer.begin_transaction)
            except KafkaException as error:
                self._fail(error.args[0], error)
            except TimeoutError as error:
                self._give_up("beginning", error)
            self._began = time.perf_counter()
            self._move(Event.BEGIN)

    def _fail(self, error: KafkaError, cause: BaseException) -> None:
        """Undo a failed transaction; always raises."""
        needed = remedy(error)
        if needed is Event.END:
            raise self._end(translate(KafkaException(error), f"transaction {self._id}")) from cause
        self._undo(needed, error.str())
        raise AbortedError(f"transaction {self._id} aborted: {error.str()}") from cause

    def _abandon_for(self, cause: Exception) -> NoReturn:
        """Undo a transaction that cannot go on for a reason of ours; always raises."""
        self._undo(Event.ABORT, str(cause))
        raise AbortedError(f"transaction {self._id} aborted: {cause}") from cause

    def _give_up(self, doing: str, cause: BaseException) -> None:
        """The client did not keep its own time-out; always raises."""
        self._undo(Event.REPLACE, f"{doing} did not come back")
        raise AbortedError(f"transaction {self._id}: {doing} did not come back in time") from cause

    def _undo(self, needed: Event, reason: str) -> None:
        outcome = "ambiguous" if needed is Event.REPLACE else "aborted"
        log.warning("transaction failed", id=self._id, state=self.state.value, outcome=outcome, reason=reason)
        telemetry.TRANSACTIONS.labels(self._service, outcome).inc()
        if needed is Event.REPLACE or self.state is State.READY or not self._abort():
            self._replace()

    def _abort(self) -> bool:
        """Abort; whether that is certain."""
        self._move(Event.ABORT)
        producer, timeout_s = self._producer, self._call_timeout_s
        try:
            self._call(lambda: _retried(producer.abort_transaction, timeout_s))
        except KafkaException as error:
            if remedy(error.args[0]) is Event.END:
                raise self._end(translate(error, f"transaction {self._id}")) from error
            log.warning("abort failed", id=self._id, error=error.args[0].str())
            return False
        except TimeoutError:
            return False
        self._move(Event.ABORTED)
        return True

    def _replace(self) -> None:
        self._move(Event.REPLACE)
        self._producer.purge()
        # Destroying a producer may take seconds: its last reference goes to the thread that made its calls.
        holder = [self._producer]
        del self._producer
        self._watched.start(holder.pop)
        self._watched.retire()
        self._start()
        self._move(Event.REPLACED)

    def _start(self) -> None:
        """A new producer under this id: it fences its predecessor and settles what that left open."""
        self._watched = Watched(f"transactions {self._id}")
        try:
            self._producer = Producer(self._config())
            self._await_start(self._watched.start(lambda: self._producer.init_transactions(START_TIMEOUT_S)))
        except KafkaException as error:
            raise self._end(translate(error, f"starting transactions as {self._id}")) from error
        except TimeoutError as error:
            late = f"starting transactions as {self._id}: no answer in {START_TIMEOUT_S:.0f} s"
            raise self._end(UnavailableError(late, mend="see that Kafka is up")) from error

    def _await_start(self, started: Future[None]) -> None:
        """Wait for it; not for long where the process was told to stop: Kafka may be away for as long as it likes."""
        deadline = time.monotonic() + START_TIMEOUT_S + WATCHDOG_S
        while not (stopping := self._stop.is_set()) and time.monotonic() < deadline:
            if wait([started], STOP_LOOK_S).done:
                return started.result()
        if stopping and not wait([started], STOP_GRACE_S).done:
            told = f"starting transactions as {self._id}: told to stop before Kafka answered"
            raise self._end(UnavailableError(told, mend="see that Kafka is up"))
        return started.result(0)

    def _end(self, reason: LongshoreError) -> LongshoreError:
        self._move(Event.END)
        self._ended = reason
        return reason

    def _config(self) -> dict[str, Any]:
        # Nobody listens to good news; bad news fails the commit.
        ours = transactional(self._settings, self._id) | {"delivery.report.only.error": True}
        return producer_config(self._settings, ours)

    def _call(self, call: Callable[[], Any]) -> None:
        """Make one call and wait for it, a little longer than it may take by its own account."""
        self._watched.start(call).result(self._call_timeout_s + WATCHDOG_S)

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state, event]


def _after(first: Future[None], then: Callable[[], None]) -> None:
    """`then`, unless `first` failed: that is raised again."""
    first.result()
    then()


def _retried(call: Callable[[float], Any], timeout_s: float) -> None:
    """Repeat a call that failed with a retriable error, but for a time-out, until its time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        left = max(0.1, deadline - time.monotonic())
        try:
            call(left)
        except KafkaException as error:
            kafka_error = error.args[0]
            timed_out = kafka_error.code() == KafkaError._TIMED_OUT or time.monotonic() >= deadline
            if not kafka_error.retriable() or timed_out:
                raise
            time.sleep(0.01)
        else:
            return
