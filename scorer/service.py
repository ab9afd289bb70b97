"""The scorer's shell: poll, score, send, commit; models, pages and housekeeping around it.

A transaction opens with one snapshot of the model and ends after `commit_interval_s` under load, or as soon as the
input is idle. Outputs are handed over as they are made, and a commit goes on while the next records are read and
scored. What is handed over and not yet committed is known to the stream only, so that an abort, a revoked partition or
a lost one has one obvious thing to do here: forget `Pending`.
"""

from __future__ import annotations

import functools
import gc
import threading
import time
from dataclasses import dataclass, field

import structlog

from longshore import telemetry
from longshore.codec import Codec
from longshore.config import Settings
from longshore.errors import AbortedError
from longshore.kafka.exactly_once import AtLeastOnce, ExactlyOnce
from longshore.kafka.outlet import Hooks
from longshore.projector import Projector
from longshore.redis_store import ModelCache
from longshore.schema import Schema
from longshore.scorer.encode import PredictionEncoder, dead_letter, with_traces
from longshore.scorer.models import Active, Models
from longshore.scorer.score import score
from longshore.service import Runtime
from longshore.stream import ExactlyOnceStream, Message, Partitions, Single
from longshore.topics import Topics

log = structlog.get_logger()

NO_MODEL_WAIT_S = 0.2
TRANSACTION_BYTES = 32 * 1024 * 1024
"""Of input: a transaction ends when it has so much, which bounds what the client holds whatever the records' size."""
YOUNG_OBJECTS = 100_000
"""A batch makes tens of thousands of short-lived objects, none in a cycle: with Python's default of 700 the collector
takes a quarter of the scorer's time to find that out."""


@dataclass(slots=True)
class Pending:
    """What the open transaction holds."""

    active: Active
    opened: float
    predictions: int = 0
    bytes: int = 0
    reasons: list[str] = field(default_factory=list)


class Scorer:
    """Scores until told to stop; input offsets advance only with the predictions they produced."""

    def __init__(self, settings: Settings, schema: Schema, models: Models, task: str) -> None:
        self._settings = settings.scorer
        self._topics = Topics.of(settings.topic_prefix, schema)
        self._codec = Codec(schema)
        self._encoder = PredictionEncoder(schema)
        self._models = models
        self._task = task
        self._pending: Pending | None = None
        self._joined = False

    def serve(self, stream: ExactlyOnceStream, runtime: Runtime) -> None:
        """The loop. Before the first model is there nothing is read, so nothing can be lost."""
        while not runtime.stop.is_set():
            runtime.beat()
            active = self._pending.active if self._pending else self._models.active()
            runtime.set_ready(self._joined and active is not None)
            if active is None:
                runtime.stop.wait(NO_MODEL_WAIT_S)
                continue
            try:
                self._step(stream, active)
            except AbortedError as error:
                log.warning("records will be scored again", error=str(error))
                self._pending = None
        self.finish(stream)

    def finish(self, stream: ExactlyOnceStream) -> None:
        """Commit what is scored; an abort leaves it to whoever reads the partition next."""
        try:
            self._commit(stream, wait=True)
        except AbortedError as error:
            log.warning("the last records were not committed and will be scored again", error=str(error))
        self._pending = None

    def join(self, partitions: Partitions) -> None:
        """The group has dealt out its partitions, perhaps none to this member: it does its part from now on."""
        del partitions
        self._joined = True

    def drop(self, partitions: Partitions) -> None:
        """Forget what is scored for partitions that are no longer ours: their next owner scores it."""
        del partitions
        self._pending = None

    def _step(self, stream: ExactlyOnceStream, active: Active) -> None:
        batch = stream.poll(self._settings.max_batch, self._settings.poll_timeout_s)
        if batch:
            self._score(stream, batch, active)
        if self._pending and self._due(stream, len(batch)):
            self._commit(stream, wait=False)

    def _due(self, stream: ExactlyOnceStream, size: int) -> bool:
        pending = self._pending
        if pending is None:
            return False
        idle = size < self._settings.max_batch and stream.backlog() < self._settings.max_batch
        late = time.monotonic() - pending.opened >= self._settings.commit_interval_s
        return idle or late or pending.bytes >= TRANSACTION_BYTES

    def _score(self, stream: ExactlyOnceStream, batch: list[Message], active: Active) -> None:
        # `poll` may have run a rebalance, whose hook commits and forgets: what it returned begins a new transaction.
        pending = self._pending or Pending(active, time.monotonic())
        values = [message.value() for message in batch]
        with telemetry.SCORE_SECONDS.time():
            scored = score(values, self._codec, active.model)
        predictions = self._encoder.encode(
            batch, scored.decoded, scored.predictions, version=active.version, scored_at=time.time_ns() // 1_000_000
        )
        rejected: list[Single] = []
        for reject in scored.rejects:
            message = batch[reject.position]
            rejected.append(dead_letter(message, reject, topic=self._topics.dead_letters, task=self._task))
            pending.reasons.append(reject.reason.value)
        good = batch if not rejected else [batch[position] for position in scored.decoded.positions]
        stream.send([*with_traces(self._topics.predictions, good, predictions), *rejected])
        pending.predictions += len(predictions)
        pending.bytes += sum(len(value) for value in values if value)
        self._pending = pending

    def _commit(self, stream: ExactlyOnceStream, *, wait: bool) -> None:
        pending, self._pending = self._pending, None
        if pending is not None or wait:
            then = functools.partial(_committed, pending) if pending else None
            stream.commit(wait=wait, then=then)


def _committed(pending: Pending) -> None:
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
    stream = _open(settings, instance, topics.records, scorer)
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    try:
        scorer.serve(stream, runtime)
    finally:
        stream.close()


def _open(settings: Settings, instance: str, topic: str, scorer: Scorer) -> ExactlyOnce | AtLeastOnce:
    group = settings.topic_prefix + settings.scorer.group
    stream: ExactlyOnce | AtLeastOnce

    def finish(_: Partitions) -> None:
        scorer.finish(stream)

    hooks: Hooks = {"on_assigned": scorer.join, "on_revoked": finish, "on_lost": scorer.drop}
    if settings.scorer.delivery == "at_least_once":
        stream = AtLeastOnce(settings, group=group, topics=[topic], **hooks)
    else:
        stream = ExactlyOnce(settings, group=group, instance=instance, topics=[topic], **hooks)
    return stream


def _hurry(cache: ModelCache, stop: threading.Event, wake: threading.Event) -> None:
    for _ in cache.hints(stop):
        wake.set()
