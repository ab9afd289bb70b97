"""A registry with signed versions, a cache beside it and a scorer's `Models` between them, for tests of swaps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnxruntime
import pytest
from prometheus_client import REGISTRY
from tests.unit.test_scorer import constant_model

from longshore.errors import IntegrityError, UnavailableError
from longshore.manifest import SERVING, as_columns
from longshore.redis_store import ActivePointer
from longshore.registry import Registry
from longshore.schema import Schema, districts
from longshore.scorer.checks import Refusal
from longshore.scorer.models import Models
from longshore.scorer.places import CachePlace, RegistryPlace
from longshore.signing import SIGNATURE, Keyring, Signer

ROWS = 3
STRANGER = Signer.generate()
ROW = as_columns(districts(), np.zeros((1, len(districts().numeric))), [[None] for _ in districts().nominal])


def proof(schema: Schema, answer: float) -> dict[str, Any]:
    """What a version of `constant_model(answer)` needs and answers."""
    numeric = [field.name for field in schema.numeric]
    needs = {"serving": SERVING, "target": schema.target, "numeric": numeric, "nominal": []}
    golden = {
        "numeric": [[1.0, 2.5, None]] * len(numeric),
        "nominal": [],
        "prediction": [float(np.float32(answer))] * ROWS,
        "tolerance": 1e-5,
    }
    return {"needs": needs, "golden": golden}


class MemoryCache:
    """Redis as the scorer sees it, without Redis; `away` makes it silent."""

    def __init__(self) -> None:
        self.pointer: ActivePointer | None = None
        self.blobs: dict[str, bytes] = {}
        self.away = False

    def active(self) -> ActivePointer | None:
        self._answer()
        return self.pointer

    def blob(self, sha256: str) -> bytes | None:
        self._answer()
        data = self.blobs.get(sha256)
        if data is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise IntegrityError(f"{sha256} is damaged")
        return data

    def _answer(self) -> None:
        if self.away:
            raise UnavailableError("Redis is away")


@dataclass
class World:
    """One model's registry and cache; `promote` does what a trainer and a projector do."""

    folder: Path
    signer: Signer | None = field(default_factory=Signer.generate)
    trusted: list[Signer] | None = None
    cache: MemoryCache = field(default_factory=MemoryCache)
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry = Registry.open(str(self.folder / "registry"), "default")

    def keyring(self) -> Keyring:
        keys = self.trusted if self.trusted is not None else [self.signer] if self.signer else []
        return Keyring.of([key.public() for key in keys])

    def models(self, **options: Any) -> Models:
        source = RegistryPlace(self.registry)
        return Models(
            districts(),
            [CachePlace(self.cache), source],  # type: ignore[arg-type]
            model="default",
            trusted=self.keyring,
            objection=source.objection,
            on_refusal=self.refusals.append,
            **options,
        )

    def promote(self, answer: float, files: Mapping[str, bytes] | None = None, **manifest: Any) -> str:
        """A new version that answers `answer`, made champion in both places."""
        files = files or {"model.onnx": constant_model(answer), "pipeline.joblib": b"pickled"}
        version = self.registry.register(files, proof(districts(), answer) | manifest, signer=self.signer)
        alias = self.registry.alias()
        self.registry.move_alias(
            "champion",
            version,
            expected_generation=alias.generation if alias else 0,
            trigger_id="",
            actor="test",
            reason="",
        )
        self.point(version)
        return version

    def point(self, version: str, **changed: Any) -> None:
        """Let the cache hold what the registry has of a version, and the pointer name it."""
        alias = self.registry.alias()
        assert alias is not None
        document = self.path(version, "manifest.json").read_bytes()
        data = self.path(version, "model.onnx").read_bytes()
        shas = [hashlib.sha256(each).hexdigest() for each in (data, document)]
        self.cache.blobs |= {shas[0]: data, shas[1]: document}
        fields = {"sha256": shas[0], "manifest": shas[1], "generation": alias.generation, "version": version}
        self.cache.pointer = ActivePointer(**(fields | changed))

    def path(self, version: str, name: str) -> Path:
        return self.folder / "registry" / "default" / "versions" / version / name

    def overwrite(self, version: str, name: str, data: bytes) -> None:
        """Damage a version's file in the registry."""
        path = self.path(version, name)
        path.chmod(0o644)
        path.write_bytes(data)

    def rewrite(
        self, version: str, change: Callable[[dict[str, Any]], object], *, signer: Signer | None = None
    ) -> None:
        """Change a manifest everywhere; with a signer, sign it anew."""
        document = json.loads(self.path(version, "manifest.json").read_text())
        change(document)
        if signer is not None:
            document[SIGNATURE] = signer.sign(document)
        self.overwrite(version, "manifest.json", json.dumps(document).encode())
        self.point(version)


def watch_parsers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches ONNX Runtime or the unpickler, in order."""
    seen: list[str] = []

    def spy(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, called)

    spy(onnxruntime, "InferenceSession")
    spy(joblib, "load")
    return seen


def answer(models: Models) -> float:
    """What the model in use says of one row."""
    active = models.active()
    assert active is not None
    return float(active.model.predict(ROW)[0])


def swaps(outcome: str, reason: str) -> float:
    """The counter of this process."""
    labels = {"outcome": outcome, "reason": reason}
    return REGISTRY.get_sample_value("longshore_model_swaps_total", labels) or 0.0
