"""The scorer's shell: poll, score, send, commit; models, pages and housekeeping around it.

A transaction opens with one snapshot of the model and ends after `commit_interval_s` under load, or as soon as the
input is idle (at least once: always after that interval, for outputs are seen as soon as they are sent). Outputs are
handed over as they are made, or with the commit if that is at once. A commit goes on while the next records are read
and scored: these go out, in a transaction of their own, when it has ended. Under load the model works on one batch
while the one before is encoded. What is handed over and not yet committed is known to the stream only, so that an
abort, a revoked partition or a lost one has one obvious thing to do here: forget it (`drop`).
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import structlog

from longshore import telemetry
from longshore.codec import Codec, Decoded
from longshore.config import Settings
from longshore.errors import AbortedError
from longshore.heap import collect_seldom
from longshore.kafka.exactly_once import AtLeastOnce, ExactlyOnce
from longshore.kafka.outlet import Hooks
from longshore.projector import Projector
from longshore.redis_store import ModelCache
from longshore.schema import Schema
from longshore.scorer.batches import Begun, Pending, Timed
from longshore.scorer.encode import PredictionEncoder, dead_letter, with_traces
from longshore.scorer.models import Active, Models
from longshore.scorer.score import answer, judged
from longshore.service import Runtime
from longshore.stream import ExactlyOnceStream, Message, Partitions, Single
from longshore.topics import Topics

log = structlog.get_logger()

NO_MODEL_WAIT_S = 0.2
TRANSACTION_BYTES = 32 * 1024 * 1024
"""Of input: a transaction ends when it has so much, which bounds what the client holds whatever the records' size."""
FREE_ABORTS, ABORT_WAIT_S = 5, 2.0
"""After so many in a row something refuses the records themselves, and an operator is needed: no haste."""
REST_S = {"exactly_once": 0.003, "at_least_once": 0.002}
"""After a commit when the input is idle. A coordinator answers a commit before its markers are written, and turns away
who begins the next transaction until then; the rest gathers a few more records instead (docs/exactly-once.md)."""
SOON_S, GLANCE_S = 0.02, 0.003
"""How long a commit is waited for when the input is idle, and how often it is looked after then: what came meanwhile is
scored beside one that takes longer. Beside each it would cost more of a small machine than it gains."""
SWITCH_S = 0.001
"""How long the model's thread waits for the interpreter when it has an answer: with Python's default of 5 ms the loop
waits for it in turn, and scores a tenth less."""


