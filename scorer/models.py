"""Which model is in use: a snapshot that the loop takes between transactions, kept fresh by a thread of its own.

Redis first (a cache, polled; a published hint only hurries the poll), the registry when Redis is empty, away or holds
damaged bytes. A candidate is checked by sha256, loaded and tried on a row before it replaces the model in use; one that
fails is refused with its reason, and scoring goes on with what it has.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import structlog

from longshore import telemetry
from longshore.columns import Columns
from longshore.errors import FormatError, IntegrityError, LongshoreError
from longshore.schema import Schema
from longshore.served_model import ServedModel

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Active:
    """The model in use and where it came from."""

    version: str
    generation: int
    model: ServedModel


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pointer to the champion: enough to fetch it and to know whether it is news."""

    version: str
    generation: int
    sha256: str


class ModelPlace(Protocol):
    """Somewhere the champion may be found: the cache or the registry."""

    name: str

    def champion(self) -> Candidate | None:
        """The present champion, None where there is none."""
        ...

    def fetch(self, candidate: Candidate) -> bytes | None:
        """The model's bytes, sha256 checked; None where they are not there."""
        ...


class Models:
    """Holds the active model; `refresh` looks at the places in order and swaps when there is a newer generation."""

    def __init__(self, schema: Schema, places: list[ModelPlace]) -> None:
        self._schema = schema
        self._places = places
        self._active: Active | None = None
        self._refused: dict[int, str] = {}
        self._silent: set[str] = set()

    def active(self) -> Active | None:
        """One snapshot: use it for a whole transaction."""
        return self._active

    def refresh(self) -> bool:
        """Look for a newer champion and take it into use; True if the model changed."""
        for place in self._places:
            candidate = self._champion_of(place)
            if candidate is None:
                continue
            if self._active is not None and candidate.generation <= self._active.generation:
                return False
            return self._take(candidate)
        return False

    def follow(self, stop: threading.Event, wake: threading.Event, interval_s: float) -> None:
        """Refresh every `interval_s`, or at once on `wake`, until `stop`: a thread's body."""
        while not stop.is_set():
            self.refresh()
            wake.wait(interval_s)
            wake.clear()

    def _take(self, candidate: Candidate) -> bool:
        reasons = []
        for place in self._places:
            try:
                data = place.fetch(candidate)
                if data is None:
                    reasons.append(f"not in {place.name}")
                    continue
                self._use(candidate, self._tried(data, candidate))
            except LongshoreError as error:
                reasons.append(f"{place.name}: {error}")
            else:
                return True
        self._refuse(candidate, "; ".join(reasons))
        return False

    def _champion_of(self, place: ModelPlace) -> Candidate | None:
        try:
            candidate = place.champion()
        except LongshoreError as error:
            telemetry.CACHE_ERRORS.inc()
            if place.name not in self._silent:
                log.warning("model place does not answer; scoring goes on", place=place.name, error=str(error))
            self._silent.add(place.name)
            return None
        if place.name in self._silent:
            log.info("model place answers again", place=place.name)
            self._silent.discard(place.name)
        return candidate

    def _tried(self, data: bytes, candidate: Candidate) -> ServedModel:
        """Load the bytes and score one row of nothing but missing values: a model that cannot is refused here."""
        found = hashlib.sha256(data).hexdigest()
        if found != candidate.sha256:
            raise IntegrityError(f"model {candidate.version} has sha256 {found[:12]}…, not {candidate.sha256[:12]}…")
        model = ServedModel.load(data)
        if not np.isfinite(model.predict(_empty_row(self._schema))).all():
            raise FormatError(f"model {candidate.version} does not answer a finite number", mend="roll back")
        return model

    def _use(self, candidate: Candidate, model: ServedModel) -> None:
        if self._active is not None:
            telemetry.MODEL_GENERATION.remove(self._active.version)
        self._active = Active(candidate.version, candidate.generation, model)
        telemetry.MODEL_GENERATION.labels(candidate.version).set(candidate.generation)
        telemetry.MODEL_SWAPS.labels("used").inc()
        log.info("model in use", version=candidate.version, generation=candidate.generation, sha256=candidate.sha256)

    def _refuse(self, candidate: Candidate, reason: str) -> None:
        if self._refused.get(candidate.generation) != reason:
            log.error("model refused", version=candidate.version, generation=candidate.generation, reason=reason)
            telemetry.MODEL_SWAPS.labels("refused").inc()
        self._refused = {candidate.generation: reason}


def _empty_row(schema: Schema) -> Columns:
    return Columns(
        schema=schema,
        record_ids=["warm-up"],
        keys=["warm-up"],
        event_times=np.zeros(1, dtype=np.int64),
        numeric=np.full((1, len(schema.numeric)), np.nan),
        nominal=[[None] for _ in schema.nominal],
    )
