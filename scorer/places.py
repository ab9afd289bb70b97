"""Where a scorer finds models, Redis and the registry, each as a `ModelPlace`; and where it tells what it refused."""

from __future__ import annotations

import hashlib
import time
from collections import deque

import structlog

from longshore import manifest
from longshore.config import Settings
from longshore.errors import ConfigurationError, FormatError, LongshoreError, UnavailableError
from longshore.key_files import Trust
from longshore.manifest import FILES, Stated
from longshore.projector import Projector
from longshore.redis_store import ModelCache
from longshore.registry import Registry, timeline
from longshore.registry.formats import RefusalRecord
from longshore.schema import Schema
from longshore.scorer.checks import Candidate, Refusal
from longshore.scorer.models import ModelPlace, Models

NOTES_KEPT, NOTES_S = 100, 3_600.0
"""How many refusals one process notes in how long: whoever can write to Redis could otherwise fill the registry."""
PATIENCE_S = 0.4
"""For one answer of Redis, where the registry can be asked instead: a silent Redis costs the follower 1.6 s, rarely."""

log = structlog.get_logger()


def open_models(
    settings: Settings, schema: Schema, registry: Registry, *, instance: str, projector: Projector | None = None
) -> Models:
    """The models of a process that serves: from Redis and the registry, signed by whom the settings trust.

    Without a projector, a refusal that cannot be noted in the registry is told in the log and the metrics alone.

    Raises:
        ConfigurationError: a trusted key that was named cannot be read.

    """
    source = RegistryPlace(registry)
    places: list[ModelPlace] = [source]
    if settings.redis_url is None:
        log.warning("redis_url is not set: models come from the registry alone")
    else:
        places.insert(0, CachePlace(ModelCache(settings.redis_url.get_secret_value(), patience_s=PATIENCE_S)))
    return Models(
        schema,
        places,
        model=settings.model,
        format=settings.scorer.format,
        interval=settings.scorer.interval,
        trusted=Trust(settings).keyring,
        objection=source.objection,
        on_refusal=RefusalNotes(registry, instance, projector).note,
    )


class CachePlace:
    """The model cached in Redis."""

    name = "redis"

    def __init__(self, cache: ModelCache) -> None:
        self._cache = cache

    def champion(self) -> Candidate | None:
        """What the pointer names; None when Redis is empty."""
        found = self._cache.active()
        return None if found is None else Candidate(found.version, found.generation, found.sha256, found.manifest)

    def manifest(self, candidate: Candidate) -> Stated | None:
        """The blob that the pointer names; None where an older program left it out, or it was evicted."""
        data = self._cache.blob(candidate.manifest) if candidate.manifest else None
        return None if data is None else manifest.read(data, f"the manifest of {candidate.version}")

    def fetch(self, candidate: Candidate) -> bytes | None:
        """The blob under its sha256; only what is served by default is cached."""
        return self._cache.blob(candidate.sha256) if candidate.file == FILES["onnx"] else None


class RegistryPlace:
    """The registry: the truth, and the way to start cold."""

    name = "registry"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._last: tuple[int, Candidate] | None = None

    def champion(self) -> Candidate | None:
        """The alias `champion`; None before the first promotion."""
        alias = self._registry.alias()
        if alias is None:
            return None
        if self._last is None or self._last[0] != alias.generation:
            found = self._described(alias.version, alias.generation)
            self._last = (alias.generation, found) if found.manifest else None
            return found
        return self._last[1]

    def manifest(self, candidate: Candidate) -> Stated | None:
        """The version's manifest as it lies there now, with the signatures beside it."""
        try:
            data = self._registry.document(candidate.version)
        except ConfigurationError:
            return None
        signatures = tuple(self._registry.notes.signatures(candidate.version))
        return manifest.read(data, f"the manifest of {candidate.version}", signatures)

    def fetch(self, candidate: Candidate) -> bytes | None:
        """The version's file."""
        try:
            return self._registry.read(candidate.version, candidate.file)
        except ConfigurationError:
            return None

    def objection(self, candidate: Candidate) -> str | None:
        """What speaks against a pointer's being a move that was made; None: nothing.

        Whoever can write to Redis could otherwise bring back any version that was ever signed.

        Raises:
            UnavailableError: the registry cannot be asked now, or has never had a champion.

        """
        try:
            alias = self._registry.alias()
            if alias is None:
                raise UnavailableError("the registry has no champion yet")
            if candidate.generation > alias.generation:
                return f"the registry knows no generation {candidate.generation}, only up to {alias.generation}"
            made = self._registry.move("champion", candidate.generation)
        except FormatError as error:
            raise UnavailableError(f"generation {candidate.generation} cannot be looked up: {error}") from error
        if made.version == candidate.version:
            return None
        return f"generation {candidate.generation} made {made.version} champion in the registry"

    def _described(self, version: str, generation: int) -> Candidate:
        """The candidate as Redis would name it; without checksums where the manifest cannot be read (yet)."""
        try:
            data = self._registry.document(version)
            files = manifest.read(data, version).manifest.files
        except (FormatError, ConfigurationError):
            return Candidate(version, generation, "")
        onnx = files.get(FILES["onnx"])
        return Candidate(version, generation, onnx.sha256 if onnx else "", hashlib.sha256(data).hexdigest())


class RefusalNotes:
    """Notes refusals in the registry, from where they get to `model.events`; directly there if it cannot be written."""

    def __init__(self, registry: Registry, instance: str, projector: Projector | None) -> None:
        self._registry = registry
        self._instance = instance
        self._projector = projector
        self._noted: deque[float] = deque(maxlen=NOTES_KEPT)

    def note(self, refusal: Refusal) -> None:
        """Note it, once for each generation and instance, and not without end; never an error."""
        now = time.monotonic()
        if len(self._noted) == NOTES_KEPT and now - self._noted[0] < NOTES_S:
            log.warning("too many refusals: this one is not noted in the registry", generation=refusal.generation)
            return
        self._noted.append(now)
        record = RefusalRecord(
            version=refusal.version,
            generation=refusal.generation,
            instance=self._instance,
            reason=f"{refusal.reason.value}: {refusal.text}",
            time=time.time_ns() // 1_000_000,
        )
        try:
            self._registry.notes.refuse(record)
        except LongshoreError as error:
            log.warning("the refusal could not be noted in the registry", error=str(error))
            if self._projector is not None:
                self._projector.tell(timeline.refused(self._registry.model, record))
