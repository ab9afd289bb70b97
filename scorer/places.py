"""Where the scorer finds models: the Redis cache and the registry, each as a `ModelPlace`."""

from __future__ import annotations

from longshore.redis_store import ModelCache
from longshore.registry import Registry
from longshore.scorer.models import Candidate

MODEL_FILE = "model.onnx"


class CachePlace:
    """The model cached in Redis."""

    name = "redis"

    def __init__(self, cache: ModelCache) -> None:
        self._cache = cache

    def champion(self) -> Candidate | None:
        """What the pointer names; None when Redis is empty."""
        pointer = self._cache.active()
        return None if pointer is None else Candidate(pointer.version, pointer.generation, pointer.sha256)

    def fetch(self, candidate: Candidate) -> bytes | None:
        """The blob under its sha256."""
        return self._cache.blob(candidate.sha256)


class RegistryPlace:
    """The registry: the truth, and the way to start cold."""

    name = "registry"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def champion(self) -> Candidate | None:
        """The alias `champion`; None before the first promotion."""
        alias = self._registry.alias("champion")
        if alias is None:
            return None
        files = self._registry.manifest(alias.version)["files"]
        return Candidate(alias.version, alias.generation, files[MODEL_FILE]["sha256"])

    def fetch(self, candidate: Candidate) -> bytes | None:
        """The version's model file."""
        if candidate.version not in self._registry.versions():
            return None
        return self._registry.read(candidate.version, MODEL_FILE)
