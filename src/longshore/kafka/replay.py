"""Replaying dead letters: new records and the journal's entries in one transaction, so each is replayed once.

One transactional id for all replays of a dead-letter topic. The steps, and what a kill leaves:

1. init        every other replay is fenced, its open transaction aborted or completed, before this call returns
2. read        the journal: nobody else can add to it now, so what it does not hold was not replayed
3. produce     new records, each to its original topic and partition, invisible to `read_committed` readers
4. flush       tells where each new record stands, which its entry names
5. journal     an entry for each, in the same transaction
6. commit      records and entries become visible at once; a kill before leaves a transaction that step 1 aborts

An ambiguous step (a time-out) is settled by steps 1 and 2: what the journal holds afterwards was committed, the rest is
planned again. Whoever is fenced ends: its successor has read all that it committed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from longshore.config import Settings
from longshore.dead_letters import Coordinates, DeadLetter, Filter, Journal, Outcome, Plan, Refusal
from longshore.errors import AbortedError, FencedError, UnavailableError
from longshore.kafka.admin import create_topics
from longshore.kafka.client import translate
from longshore.kafka.dead_letters import read_journal
from longshore.kafka.producing import producer_config, transactional
from longshore.topics import Topics

log = structlog.get_logger()

CALL_TIMEOUT_S = 30.0
TRIES = 3
"""How often a batch is tried: a broker's restart takes one."""

MAX_BATCH_BYTES = 4_000_000
"""A transaction stays far below what its time-out allows to send."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one selected dead letter; `target` is where its new record stands."""

    letter: DeadLetter
    outcome: Outcome
    detail: str = ""
    target: Coordinates | None = None


Commit = Callable[[Sequence[Plan]], list[Result]]


def replay(
    letters: Iterable[Sequence[DeadLetter]],
    chosen: Filter,
    plan: Callable[[DeadLetter], Plan | Refusal],
    commit: Commit,
    *,
    limit: int | None = None,
    batch_records: int = 500,
) -> Iterator[Result]:
    """Replay the chosen ones, at most `limit`, in transactions of bounded size; results come as they are committed."""
    batch: dict[Coordinates, Plan] = {}
    done = size = 0
    for letter in (letter for group in letters for letter in group if chosen.matches(letter)):
        if letter.origin in batch or len(batch) >= batch_records or size >= MAX_BATCH_BYTES:
            yield from commit(list(batch.values()))
            batch, size = {}, 0
        if limit is not None and done >= limit:
            break
        planned = plan(letter)
        if isinstance(planned, Plan):
            batch[planned.origin] = planned
            size += planned.size
            done += 1
        else:
            yield Result(letter, planned.outcome, planned.detail)
    if batch:
        yield from commit(list(batch.values()))


def would_replay(journal: Journal) -> Commit:
    """For a dry run: what a replay would do, with a journal that forgets it afterwards."""

    def commit(plans: Sequence[Plan]) -> list[Result]:
        for plan in plans:
            journal.add(plan.origin, plan.origin)
        return [Result(plan.letter, Outcome.WOULD_REPLAY, f"attempt {plan.attempt}") for plan in plans]

    return commit


