"""Versions of training sets, named by the hash of their rows: written before anything is fitted, and kept.

A version is a folder `<first 16 digits of the hash>` with `data.parquet` and `manifest.json`, made at once or not at
all; the same rows are the same version. `runs/<trigger id>.json` says which one a run took, so that a run that is
resumed takes it again, whatever has come since. What is refused is `data_quality`'s decision, what a file looks like
`dataset_file`'s.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from longshore.config import Settings
from longshore.errors import ConfigurationError, ConflictError, FormatError, IntegrityError
from longshore.registry.formats import FORMAT, check_name, decode, encode
from longshore.registry.local_folder import LocalFolder
from longshore.schema import Schema, describe
from longshore.trainer import dataset_file
from longshore.trainer.dvc import dvc_file
from longshore.trainer.rows import LabelledRows, content_sha256

DATA, MANIFEST, RUNS = "data.parquet", "manifest.json", "runs"
ID_DIGITS = 16
_ID = re.compile(f"[0-9a-f]{{{ID_DIGITS}}}")
_KEYS = {"id", "sha256", "created", "parent", "origin", "rows", "schema", "quality", "files"}
"""What every manifest has."""


class Datasets:
    """One model's dataset versions in a folder; any number of processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._store = LocalFolder(self.folder, "datasets")

    @classmethod
    def open(cls, settings: Settings) -> Datasets:
        """Those of the settings' model."""
        return cls(settings.datasets_folder() / check_name(settings.model, "model"))

    def keep(
        self,
        rows: LabelledRows,
        history: LabelledRows | None,
        trigger_id: str,
        origin: Mapping[str, Any],
        quality: Mapping[str, Any],
    ) -> str:
        """Store what a run trains on, and that it does; the version's id. `origin` says where the rows are from.

        Raises:
            UnavailableError: the folder cannot be written.

        """
        sha256 = content_sha256(rows, history)
        found = sha256[:ID_DIGITS]
        if self._manifest(found) is None:
            times = rows.columns.event_times
            manifest = {
                "sha256": sha256,
                "trigger_id": trigger_id,
                "origin": dict(origin),
                "rows": {"fresh": len(rows), "history": len(history or ())},
                "event_time": [int(times.min()), int(times.max())] if times.any() else None,
                "schema": describe(rows.columns.schema),
                "quality": dict(quality),
            }
            self._write(found, dataset_file.written(rows, history), manifest)
        record = {"format": FORMAT, "trigger_id": trigger_id, "dataset": found, "origin": dict(origin)}
        with contextlib.suppress(ConflictError):  # resumed: it took this one before
            self._store.create(f"{RUNS}/{check_name(trigger_id, 'trigger id')}.json", encode(record))
        return found

    def ids(self) -> list[str]:
        """Every version, oldest first."""
        return [manifest["id"] for manifest in self.manifests()]

    def manifests(self) -> list[dict[str, Any]]:
        """Every version's manifest, oldest first; damaged ones are left out (`damaged`)."""
        found = [one for one, _ in self._looked_at().values()]
        return sorted((one for one in found if one is not None), key=lambda one: (one["created"], one["id"]))

    def damaged(self) -> dict[str, str]:
        """Versions whose manifest cannot be read, with the reason: they stop nobody else, and are never removed."""
        return {name: reason for name, (_, reason) in sorted(self._looked_at().items()) if reason}

    def resolve(self, prefix: str) -> str:
        """The version whose hash begins so.

        Raises:
            ConfigurationError: there is none, or more than one.

        """
        hashes: dict[str, str] = {manifest["sha256"]: manifest["id"] for manifest in self.manifests()}
        matches = [found for sha256, found in hashes.items() if prefix and sha256.startswith(prefix.lower())]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ConfigurationError(f"dataset {prefix!r} may be {', '.join(sorted(matches))}", mend="give more digits")
        for name in self.damaged():
            if prefix and name.startswith(prefix.lower()[:ID_DIGITS]):
                self.manifest(name)  # which tells what is wrong with it
        there = ", ".join(list(hashes.values())[-10:])
        mend = f"there are {there}" if there else "none was made yet: run `longshore train`"
        raise ConfigurationError(f"there is no dataset {prefix!r} in {self.folder}", mend=mend)

    def manifest(self, dataset: str) -> dict[str, Any]:
        """A version's manifest.

        Raises:
            FormatError: it is damaged, or a newer program's; IntegrityError: it is gone.

        """
        found = self._manifest(dataset)
        if found is None:
            raise IntegrityError(f"{self.path(dataset, MANIFEST)} is missing", mend="restore it from a copy")
        return found

    def read(self, dataset: str) -> bytes:
        """The Parquet file's bytes, checked against the manifest.

        Raises:
            IntegrityError: they are gone or others.

        """
        data = self._store.read(f"{dataset}/{DATA}")
        if data is None or hashlib.sha256(data).hexdigest() != self.manifest(dataset)["files"][DATA]["sha256"]:
            state = "missing" if data is None else "not what its sha256 says"
            raise IntegrityError(f"{self.path(dataset, DATA)} is {state}", mend="restore it from a copy")
        return data

    def rows(self, dataset: str, schema: Schema) -> tuple[LabelledRows, LabelledRows | None]:
        """A version's fresh rows and its history.

        Raises:
            IntegrityError: the file is gone or damaged; DataError: the version is of another schema.

        """
        described = self.manifest(dataset)["schema"]
        if described["fingerprint"] != schema.fingerprint():
            raise ConfigurationError(
                f"dataset {dataset} is of the schema {described['name']} ({described['fingerprint']}), "
                f"the settings name {schema.name} ({schema.fingerprint()})",
                mend="give the schema it was made with: schema_file",
            )
        rows, history = dataset_file.read(self.read(dataset), schema)
        return rows, history if len(history) else None

    def run(self, trigger_id: str) -> dict[str, Any] | None:
        """What an earlier start of a run took: {dataset, origin}; None where it took nothing yet, or it is gone."""
        key = f"{RUNS}/{check_name(trigger_id, 'trigger id')}.json"
        data = self._store.read(key)
        found = None if data is None else decode(data, dict[str, Any], key)
        return found if found and self._manifest(found["dataset"]) else None

    def verify(self, dataset: str) -> list[str]:
        """What is wrong with a version, read and hashed afresh; empty where nothing is."""
        try:
            manifest = self.manifest(dataset)
            rows, history = dataset_file.read(self.read(dataset), dataset_file.schema_of(manifest["schema"]))
            sha256 = content_sha256(rows, history)
        except (IntegrityError, FormatError) as error:
            return [str(error)]
        if sha256 != manifest["sha256"] or not sha256.startswith(dataset):
            return [f"{self.path(dataset, DATA)} holds the rows {sha256[:ID_DIGITS]}, not those it is named after"]
        return []

    def path(self, dataset: str, name: str = "") -> Path:
        """Where a version, or a file of it, lies."""
        return self.folder / dataset / name

    def collect(self, keep: int, referenced: Collection[str]) -> list[str]:
        """Remove all but the newest `keep` and those `referenced` (ids or whole hashes); the ids of what went."""
        spared = {name[:ID_DIGITS] for name in referenced}
        gone = [name for name in self.ids()[:-keep] if name not in spared]
        seen = self._looked_at().items()
        halves = [
            name for name, (manifest, reason) in seen if manifest is None and not reason
        ]  # left by killed removals
        for name in halves + gone:
            self._remove(name)
        for name in self._store.names(RUNS) if gone else ():
            with contextlib.suppress(FormatError):  # damaged: it stays, to be looked at
                if self.run(name.removesuffix(".json")) is None:
                    self._store.remove(f"{RUNS}/{name}")
        return gone

    def _write(self, found: str, data: bytes, manifest: Mapping[str, Any]) -> None:
        made = {
            "format": FORMAT,
            "id": found,
            "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "parent": next(reversed(self.ids()), None),
            **manifest,
            "files": {DATA: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}},
            "code_version": importlib.metadata.version("longshore"),
        }
        files = {DATA: data, MANIFEST: encode(made)}
        if uses_dvc(self.folder):
            files[f"{DATA}.dvc"] = dvc_file(DATA, data)
        try:
            self._store.create_folder(found, files)
        except ConflictError:
            if self._manifest(found) is None:  # what a removal that was killed has left
                self._remove(found)
                with contextlib.suppress(ConflictError):  # somebody else had the same thought
                    self._store.create_folder(found, files)

    def _folders(self) -> list[str]:
        """Names as ours are: what else lies in the folder is somebody else's, and is never removed."""
        return [name for name in self._store.names("") if _ID.fullmatch(name)]

    def _manifest(self, dataset: str) -> dict[str, Any] | None:
        key = f"{dataset}/{MANIFEST}"
        data = self._store.read(key)
        found = None if data is None else decode(data, dict[str, Any], f"{self.folder}/{key}")
        if found is not None and (missing := sorted(_KEYS - found.keys())):
            raise FormatError(f"{self.folder}/{key} lacks {', '.join(missing)}", mend="restore it from a copy")
        return found

    def _looked_at(self) -> dict[str, tuple[dict[str, Any] | None, str]]:
        """Every version's manifest, or why it cannot be read; (None, "") where a removal was killed."""
        found: dict[str, tuple[dict[str, Any] | None, str]] = {}
        for name in self._folders():
            try:
                found[name] = self._manifest(name), ""
            except FormatError as error:
                found[name] = None, str(error)
        return found

    def _remove(self, dataset: str) -> None:
        """The manifest first: what is left of a removal that was killed is no version."""
        for name in sorted(self._store.names(dataset), key=lambda name: name != MANIFEST):
            self._store.remove(f"{dataset}/{name}")
        with contextlib.suppress(OSError):
            self.path(dataset).rmdir()


def uses_dvc(folder: Path) -> bool:
    """Whether the folder lies in a DVC project: there is a `.dvc` folder in it or above it."""
    return any((above / ".dvc").is_dir() for above in (folder, *folder.parents))
