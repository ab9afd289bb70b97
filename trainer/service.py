"""The trainer that follows `retrain.requests`: one request at a time, claimed in the registry, worked on in a thread.

The main thread goes on polling, so the group keeps us; a request's offset is committed only when every request polled
so far has its outcome in the registry, and those that have one are skipped. So a killed trainer's request is read again
by the next one, which waits for the claim to expire and resumes. What a run does is `longshore.trainer.run`'s.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import structlog

from longshore import telemetry
from longshore.config import Settings
from longshore.errors import AbortedError, ConflictError, DataError, LongshoreError
from longshore.records import UNREADABLE, RetrainRequest
from longshore.registry import Claim, Registry
from longshore.service import Runtime
from longshore.stream import ExactlyOnceStream, Message, Partitions
from longshore.trainer.run import Outcome

log = structlog.get_logger()

POLL_TIMEOUT_S = 0.2
RETRY_S = 1.0
"""Between two tries for a claim somebody holds, or after a fault that may pass."""
LEAVE_WITHIN_S = 10.0
"""How long a run may take to reach its next stage when the service ends; then it is left to its claim's expiry."""

Work = Callable[[RetrainRequest, Callable[[], None]], Outcome]
"""(request, check) → how it ended; `check` raises when the run must stop, and is called between stages."""


class StoppedError(Exception):
    """The service ends, or the claim was lost: leave everything as it is."""


@dataclass(slots=True)
class Follower:
    """Serves requests until told to stop; `owner` names us in claims."""

    settings: Settings
    registry: Registry
    work: Work
    owner: str
    retry_s: float = RETRY_S
    _queue: deque[RetrainRequest] = field(default_factory=deque)
    _worker: threading.Thread | None = None
    _uncommitted: bool = False
    _not_before: float = 0.0

    def serve(self, stream: ExactlyOnceStream, runtime: Runtime) -> None:
        """The loop; at its end the run under way stops at its next stage and its claim is released."""
        runtime.set_ready(True)
        while not runtime.stop.is_set():
            runtime.beat()
            try:
                self._take(stream.poll(100, POLL_TIMEOUT_S))
                self._advance(runtime.stop)
                self._commit_when_idle(stream)
            except AbortedError as error:
                log.warning("requests will be read again", error=str(error))
                self.drop(set())
        if self._worker is not None:
            self._worker.join(LEAVE_WITHIN_S)

    def drop(self, partitions: Partitions) -> None:
        """Forget what is waiting: whoever reads it next finds the outcomes of what is done."""
        del partitions
        self._queue.clear()
        self._uncommitted = False

    def _take(self, messages: list[Message]) -> None:
        self._uncommitted = self._uncommitted or bool(messages)
        for message in messages:
            try:
                request = msgspec.json.decode(message.value() or b"", type=RetrainRequest)
            except UNREADABLE as error:
                log.error("not a retraining request, passed over", offset=message.offset(), error=str(error))
                continue
            self._queue.append(request)

    def _advance(self, stop: threading.Event) -> None:
        if self._worker is not None and self._worker.is_alive():
            return
        self._worker = None
        if not self._queue or time.monotonic() < self._not_before:
            return
        request = self._queue[0]
        try:
            done, claim = self._claim(request)
        except LongshoreError as error:
            log.error("request cannot be claimed", trigger_id=request.trigger_id, error=str(error))
            # A name the registry refuses will never be claimed; an outage may pass.
            done, claim = not error.retriable, None
        if done:
            self._queue.popleft()
        elif claim is None:
            self._not_before = time.monotonic() + self.retry_s
        else:
            self._worker = threading.Thread(target=self._run, args=(request, claim, stop), name="training", daemon=True)
            self._worker.start()

    def _claim(self, request: RetrainRequest) -> tuple[bool, Claim | None]:
        """(finished already, our claim if nobody else holds one)."""
        if self.registry.outcome(request.trigger_id) is not None:
            return True, None
        ttl_s = self.settings.trainer.claim_ttl_s
        return False, self.registry.claim(request.trigger_id, owner=self.owner, ttl_s=ttl_s)

    def _commit_when_idle(self, stream: ExactlyOnceStream) -> None:
        if self._uncommitted and not self._queue and self._worker is None:
            stream.commit([])
            self._uncommitted = False

    def _run(self, request: RetrainRequest, claim: Claim, stop: threading.Event) -> None:
        """In the worker thread: do the work and record its outcome, or leave the request to a later try."""
        began = time.monotonic()
        log.info("retraining", trigger_id=request.trigger_id, cause=request.cause, model_version=request.model_version)
        try:
            with _held(claim) as lost:
                outcome = self._outcome(request, stop, lost)
            claim.finish(outcome.to_dict())
        except StoppedError:
            log.warning("retraining stopped, to be resumed", trigger_id=request.trigger_id)
            _release(claim)
        except ConflictError as error:
            log.warning("retraining was taken over", trigger_id=request.trigger_id, error=str(error))
        except LongshoreError as error:
            log.error("retraining will be tried again", trigger_id=request.trigger_id, error=str(error))
            self._not_before = time.monotonic() + self.retry_s
            _release(claim)
        else:
            telemetry.TRAININGS.labels(outcome.status).inc()
            telemetry.TRAINING_SECONDS.set(time.monotonic() - began)
            log.info("retraining ended", trigger_id=request.trigger_id, status=outcome.status, reason=outcome.reason)

    def _outcome(self, request: RetrainRequest, stop: threading.Event, lost: threading.Event) -> Outcome:
        def check() -> None:
            if stop.is_set() or lost.is_set():
                raise StoppedError

        if self.registry.find_trigger(request.trigger_id) is None:
            champion = self.registry.alias()
            if champion is not None and champion.version != request.model_version:
                reason = f"asked for {request.model_version}, but {champion.version} is champion by now"
                return Outcome("superseded", reason)
        try:
            return self.work(request, check)
        except StoppedError:
            raise
        except LongshoreError as error:
            if error.retriable or isinstance(error, ConflictError):
                raise
            return Outcome("failed", str(error))
        except Exception as error:  # a defect must not be met again at every restart
            log.exception("retraining failed")
            return Outcome("failed", f"{type(error).__name__}: {error}")