class Scorer:
    """Scores until told to stop; input offsets advance only with the predictions they produced."""

    def __init__(self, settings: Settings, schema: Schema, models: Models, task: str) -> None:
        self._settings = settings.scorer
        self._topics = Topics.of(settings.topic_prefix, schema)
        self._codec = Codec(schema)
        self._encoder = PredictionEncoder(schema, self._settings.interval)
        self._models = models
        self._task = task
        self._rest_s = REST_S[self._settings.delivery]
        self._seen_by_commit = self._settings.delivery == "exactly_once"
        self._pending: Pending | None = None
        self._ahead: deque[Begun] = deque()
        self._committing: Pending | None = None
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._joined = self._failed = False
        self._stop = threading.Event()
        self._aborts = 0

    def serve(self, stream: ExactlyOnceStream, runtime: Runtime) -> None:
        """The loop. Before the first model is there nothing is read, so nothing can be lost."""
        self._stop = runtime.stop
        while not runtime.stop.is_set():
            runtime.beat()
            active = self._models.active()
            runtime.set_ready(self._joined and active is not None)
            if active is None:
                runtime.stop.wait(NO_MODEL_WAIT_S)
                continue
            try:
                self._step(stream, active)
            except AbortedError as error:
                log.warning("records will be scored again", error=str(error))
                self.drop()
                self._aborts += 1
                if self._aborts > FREE_ABORTS:
                    runtime.stop.wait(ABORT_WAIT_S)
            except BaseException:
                self._failed = True  # what was read last may not be scored: its offsets must not be committed
                raise
        self.finish(stream)

    def finish(self, stream: ExactlyOnceStream) -> None:
        """Commit what is read; an abort, or a failure of ours, leaves it to whoever reads the partition next."""
        if not self._failed:
            try:
                while not self._encode_ahead():
                    self._commit(stream)
                self._commit(stream, wait=True)
            except AbortedError as error:
                log.warning("the last records were not committed and will be scored again", error=str(error))
            except BaseException:
                self._failed = True
                raise
        self.drop()

    def join(self, partitions: Partitions) -> None:
        """The group has dealt out its partitions, perhaps none to this member: it does its part from now on."""
        del partitions
        self._joined = True

    def drop(self, partitions: Partitions | None = None) -> None:
        """Forget what is not committed: whoever owns the partitions next scores it."""
        del partitions
        self._pending = self._committing = None
        self._ahead.clear()

    def _step(self, stream: ExactlyOnceStream, active: Active) -> None:
        """Read a batch, and while the model works on it encode and send the one before; at once where it is idle."""
        most = self._settings.max_batch
        batch = stream.poll(most, 0 if self._ahead else self._settings.poll_timeout_s)
        full = len(batch) >= most
        if batch:
            self._begin(stream, batch, active, beside=full)
        whole = self._encode_ahead(but=int(full))
        idle = not full and self._pending is not None and stream.backlog() < most
        at_once = not whole or (idle and self._seen_by_commit)
        ends = at_once or self._due()
        if not (ends and idle):  # where latency counts the outputs go with the commit, after its offsets
            self._send(stream)
        if ends:
            self._commit(stream)
        if at_once:
            if idle:
                stream.settle(SOON_S)
            self._score_beside(stream)
        if idle:
            time.sleep(self._rest_s)

    def _begin(self, stream: ExactlyOnceStream, batch: list[Message], active: Active, *, beside: bool) -> None:
        """Decode, and have the model predict: on a thread of its own under load, at once when latency counts."""
        values = [message.value() for message in batch]
        decoded = self._codec.decode(values, [message.key() for message in batch])
        if beside:
            coming = self._model_thread.submit(_predict, decoded, active)
        else:
            coming = Future()
            coming.set_result(_predict(decoded, active))
        size = sum(map(len, filter(None, values)))
        self._ahead.append(Begun(batch, size, decoded, active, stream.mark(), coming))

    def _score_beside(self, stream: ExactlyOnceStream) -> None:
        """Score what comes while a long commit goes on, a batch at most; none is sent before its end."""
        room = self._settings.max_batch - sum(len(begun.batch) for begun in self._ahead)
        size = sum(begun.bytes for begun in self._ahead)
        while self._committing is not None and room > 0 and size < TRANSACTION_BYTES and not self._stop.is_set():
            time.sleep(GLANCE_S)
            active = self._models.active()
            if active is not None and (batch := stream.poll(room, 0)):
                self._begin(stream, batch, active, beside=False)
                room, size = room - len(batch), size + self._ahead[-1].bytes

    def _encode_ahead(self, but: int = 0) -> bool:
        """Make the outputs of what is scored, but for the last `but` batches.

        False: the open transaction must end first, for the next was scored by another model, or for its time or size.
        """
        while len(self._ahead) > but:
            if self._pending is not None and self._pending.active is not self._ahead[0].active:
                return False
            self._encode(self._ahead[0])
            self._ahead.popleft()
            if len(self._ahead) > but and self._due():
                return False
        return True

    def _encode(self, begun: Begun) -> None:
        """Make a batch's outputs."""
        pending = self._pending or Pending(begun.active, time.monotonic())
        answered, at_ms = begun.coming.result()
        scored = judged(begun.decoded, answered)
        values = self._encoder.encode(
            begun.batch,
            scored.decoded,
            scored.predictions,
            version=begun.active.version,
            scored_at=at_ms,
            half_width=begun.active.half_width,
        )
        rejected: list[Single] = []
        for reject in scored.rejects:
            message = begun.batch[reject.position]
            rejected.append(dead_letter(message, reject, topic=self._topics.dead_letters, task=self._task))
            pending.reasons.append(reject.reason.value)
        good = [begun.batch[position] for position in scored.decoded.positions] if rejected else begun.batch
        pending.outputs += [*with_traces(self._topics.predictions, good, values), *rejected]
        pending.predictions += len(values)
        pending.bytes += begun.bytes
        self._pending = pending

    def _send(self, stream: ExactlyOnceStream) -> None:
        """Hand over the outputs that are made: under load they travel while others are made."""
        if self._pending is not None and self._pending.outputs:
            stream.send(self._pending.take())

    def _due(self) -> bool:
        if self._pending is None:
            return False
        late = time.monotonic() - self._pending.opened >= self._settings.commit_interval_s
        return late or self._pending.bytes >= TRANSACTION_BYTES

    def _commit(self, stream: ExactlyOnceStream, *, wait: bool = False) -> None:
        """End the transaction, without what is scored and not encoded; it goes on beside what follows, or `wait`."""
        pending, self._pending = self._pending, None
        if pending is not None or wait:
            self._committing = pending
            then = functools.partial(self._committed, pending) if pending else None
            upto = self._ahead[0].before if self._ahead else None
            stream.commit(pending.take() if pending else [], wait=wait, then=then, upto=upto)

    def _committed(self, pending: Pending) -> None:
        self._aborts = 0
        if self._committing is pending:
            self._committing = None
        _count(pending)


