"""Copies the registry's truth to Redis and to `model.events`, until they agree: after a crash, a flush, or nothing.

Run by whoever moves an alias and again by every trainer's and scorer's housekeeping, so one process's death delays and
never loses. Decides what differs and in which order it is mended; how a copy is made safely against concurrent
projectors is `redis_store`'s (a growing generation) and `kafka.model_events`' work (an exclusive append).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from longshore import telemetry
from longshore.config import Settings
from longshore.errors import IntegrityError, LongshoreError
from longshore.records import ModelEvent
from longshore.registry import MODEL_FILE, AliasRecord, Registry

FULL_CHECK_EVERY = 5
"""Ticks between two checks of the cached bytes themselves; their length is looked at every time. And of all events."""

INTERVAL_S = 2.0
"""Between two ticks of a service's housekeeping: a crash anywhere is mended within a few of them."""

log = structlog.get_logger()


class Pointer(Protocol):
    """What a cache says is active."""

    @property
    def model(self) -> str:
        """The model's name; empty if whoever wrote it left it out."""

    @property
    def version(self) -> str:
        """The active version."""

    @property
    def generation(self) -> int:
        """The generation that made it active."""

    @property
    def manifest(self) -> str:
        """The sha256 of the manifest's bytes; empty if whoever wrote the pointer left it out."""


class Cache(Protocol):
    """Where scorers find the active model (`longshore.redis_store.ModelCache`)."""

    def active(self) -> Pointer | None:
        """Which version is active; None where nothing readable says so."""

    def publish(self, record: AliasRecord, sha256: str, blob: bytes, manifest: bytes) -> bool:
        """Make a version active unless a generation as high is, complete; whether it did."""

    def has_blob(self, sha256: str, size: int) -> bool:
        """Whether so many bytes are there."""

    def blob(self, sha256: str) -> bytes | None:
        """The bytes; IntegrityError where they are damaged."""

    def restore_blob(self, sha256: str, blob: bytes) -> None:
        """Put the active version's bytes, or its manifest's, back."""


class EventLog(Protocol):
    """Where model events go (`longshore.kafka.model_events.ModelEventLog`)."""

    def append_missing(self, events: Sequence[ModelEvent]) -> int:
        """Append what is not there; how many that were."""


class Projector:
    """Idempotent copying; `cache` or `event_log` None: there is no such place. Safe to call from several threads."""

    def __init__(self, settings: Settings, registry: Registry, cache: Cache | None, event_log: EventLog | None) -> None:
        self._settings = settings
        self._registry = registry
        self._cache = cache
        self._event_log = event_log
        self._logged: tuple[tuple[int, ...], int] = ((), 0)
        self._told: list[ModelEvent] = []
        self._ticks = 0
        self._troubles: dict[str, str] = {}
        self._lock = threading.Lock()

    def tick(self) -> list[str]:
        """Mend what differs; what could not be mended yet, a line per place (empty: all agree).

        Costs one listing of the registry, a GET and two STRLEN where nothing differs. An outage is logged once.
        """
        with self._lock:
            places: dict[str, Callable[[], None]] = {"redis": self._to_cache, "model.events": self._to_log}
            for place, copy in places.items():
                self._attempt(place, copy)
            self._ticks += 1
            telemetry.PROJECTIONS_PENDING.set(len(self._troubles))
            return list(self._troubles.values())

    def tell(self, event: ModelEvent) -> None:
        """Append an event that could not be noted in the registry (a read-only one), once, at a later tick."""
        self._told.append(event)

    def follow(self, stop: threading.Event) -> None:
        """Tick every `INTERVAL_S` until `stop`: the body of a service's housekeeping thread."""
        while not stop.is_set():
            try:
                self.tick()
            except Exception:
                # A bug, or a stranger's bytes nobody thought of: the next tick is worth a try, a dead thread none.
                log.exception("projection failed")
            stop.wait(INTERVAL_S)

    def _attempt(self, place: str, copy: Callable[[], None]) -> None:
        try:
            copy()
        except LongshoreError as error:
            if place not in self._troubles:
                log.warning("not projected yet", place=place, error=str(error))
            self._troubles[place] = f"{place}: {error}"
        else:
            if self._troubles.pop(place, None):
                log.info("projected again", place=place)

    def _to_cache(self) -> None:
        champion = self._registry.alias()
        if self._cache is None or champion is None:
            return
        held = self._cache.active()
        ours = held is None or held.model in ("", champion.model)
        same = held is not None and (held.version, held.generation) == (champion.version, champion.generation)
        if held is None or (ours and (held.generation < champion.generation or (same and not held.manifest))):
            self._publish(self._cache, champion)
        elif not ours or not same:
            raise LongshoreError(
                f"Redis holds {held.version}, generation {held.generation} of model {held.model}, the registry at "
                f"{self._settings.registry()} {champion.version}, generation {champion.generation} of {champion.model}",
                mend="give each registry its own Redis database, or delete longshore:model:active",
            )
        else:
            self._keep_blobs(self._cache, champion)

    def _publish(self, cache: Cache, champion: AliasRecord) -> None:
        sha256, _ = self._described(champion)
        blob = self._registry.read(champion.version, MODEL_FILE)
        if cache.publish(champion, sha256, blob, self._registry.document(champion.version)):
            log.info("model published", version=champion.version, generation=champion.generation)

    def _keep_blobs(self, cache: Cache, champion: AliasRecord) -> None:
        """Put the bytes and the manifest back if they were evicted or damaged."""
        sha256, size = self._described(champion)
        if not cache.has_blob(sha256, size) or not self._is_intact(cache, sha256):
            cache.restore_blob(sha256, self._registry.read(champion.version, MODEL_FILE))
            log.info("model restored in the cache", version=champion.version)
        document = self._registry.document(champion.version)
        described = hashlib.sha256(document).hexdigest()
        if not cache.has_blob(described, len(document)) or not self._is_intact(cache, described):
            cache.restore_blob(described, document)
            log.info("manifest restored in the cache", version=champion.version)

    def _is_intact(self, cache: Cache, sha256: str) -> bool:
        if self._ticks % FULL_CHECK_EVERY:
            return True
        try:
            return cache.blob(sha256) is not None
        except IntegrityError:
            return False

    def _described(self, champion: AliasRecord) -> tuple[str, int]:
        found = self._registry.manifest(champion.version)["files"].get(MODEL_FILE)
        if found is None:
            raise LongshoreError(
                f"{champion.version} has no {MODEL_FILE}", mend="roll back with `longshore model rollback`"
            )
        return found["sha256"], found["bytes"]

    def _to_log(self) -> None:
        """What happened is made out anew only where something did: a long history costs a listing."""
        if self._event_log is None:
            return
        stamp = (*self._registry.stamp(), len(self._told))
        if stamp == self._logged[0] and self._ticks % FULL_CHECK_EVERY:
            return
        events = [*self._registry.events(), *self._told]
        if (stamp, len(events)) == self._logged:
            return
        appended = self._event_log.append_missing(events)
        self._logged = (stamp, len(events))
        if appended:
            log.info("model events appended", events=appended)
