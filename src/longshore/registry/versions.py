"""Versions of one model: registered once, never changed, read and checked by sha256; a collected one is its manifest.

Decides their numbers and contents; how a creation is exclusive and durable is the store's work, which version is
champion `catalog`'s, which files may go `collecting`'s. Everything it reads but notes is immutable, so it is read once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from longshore.errors import ConfigurationError, ConflictError, FormatError, IntegrityError, NewerFormatError
from longshore.registry.claims import Clock
from longshore.registry.formats import (
    Collected,
    Rejection,
    check_name,
    decode_manifest,
    encode_manifest,
    version_number,
)
from longshore.registry.notes import Notes
from longshore.registry.store import Store
from longshore.signing import Signer

MANIFEST = "manifest.json"

log = structlog.get_logger()


class Versions:
    """One model's versions in a `store`, and what is noted beside them (`notes`): all of `Registry` but the aliases."""

    def __init__(self, store: Store, model: str, *, clock: Clock = time.time) -> None:
        self.model = model
        self.notes = Notes(store)
        self.store = store
        self._clock = clock
        self._manifests: dict[str, dict[str, Any]] = {}
        self._unreadable: set[str] = set()

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
                self.store.create_folder(f"versions/{version}", {**names, MANIFEST: document})
            except ConflictError:
                continue  # a concurrent registrar was first: what it registered may be this very trigger's version
            return version

    def versions(self) -> list[str]:
        """Every version that can be served, oldest first: complete, and not collected."""
        collected = self.notes.collected()
        return [version for version in self.registered() if version not in collected]

    def registered(self) -> list[str]:
        """Every version there ever was, oldest first, the collected ones among them."""
        known, read = self._manifests, self.store.read
        return [v for v in self.numbered() if v in known or read(f"versions/{v}/{MANIFEST}") is not None]

    def numbered(self) -> list[str]:
        """Every folder that takes a version's number, complete or not."""
        found = [name for name in self.store.names("versions") if version_number(name)]
        return sorted(found, key=lambda name: version_number(name) or 0)

    def manifest(self, version: str) -> dict[str, Any]:
        """A version's manifest (a copy), also a collected one's.

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
        data = self.store.read(f"versions/{version}/{name}")
        if data is None or hashlib.sha256(data).hexdigest() != expected["sha256"]:
            state = "missing" if data is None else "not what its sha256 says"
            raise IntegrityError(
                f"{self.address(version, name)} is {state}",
                mend="restore it from a copy, or roll back with `longshore model rollback`",
            )
        return data

    def address(self, version: str, name: str) -> str:
        """Where a version's file lies, an absolute path or a URL (unchecked; `read` checks)."""
        self._described(version, name)
        return self.store.address(f"versions/{version}/{name}")

    def path(self, version: str, name: str) -> Path:
        """The absolute path of a version's file in a local registry."""
        return Path(self.address(version, name))

    def verify(self, version: str) -> list[str]:
        """What is wrong with a version's files, read afresh; empty where nothing is."""
        try:
            found = self._manifests[version] = decode_manifest(self.document(version), f"versions/{version}/{MANIFEST}")
        except FormatError as error:
            return [str(error)]
        if note := self.notes.collected().get(version):
            return [f"{version} was collected by {note.actor} ({note.reason}): only its manifest is left"]
        problems = []
        for name in found["files"]:
            try:
                self.read(version, name)
            except IntegrityError as error:
                problems.append(error.what)
        return problems

    def record_rejection(self, version: str, *, trigger_id: str, actor: str, reason: str) -> None:
        """Note that a version did not pass; a second note for the same trigger changes nothing."""
        self.manifest(version)
        self.notes.reject(
            Rejection(version=version, trigger_id=trigger_id, actor=actor, reason=reason, time=self._now_ms())
        )

    def mark_collected(self, version: str, *, actor: str, reason: str) -> None:
        """Note that a version's files are going: it is not served from now on."""
        self.manifest(version)
        self.notes.collect(Collected(version=version, actor=actor, reason=reason, time=self._now_ms()))

    def document(self, version: str) -> bytes:
        """A version's manifest as it lies there, read afresh: what its signature is checked on."""
        data = self.store.read(f"versions/{version}/{MANIFEST}") if version_number(version) else None
        if data is None:
            raise self._unknown(version)
        self._manifests.pop(version, None)  # a damaged one may have been restored since
        return data

    def find_trigger(self, trigger_id: str) -> str | None:
        """The version registered for a request: a resumed run goes on from there."""
        matches = (version for version in self.registered() if self.readable(version).get("trigger_id") == trigger_id)
        return next(matches, None) if trigger_id else None

    def readable(self, version: str) -> dict[str, Any]:
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
        return max((version_number(name) or 0 for name in self.numbered()), default=0) + 1

    def _find_manifest(self, version: str) -> dict[str, Any] | None:
        key = f"versions/{version}/{MANIFEST}"
        found = self._manifests.get(version)
        if found is None and (data := self.store.read(key)) is not None:
            found = self._manifests[version] = decode_manifest(data, key)
        return found

    def _described(self, version: str, name: str) -> dict[str, Any]:
        files: dict[str, dict[str, Any]] = self.manifest(version)["files"]
        if name not in files:
            raise ConfigurationError(f"{version} has no file {name!r}", mend=f"it has {', '.join(sorted(files))}")
        return files[name]

    def _unknown(self, version: str) -> ConfigurationError:
        there = self.versions()
        mend = f"there are {', '.join(there)}" if there else "the registry is empty: run `longshore train`"
        return ConfigurationError(f"model {self.model} has no version {version!r}", mend=mend)

    def _now_ms(self) -> int:
        return round(self._clock() * 1_000)
