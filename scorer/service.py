"""The scorer's shell: poll, score, commit; models, pages and housekeeping around it.

A transaction opens with one snapshot of the model and ends after `commit_interval_s` under load, or as soon as the
input is idle. What is scored and not yet committed lives in `Pending` only, so that an abort, a revoked partition or a
lost one each has one obvious thing to do with it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import structlog

from longshore import telemetry
from longshore.codec import Codec
from longshore.config import Settings
from longshore.errors import AbortedError
from longshore.kafka.exactly_once import ExactlyOnce
from longshore.projector import Projector
from longshore.redis_store import ModelCache
from longshore.schema import Schema
from longshore.scorer.encode import PredictionEncoder, dead_letter
from longshore.scorer.models import Active, Models
from longshore.scorer.score import score
from longshore.service import Runtime
from longshore.stream import Batch, ExactlyOnceStream, Message, Partitions, Single
from longshore.topics import Topics

log = structlog.get_logger()

NO_MODEL_WAIT_S = 0.2


@dataclass(slots=True)
class Pending:
    """What the open transaction will hold."""

    active: Active
    opened: float
    predictions: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[Single] = field(default_factory=list)
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

    def serve(self, stream: ExactlyOnceStream, runtime: Runtime) -> None:
        """The loop. Before the first model is there nothing is read, so nothing can be lost."""
        while not runtime.stop.is_set():
            runtime.beat()
            active = self._pending.active if self._pending else self._models.active()
            runtime.set_ready(active is not None)
            if active is None:
                runtime.stop.wait(NO_MODEL_WAIT_S)
                continue
            try:
                self._step(stream, active)
            except AbortedError as error:
                log.warning("batch will be scored again", error=str(error))
                self._pending = None
        self.finish(stream)

    def finish(self, stream: ExactlyOnceStream) -> None:
        """Commit what is scored; an abort leaves it to whoever reads the partition next."""
        try:
            self._commit(stream)
        except AbortedError as error:
            log.warning("the last batch was not committed and will be scored again", error=str(error))
        self._pending = None

    def drop(self, partitions: Partitions) -> None:
        """Forget what is scored for partitions that are no longer ours: their next owner scores it."""
        del partitions
        self._pending = None

    def _step(self, stream: ExactlyOnceStream, active: Active) -> None:
        batch = stream.poll(self._settings.max_batch, self._settings.poll_timeout_s)
        if batch:
            self._score(batch, active)
        if self._pending and (not batch or self._due(len(batch))):
            self._commit(stream)

    def _due(self, size: int) -> bool:
        pending = self._pending
        idle = size < self._settings.max_batch
        return idle or (pending is not None and time.monotonic() - pending.opened >= self._settings.commit_interval_s)

    def _score(self, batch: list[Message], active: Active) -> None:
        pending = self._pending or Pending(active, time.monotonic())
        with telemetry.SCORE_SECONDS.time():
            scored = score([message.value() for message in batch], self._codec, active.model)
        pending.predictions += self._encoder.encode(
            batch, scored.decoded, scored.predictions, version=active.version, scored_at=time.time_ns() // 1_000_000
        )
        for reject in scored.rejects:
            message = batch[reject.position]
            pending.dead_letters.append(dead_letter(message, reject, topic=self._topics.dead_letters, task=self._task))
            pending.reasons.append(reject.reason.value)
        self._pending = pending

    def _commit(self, stream: ExactlyOnceStream) -> None:
        pending = self._pending
        if pending is None:
            return
        stream.commit([Batch(self._topics.predictions, pending.predictions), *pending.dead_letters])
        self._pending = None
        telemetry.RECORDS_SCORED.labels(pending.active.version).inc(len(pending.predictions))
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
    stream = ExactlyOnce(
        settings,
        group=settings.topic_prefix + settings.scorer.group,
        instance=instance,
        topics=[topics.records],
        on_revoked=lambda _: scorer.finish(stream),
        on_lost=scorer.drop,
    )
    try:
        scorer.serve(stream, runtime)
    finally:
        stream.close()


def _hurry(cache: ModelCache, stop: threading.Event, wake: threading.Event) -> None:
    for _ in cache.hints(stop):
        wake.set()
