"""The notifying role's shell: reads `drift.events`, tells one target of each state change, commits what it accepted.

Each target has a consumer group of its own: one that is down holds up nobody else. A position is committed only after
the target's 2xx, so a crash in between tells it again, under the same id. While a target is down its notices wait in
memory and the topic is read on, for the member must stay in its group; at `MOST_WAITING` it stops.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

import msgspec
import structlog

from longshore import telemetry
from longshore.config import Settings
from longshore.errors import AbortedError
from longshore.monitor.alerts.notice import Notice, is_told
from longshore.monitor.alerts.post import post
from longshore.monitor.alerts.targets import Post, Target
from longshore.monitor.alerts.tries import Answer, Backoff, Outcome
from longshore.monitor.alerts.waiting import Place, Waiting
from longshore.records import UNREADABLE, DriftEvent, Source
from longshore.stream import ExactlyOnceStream, Message, Partitions

log = structlog.get_logger()

MAX_BATCH = 500
POLL_TIMEOUT_S = 0.2
MOST_WAITING = 10_000
"""At some kilobytes each."""

COMMIT_INTERVAL_S = 1.0
"""How often positions that only passed over verdicts are committed."""


class Notifying:
    """Tells one target, in order, until told to stop; `step` never waits longer than one try."""

    def __init__(
        self,
        settings: Settings,
        target: Target,
        *,
        send: Post | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        alerts = settings.alerts
        self._settings = settings
        self._target = target
        self._send = send or partial(post, timeout_s=alerts.timeout_s)
        self._clock = clock
        self._wall = wall
        self._pause = pause
        self._waiting = Waiting()
        self._backoff = Backoff(alerts.backoff_s, alerts.max_backoff_s, chance)
        self._repeat_backoff = Backoff(alerts.backoff_s, alerts.max_backoff_s, chance)
        self._next_try = self._next_commit = clock()
        self._next_repeat = clock() + alerts.repeat_s
        self._refused = 0
        self._committed: dict[Place, int] = {}

    def step(self, stream: ExactlyOnceStream) -> None:
        """One round: read, try what is due, commit what was accepted."""
        try:
            if len(self._waiting) < MOST_WAITING:
                for message in stream.poll(MAX_BATCH, 0.0 if self._is_due() else POLL_TIMEOUT_S):
                    self._take(message)
            elif not self._is_due():
                self._pause(POLL_TIMEOUT_S)
            tried = self._is_due()
            if tried:
                self._try()
            self._repeat()
            self._commit(stream, at_once=tried)
        except AbortedError as error:
            log.warning("state changes will be read again", target=self._target.name, error=str(error))
            self.forget()
        self._tell()

    def forget(self, partitions: Partitions | None = None) -> None:
        """Partitions are no longer ours, or are read again (None: all)."""
        self._waiting.forget(partitions)
        self._target.forget(partitions)
        gone = set(self._committed) if partitions is None else partitions
        self._committed = {place: at for place, at in self._committed.items() if place not in gone}
        self._refused = 0

    def _take(self, message: Message) -> None:
        place, offset = (message.topic(), message.partition()), message.offset()
        try:
            event = msgspec.json.decode(message.value() or b"", type=DriftEvent)
        except UNREADABLE as error:
            log.error("an event is not readable and is told to nobody", offset=offset, error=str(error))
            self._count(Outcome.UNREADABLE)
            self._waiting.read(place, offset, None)
            return
        alerts = self._settings.alerts
        notice = Notice(event, Source(*place, offset), message.timestamp()[1], self._settings.model, alerts.runbooks)
        self._waiting.read(place, offset, notice if is_told(event, alerts.quiet_kinds) else None)

    def _is_due(self) -> bool:
        return len(self._waiting) > 0 and self._clock() >= self._next_try

    def _try(self) -> None:
        notice = self._waiting.first()
        if notice is None:
            return
        answer = self._target.deliver(notice, self._wall(), self._send)
        self._count(answer.outcome)
        if answer.outcome is Outcome.DELIVERED:
            if self._target.url:
                log.info("state change told", target=self._target.name, kind=notice.kind, id=notice.id)
            self._go_on()
            return
        self._refused += answer.outcome is Outcome.REFUSED
        if 0 < self._settings.alerts.refused_tries <= self._refused:
            self._count(Outcome.PASSED_OVER)
            log.error("state change passed over", **self._about(notice, answer), subject=notice.subject)
            self._go_on()
            return
        pause_s = self._backoff.pause_s(answer)
        self._next_try = self._clock() + pause_s
        log.warning("state change not told yet", **self._about(notice, answer), again_in_s=round(pause_s, 1))

    def _go_on(self) -> None:
        self._waiting.done()
        self._backoff.succeeded()
        self._refused = 0

    def _about(self, notice: Notice, answer: Answer) -> dict[str, object]:
        said = {"target": self._target.name, "kind": notice.kind, "id": notice.id, "waiting": len(self._waiting)}
        return said | {"outcome": answer.outcome.value, "status": answer.status, "said": answer.said}

    def _repeat(self) -> None:
        """Say again what is open: also while notices wait, or it would seem to be over."""
        if self._clock() < self._next_repeat:
            return
        answer = self._target.repeat(self._send)
        self._next_repeat = self._clock() + self._settings.alerts.repeat_s
        if answer is None or answer.outcome is Outcome.DELIVERED:
            self._repeat_backoff.succeeded()
            return
        self._count(answer.outcome)
        pause_s = self._repeat_backoff.pause_s(answer)
        self._next_repeat = self._clock() + min(pause_s, self._settings.alerts.repeat_s)
        log.warning("what is open was not told again", target=self._target.name, status=answer.status, said=answer.said)

    def _commit(self, stream: ExactlyOnceStream, *, at_once: bool) -> None:
        """What was accepted at once, what is nothing to tell now and then."""
        now = self._clock()
        if not at_once and now < self._next_commit:
            return
        self._next_commit = now + COMMIT_INTERVAL_S
        held = self._target.held()
        positions = self._waiting.positions(held)
        if positions != self._committed:
            # With nothing left to do, behind the markers of transactions as well: the group then has no lag.
            stream.commit(upto=positions if held or len(self._waiting) else None)
            self._committed = positions

    def _count(self, outcome: Outcome) -> None:
        telemetry.NOTIFICATIONS.labels(self._target.name, outcome.value).inc()

    def _tell(self) -> None:
        first = self._waiting.first()
        telemetry.NOTIFICATIONS_WAITING.labels(self._target.name).set(len(self._waiting))
        telemetry.NOTIFICATION_OLDEST.labels(self._target.name).set(first.written_ms / 1_000 if first else 0)
