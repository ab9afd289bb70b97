"""Versions and aliases of one model: what exists, which is champion, and every move there ever was.

Decides names, numbers and contents; how a creation is exclusive and durable is `local_folder`'s work, who may train
`claims`', the order of events `timeline`'s. Everything it reads but claims is immutable, so it is read once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog

from longshore.errors import ConfigurationError, ConflictError, FormatError, IntegrityError, NewerFormatError
from longshore.records import ModelEvent, ModelEventKind
from longshore.registry import claims, timeline
from longshore.registry.claims import Claim, Clock
from longshore.registry.formats import (
    AliasRecord,
    Rejection,
    check_name,
    decode,
    decode_manifest,
    encode,
    encode_manifest,
    numbers,
    version_number,
)
from longshore.registry.notes import Notes
from longshore.registry.store import Store, open_store
from longshore.signing import Signer

MODEL_FILE = "model.onnx"
MANIFEST = "manifest.json"
CHAMPION = "champion"
PREVIOUS = "previous"

log = structlog.get_logger()

_MOVES = (ModelEventKind.PROMOTED, ModelEventKind.ROLLED_BACK)


class Registry:
    """One model's versions, aliases, claims and rejections; any number of processes may use it at once.

    Every method may raise UnavailableError (the folder cannot be read or written) and FormatError (a newer or damaged
    file). `notes` holds what was noted beside versions.
    """

    def __init__(self, store: Store, model: str, *, clock: Clock = time.time) -> None:
        self.model = model
        self._store = store
        self._clock = clock
        self._manifests: dict[str, dict[str, Any]] = {}
        self._moves: dict[tuple[str, int], AliasRecord] = {}
        self._unreadable: set[str] = set()
        self.notes = Notes(store)

    @classmethod
    def open(cls, url: str, model: str, *, clock: Clock = time.time) -> Registry:
        """The registry of `model` at a path or `file://` URL; an empty one needs no preparation.

        Raises:
            ConfigurationError: the URL's scheme cannot be written, or the model's name cannot be a folder's.

        """
        check_name(model, "model")
        open_store(url)
        return cls(open_store(f"{url.rstrip('/')}/{model}"), model, clock=clock)

    def register(self, files: Mapping[str, bytes], manifest: Mapping[str, Any], *, signer: Signer | None = None) -> str:
        """Store a new version and return its name: `v1`, `v2`, …

        `version`, `created` (ISO, UTC), `format` and `files` ({name: {sha256, bytes}}) are added to the manifest, and
        `signature` where there is a signer.

        Raises:
            ConflictError: a version of the manifest's `trigger_id` exists; `find_trigger` names it.
            ConfigurationError: a file's name cannot be used.

        """
        names = {check_name(name, "file name"): data for name, data in files.items() if name != MANIFEST}
        if len(names) != len(files):
            raise ConfigurationError(f"a version's file cannot be named {MANIFEST}", mend="pass it as the manifest")
        trigger_id = manifest.get("trigger_id") or ""
        while True:
            number = self._next_number()
            if found := self.find_trigger(trigger_id):
                raise ConflictError(f"{found} is registered for {trigger_id} already", mend="go on with that version")
            version = f"v{number}"
            created = datetime.fromtimestamp(self._clock(), UTC)
            document = encode_manifest({"model": self.model, **manifest}, version, created, names, signer)
            try:
                self._store.create_folder(f"versions/{version}", {**names, MANIFEST: document})
            except ConflictError:
                continue  # a concurrent registrar was first: what it registered may be this very trigger's version
            return version

    def versions(self) -> list[str]:
        """Every complete version, oldest first."""
        known, read = self._manifests, self._store.read
        return [v for v in self._numbered() if v in known or read(f"versions/{v}/{MANIFEST}") is not None]

    def manifest(self, version: str) -> dict[str, Any]:
        """A version's manifest (a copy).

        Raises:
            ConfigurationError: there is no such version; the message lists those there are.

        """
        found = self._find_manifest(version) if version_number(version) else None
        if found is None:
            raise self._unknown(version)
        return dict(found)

    def read(self, version: str, name: str) -> bytes:
        """A file's bytes, checked against the manifest.

        Raises:
            IntegrityError: the file is missing or not what its sha256 says.

        """
        expected = self._described(version, name)
        data = self._store.read(f"versions/{version}/{name}")
        if data is None or hashlib.sha256(data).hexdigest() != expected["sha256"]:
            state = "missing" if data is None else "not what its sha256 says"
            raise IntegrityError(
                f"{self.path(version, name)} is {state}",
                mend="restore it from a copy, or roll back with `longshore model rollback`",
            )
        return data

    def path(self, version: str, name: str) -> Path:
        """The absolute path of a version's file (unchecked; `read` checks)."""
        self._described(version, name)
        return self._store.path(f"versions/{version}/{name}")

    def verify(self, version: str) -> list[str]:
        """What is wrong with a version's files, read afresh; empty where nothing is."""
        try:
            found = self._manifests[version] = decode_manifest(self.document(version), f"versions/{version}/{MANIFEST}")
        except FormatError as error:
            return [str(error)]
        problems = []
        for name in found["files"]:
            try:
                self.read(version, name)
            except IntegrityError as error:
                problems.append(error.what)
        return problems

    def alias(self, name: str = CHAMPION) -> AliasRecord | None:
        """Where an alias points; `previous` is derived from the champion's history."""
        if name == PREVIOUS:
            found = timeline.previous_champion(self.history())
            return None if found is None else msgspec.structs.replace(found, alias=PREVIOUS)
        highest = self._generation(name)
        return self.move(name, highest) if highest else None

    def history(self, name: str = CHAMPION) -> list[AliasRecord]:
        """Every move of an alias, oldest first."""
        generations = numbers(self._store.names(f"aliases/{check_name(name, 'alias')}"))
        return [self.move(name, generation) for generation in generations]

    def move(self, name: str, generation: int) -> AliasRecord:
        """One move of an alias; FormatError where there was none."""
        if (name, generation) not in self._moves:
            key = f"aliases/{name}/{generation}.json"
            self._moves[name, generation] = decode(self._store.read(key) or b"", AliasRecord, key)
        return self._moves[name, generation]

    def move_alias(
        self,
        name: str,
        version: str,
        *,
        expected_generation: int,
        trigger_id: str,
        actor: str,
        reason: str,
        kind: str = ModelEventKind.PROMOTED,
    ) -> AliasRecord:
        """Point an alias at a version, by creating generation `expected_generation + 1` (0: it never pointed anywhere).

        Raises:
            ConflictError: the alias is at another generation than expected.
            ConfigurationError: no such version, or the alias is `previous`.

        """
        if kind not in _MOVES or name == PREVIOUS:
            raise ConfigurationError(
                f"alias {name!r} cannot be moved as {kind!r}", mend="promote or roll back champion"
            )
        self.manifest(version)
        record = AliasRecord(
            alias=check_name(name, "alias"),
            model=self.model,
            version=version,
            generation=expected_generation + 1,
            kind=ModelEventKind(kind),
            trigger_id=trigger_id,
            actor=actor,
            reason=reason,
            time=self._now_ms(),
        )
        found = self._generation(name)
        if found == expected_generation:
            try:
                self._store.create(f"aliases/{name}/{record.generation}.json", encode(record))
            except ConflictError:
                found = self._generation(name)
            else:
                return record
        raise ConflictError(
            f"{name} is at generation {found}, not {expected_generation}", mend="see `longshore model history`"
        )

    def record_rejection(self, version: str, *, trigger_id: str, actor: str, reason: str) -> None:
        """Note that a version did not pass; a second note for the same trigger changes nothing."""
        self.manifest(version)
        self.notes.reject(
            Rejection(version=version, trigger_id=trigger_id, actor=actor, reason=reason, time=self._now_ms())
        )

    def document(self, version: str) -> bytes:
        """A version's manifest as it lies there, read afresh: what its signature is checked on."""
        data = self._store.read(f"versions/{version}/{MANIFEST}") if version_number(version) else None
        if data is None:
            raise self._unknown(version)
        self._manifests.pop(version, None)  # a damaged one may have been restored since
        return data

    def claim(self, trigger_id: str, *, owner: str, ttl_s: float) -> Claim | None:
        """Take a request on; None where somebody alive holds it or it is finished (see `claims`)."""
        return claims.take(self._store, self._clock, trigger_id, owner, ttl_s)

    def outcome(self, trigger_id: str) -> dict[str, Any] | None:
        """How a request ended; None while it has not."""
        return claims.outcome(self._store, trigger_id)

    def find_trigger(self, trigger_id: str) -> str | None:
        """The version registered for a request: a resumed run goes on from there."""
        matches = (version for version in self.versions() if self._readable(version).get("trigger_id") == trigger_id)
        return next(matches, None) if trigger_id else None

    def events(self) -> list[ModelEvent]:
        """Everything that happened, each once, in order of time: what `model.events` must hold."""
        manifests = {version: found for version in self.versions() if (found := self._readable(version))}
        notes = self.notes
        return timeline.events(self.model, manifests, notes.rejections(), self.history(), notes.refusals())

    def _numbered(self) -> list[str]:
        """Every folder that takes a version's number, complete or not."""
        found = [name for name in self._store.names("versions") if version_number(name)]
        return sorted(found, key=lambda name: version_number(name) or 0)

    def _readable(self, version: str) -> dict[str, Any]:
        """The manifest; empty where it is damaged: `verify` tells of that, and the other versions' work goes on."""
        try:
            return self._find_manifest(version) or {}
        except NewerFormatError:
            raise
        except FormatError as error:
            if version not in self._unreadable:
                self._unreadable.add(version)
                log.error("a version is passed over", model=self.model, version=version, error=str(error))
            return {}

    def _next_number(self) -> int:
        return max((version_number(name) or 0 for name in self._numbered()), default=0) + 1

    def _find_manifest(self, version: str) -> dict[str, Any] | None:
        key = f"versions/{version}/{MANIFEST}"
        if version not in self._manifests and (data := self._store.read(key)) is not None:
            self._manifests[version] = decode_manifest(data, key)
        return self._manifests.get(version)

    def _described(self, version: str, name: str) -> dict[str, Any]:
        files: dict[str, dict[str, Any]] = self.manifest(version)["files"]
        if name not in files:
            raise ConfigurationError(f"{version} has no file {name!r}", mend=f"it has {', '.join(sorted(files))}")
        return files[name]

    def _generation(self, name: str) -> int:
        return max(numbers(self._store.names(f"aliases/{check_name(name, 'alias')}")), default=0)

    def _unknown(self, version: str) -> ConfigurationError:
        there = self.versions()
        mend = f"there are {', '.join(there)}" if there else "the registry is empty: run `longshore train`"
        return ConfigurationError(f"model {self.model} has no version {version!r}", mend=mend)

    def _now_ms(self) -> int:
        return round(self._clock() * 1_000)