class Replayer:
    """The one process that may replay: opening it fences every other. To be closed, or used in `with`."""

    def __init__(self, settings: Settings, topics: Topics) -> None:
        self._settings = settings
        self._topics = topics
        create_topics(settings, [spec for spec in topics.specs(settings) if spec.name == topics.replays])
        self._open()

    def __enter__(self) -> Replayer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # An open transaction would keep the scorers waiting until it times out.
            with contextlib.suppress(KafkaException):
                self._producer.abort_transaction(CALL_TIMEOUT_S)

    def commit(self, plans: Sequence[Plan]) -> list[Result]:
        """Replay all of `plans` in one transaction.

        Raises:
            AbortedError: another replay took over; nothing of `plans` was replayed by this one.
            UnavailableError: Kafka does not answer; whether they were replayed is in the journal.

        """
        results: list[Result] = []
        left = list(plans)
        for _ in range(TRIES):
            try:
                return results + self._transaction(left) if left else results
            except _TooLargeError as error:
                if len(error.plans) > 1:
                    # The broker refuses a batch as a whole: halves find out whom it means.
                    half = len(left) // 2
                    return results + self.commit(left[:half]) + self.commit(left[half:])
                results += [Result(plan.letter, Outcome.TOO_LARGE, str(error)) for plan in error.plans]
                left = [plan for plan in left if plan not in error.plans]
            except KafkaException as error:
                log.warning("transaction failed", id=self._id, error=error.args[0].str())
                self._raise_if_fenced(error)
                self._open()
                results += [self._replayed(plan) for plan in left if plan.origin in self.journal]
                left = [plan for plan in left if plan.origin not in self.journal]
        raise UnavailableError(
            f"replaying from {self._topics.dead_letters}: {TRIES} transactions failed",
            mend="see that Kafka is up, and start again: what was replayed is in the journal",
        )

    @property
    def _id(self) -> str:
        return f"{self._topics.dead_letters}-replay"

    def _open(self) -> None:
        """A producer of our own, and the journal as nobody else can change it any more."""
        try:
            self._producer = Producer(producer_config(self._settings, transactional(self._settings, self._id)))
            self._producer.init_transactions(CALL_TIMEOUT_S)
        except KafkaException as error:
            self._raise_if_fenced(error)
            raise translate(error, f"starting transactions as {self._id}") from error
        self.journal = read_journal(self._settings, self._topics)

    def _transaction(self, plans: Sequence[Plan]) -> list[Result]:
        self._producer.begin_transaction()
        targets = self._produce(plans)
        now_ms = time.time_ns() // 1_000_000
        for plan in plans:
            entry = msgspec.json.encode(plan.entry(targets[plan.origin], now_ms))
            self._producer.produce(self._topics.replays, key=str(plan.origin).encode(), value=entry)
        self._producer.commit_transaction(CALL_TIMEOUT_S)
        for plan in plans:
            self.journal.add(plan.origin, targets[plan.origin])
        return [self._replayed(plan) for plan in plans]

    def _produce(self, plans: Sequence[Plan]) -> dict[Coordinates, Coordinates]:
        """The new records on the brokers, not yet committed: where each stands, by its origin."""
        targets: dict[Coordinates, Coordinates] = {}
        failures: list[tuple[Plan, KafkaError]] = []

        def note(plan: Plan) -> Callable[[KafkaError | None, Any], None]:
            def delivered(error: KafkaError | None, message: Any) -> None:
                if error is not None:
                    failures.append((plan, error))
                else:
                    targets[plan.origin] = Coordinates(message.topic(), message.partition(), message.offset())

            return delivered

        for plan in plans:
            try:
                self._producer.produce(
                    plan.origin.topic,
                    key=plan.letter.key,
                    value=plan.value,
                    headers=plan.headers(),
                    partition=plan.origin.partition,
                    on_delivery=note(plan),
                )
            except KafkaException as error:
                failures.append((plan, error.args[0]))
        self._producer.flush(CALL_TIMEOUT_S)
        self._check(failures)
        if len(targets) < len(plans):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "new records were not acknowledged"))
        return targets

    def _check(self, failures: Sequence[tuple[Plan, KafkaError]]) -> None:
        """Raise for records that were not written: those that never can be are left out of the next try."""
        too_large = [plan for plan, error in failures if error.code() == KafkaError.MSG_SIZE_TOO_LARGE]
        if too_large:
            self._producer.abort_transaction(CALL_TIMEOUT_S)
            raise _TooLargeError(too_large)
        if failures:
            raise KafkaException(failures[0][1])

    def _replayed(self, plan: Plan) -> Result:
        target = self.journal.replayed_as(plan.origin)
        return Result(plan.letter, Outcome.REPLAYED, f"attempt {plan.attempt}", target)

    def _raise_if_fenced(self, error: KafkaException) -> None:
        translated = translate(error, f"replaying as {self._id}")
        if isinstance(translated, FencedError):
            raise AbortedError(
                f"{self._topics.dead_letters}: another replay took over",
                mend="wait until it has ended, then start again for what is left",
            ) from error


class _TooLargeError(Exception):
    """Records that are larger than the client or the topic allows."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        super().__init__("larger than the producer's message.max.bytes or the topic's max.message.bytes")
        self.plans = plans