def _predict(decoded: Decoded, active: Active) -> Timed:
    with telemetry.SCORE_SECONDS.time():
        return answer(decoded, active.model), time.time_ns() // 1_000_000


def _count(pending: Pending) -> None:
    telemetry.RECORDS_SCORED.labels(pending.active.version).inc(pending.predictions)
    for reason in pending.reasons:
        telemetry.DEAD_LETTERS.labels(reason).inc()
    telemetry.LAST_SCORED.set_to_current_time()


def run(
    settings: Settings,
    schema: Schema,
    runtime: Runtime,
    *,
    instance: str,
    models: Models,
    projector: Projector,
    cache: ModelCache | None,
) -> None:
    """Run a scorer until `runtime.stop`: the loop here, model watching and projection in threads of their own."""
    scorer = Scorer(settings, schema, models, task=instance)
    topics = Topics.of(settings.topic_prefix, schema)
    wake = threading.Event()
    models.refresh()
    threads = [
        threading.Thread(target=models.follow, args=(runtime.stop, wake, settings.scorer.model_poll_s), daemon=True),
        threading.Thread(target=projector.follow, args=(runtime.stop,), daemon=True),
    ]
    if cache is not None:
        threads.append(threading.Thread(target=_hurry, args=(cache, runtime.stop, wake), daemon=True))
    for thread in threads:
        thread.start()
    stream = _open(settings, instance, topics.records, scorer, runtime.stop)
    collect_seldom()
    sys.setswitchinterval(SWITCH_S)
    try:
        scorer.serve(stream, runtime)
    finally:
        stream.close()


def _open(
    settings: Settings, instance: str, topic: str, scorer: Scorer, stop: threading.Event
) -> ExactlyOnce | AtLeastOnce:
    group = settings.topic_prefix + settings.scorer.group
    stream: ExactlyOnce | AtLeastOnce

    def finish(_: Partitions) -> None:
        scorer.finish(stream)

    hooks: Hooks = {"on_assigned": scorer.join, "on_revoked": finish, "on_lost": scorer.drop}
    if settings.scorer.delivery == "at_least_once":
        stream = AtLeastOnce(settings, group=group, topics=[topic], **hooks)
    else:
        stream = ExactlyOnce(settings, group=group, instance=instance, topics=[topic], stop=stop, **hooks)
    return stream


def _hurry(cache: ModelCache, stop: threading.Event, wake: threading.Event) -> None:
    for _ in cache.hints(stop):
        wake.set()
