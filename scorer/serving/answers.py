"""Joined requests to their answers, by the scorer's own `score`: one call of one model, each request judged by itself.

A bad row refuses its own request and no other. The whole call uses one snapshot of the model, so a request's version
is the one that answered it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from longshore import telemetry
from longshore.codec import Codec, Reason, Reject
from longshore.columns import Floats
from longshore.schema import Schema
from longshore.scorer.models import Active
from longshore.scorer.rows import explain, records, sentence
from longshore.scorer.score import score
from longshore.scorer.serving.protocol import Inference, RefusedError

SHOWN_REJECTS = 10
"""How many bad rows an error names; it counts them all."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request that waits for the model; `version` where its path named one."""

    inference: Inference
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A request's predictions and the model that made them."""

    predictions: Floats
    version: str
    generation: int


class Answers:
    """Answers jobs with the model in use."""

    def __init__(self, schema: Schema, active: Callable[[], Active | None]) -> None:
        self._schema = schema
        self._codec = Codec(schema)
        self._active = active

    def __call__(self, jobs: list[Job]) -> list[Answer | RefusedError]:
        """One answer or refusal per job, in order."""
        active = self._active()
        if active is None:
            return [RefusedError(503, "there is no model yet")] * len(jobs)
        wanted = [job for job in jobs if job.version in (None, active.version)]
        answers = iter(self._scored(wanted, active) if wanted else [])
        return [next(answers) if job.version in (None, active.version) else _other(job, active) for job in jobs]

    def _scored(self, jobs: list[Job], active: Active) -> list[Answer | RefusedError]:
        values: list[bytes | None] = []
        for job in jobs:
            values += records(self._schema, job.inference.columns, job.inference.rows)
        telemetry.SERVE_BATCH_ROWS.observe(len(values))
        with telemetry.SCORE_SECONDS.time():
            scored = score(values, self._codec, active.model)
        predictions = np.empty(len(values))
        predictions[scored.decoded.positions] = scored.predictions
        starts = [0, *accumulate(job.inference.rows for job in jobs)]
        rejects: dict[int, list[Reject]] = {}
        for reject in scored.rejects:
            rejects.setdefault(bisect_right(starts, reject.position) - 1, []).append(reject)
            telemetry.SERVE_REJECTS.labels(reject.reason.value).inc()
        telemetry.SERVE_ROWS.labels(active.version).inc(len(scored.predictions))
        return [
            _refused(rejects[i], starts[i], job)
            if i in rejects
            else Answer(predictions[starts[i] : starts[i + 1]], active.version, active.generation)
            for i, job in enumerate(jobs)
        ]


def _refused(rejects: list[Reject], start: int, job: Job) -> RefusedError:
    if any(reject.reason is Reason.MODEL_FAILED for reject in rejects):
        return RefusedError(500, "internal error: the model failed for a row; see the server's log")
    columns = job.inference.columns
    shown = [explain(reject, reject.position - start, columns) for reject in rejects[:SHOWN_REJECTS]]
    more = f" (and {len(rejects) - len(shown)} more rows)" if len(rejects) > len(shown) else ""
    return RefusedError(400, "; ".join(map(sentence, shown)) + more, rejects=shown)


def _other(job: Job, active: Active) -> RefusedError:
    return RefusedError(404, f"version {job.version} is not served; {active.version} is")