def wait_for_rows(
    ready: Callable[[], int],
    needed: int,
    *,
    check: Callable[[], None],
    wait_s: float,
    poll_s: float = 2.0,
    why: Callable[[], str] = str,
) -> None:
    """Poll `ready` (the number of fresh labelled rows) until `needed` are there; `why` tells what was left out.

    Raises:
        DataError: they are not, after `wait_s`.

    """
    deadline, told = time.monotonic() + wait_s, -1
    while (rows := ready()) < needed:
        check()
        if time.monotonic() >= deadline:
            raise DataError(
                f"too few rows: {rows:,} fresh labelled ones after {wait_s:g} s{why()}, trainer.min_rows = {needed:,}",
                mend="see that labels arrive",
            )
        if rows != told:
            log.info("waiting for labels", rows=rows, needed=needed)
            told = rows
        time.sleep(min(poll_s, max(deadline - time.monotonic(), 0.0)))


@contextmanager
def _held(claim: Claim) -> Iterator[threading.Event]:
    """Renew a claim every third of its time; yields an event that is set when it was lost."""
    lost, done = threading.Event(), threading.Event()

    def beat() -> None:
        while not done.wait(claim.ttl_s / 3):
            try:
                claim.renew()
            except ConflictError:
                lost.set()
                return
            except LongshoreError as error:
                log.warning("claim not renewed", error=str(error))

    thread = threading.Thread(target=beat, name="claim", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join()


def _release(claim: Claim) -> None:
    try:
        claim.release()
    except LongshoreError as error:
        log.warning("claim not released, it will expire", error=str(error))
