"""The whole registry as one file, and back: every model's versions, alias generations, claims and notes.

A backup is a tar.gz of the registry's files under their keys, with `longshore-backup.json` (each one's sha256 and size)
as its last member. Aliases and notes are read before versions, so what they name is in it. Restoring only ever creates
what is missing, versions first and alias generations last and in order: killed anywhere, it leaves the registry as
usable as before, and the same command goes on. It never mixes two histories: what is there must be in the backup.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import error as ZlibError  # noqa: N812  (an exception with a function's name)

import msgspec

from longshore.errors import ConfigurationError, ConflictError, FormatError, IntegrityError, UnavailableError
from longshore.records import UNREADABLE
from longshore.registry.formats import decode, encode
from longshore.registry.store import Store, open_store

INDEX = "longshore-backup.json"
FORMAT = 1
SHOWN = 3
"""Names in a message."""

_LAST = "aliases"
_FIRST = "versions"


class _Described(msgspec.Struct):
    sha256: str
    bytes: int


class _Index(msgspec.Struct):
    files: dict[str, _Described]
    created: float
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Copied:
    """What was written: `files` of `bytes` in all, of which models; `there` were there already."""

    files: int
    bytes: int
    models: list[str]
    there: int = 0


def back_up(url: str, target: Path) -> Copied:
    """Write the registry at `url` to a new file, which appears whole or not at all.

    Raises:
        ConfigurationError: the registry is empty, or the file exists.
        ConflictError: a version's files were collected meanwhile.
        UnavailableError: the registry cannot be read, or the file not written.

    """
    if target.exists():
        raise ConfigurationError(f"{target} exists", mend="name a new file: a backup is never overwritten")
    store = open_store(url)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        index = _write(store, draft)
        os.link(draft, target)
    except OSError as error:
        raise UnavailableError(f"{target}: {error.strerror or error}", mend="see that there is room") from error
    finally:
        draft.unlink(missing_ok=True)
    return Copied(len(index.files), sum(file.bytes for file in index.files.values()), _models(index))


def restore(url: str, source: Path) -> Copied:
    """Create everything of a backup that the registry at `url` lacks; checked first, file by file.

    Raises:
        IntegrityError: the backup is damaged or cut off; nothing was written.
        ConflictError: the registry holds something else than the backup; nothing was written.

    """
    index = _checked(source)
    store = open_store(url)
    missing = _missing(store, index)
    written = 0
    for _, files in _in_order(source, missing):
        _create(url, files)
        written += len(files)
    size = sum(index.files[key].bytes for key in missing)
    return Copied(written, size, _models(index), len(index.files) - written)


def _write(store: Store, draft: Path) -> _Index:
    index = _Index({}, time.time())
    with draft.open("xb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for key in _keys(store):
            data = store.read(key)
            if data is None:  # an old claim's number goes when its holder renews
                continue
            _add(archive, key, data)
            index.files[key] = _Described(hashlib.sha256(data).hexdigest(), len(data))
        if not index.files:
            raise ConfigurationError("the registry is empty", mend="there is nothing to back up")
        _require_whole(index, store)
        _add(archive, INDEX, encode(index))
        archive.close()
        raw.flush()
        os.fsync(raw.fileno())
    return index


def _require_whole(index: _Index, store: Store) -> None:
    """ConflictError where a version's files went while it was read."""
    for key in index.files:
        model, *rest = key.split("/")
        if rest[:1] == [_FIRST] and rest[-1] == "manifest.json":
            noted = f"{model}/collected/{rest[1]}/note.json"
            if noted not in index.files and store.read(noted) is not None:
                raise ConflictError(f"{rest[1]} was collected during the backup", mend="run it again")


def _keys(store: Store, under: str = "") -> Iterator[str]:
    """Every file's key; a folder's names are asked for when it is reached, `versions` last of a model's."""
    for name in sorted(store.names(under), key=lambda name: (name == _FIRST, name)):
        if name.startswith("."):
            continue
        key = f"{under}/{name}" if under else name
        inner = list(_keys(store, key))
        # Files beside the models' folders are somebody else's.
        yield from inner or ([key] if under and store.read(key) is not None else [])


def _add(archive: tarfile.TarFile, key: str, data: bytes) -> None:
    member = tarfile.TarInfo(key)
    member.size, member.mode, member.mtime = len(data), 0o444, int(time.time())
    archive.addfile(member, io.BytesIO(data))


def _checked(source: Path) -> _Index:
    """The index of a backup whose every file is as it says."""
    found: dict[str, tuple[str, int]] = {}
    index = None
    for key, data in _members(source):
        if key == INDEX:
            index = decode(data, _Index, f"{source}: {INDEX}")
        else:
            found[key] = (hashlib.sha256(data).hexdigest(), len(data))
    if index is None:
        raise IntegrityError(f"{source} has no {INDEX}", mend="it was cut off, or is no backup: take another")
    described = {key: (file.sha256, file.bytes) for key, file in index.files.items()}
    if wrong := sorted(key for key in described.keys() | found.keys() if described.get(key) != found.get(key)):
        raise IntegrityError(f"{source} is damaged: {_some(wrong)}", mend="take another backup")
    for key in described:
        parts = key.split("/")
        if len(parts) < 2 or any(not part or part.startswith(".") or "\\" in part for part in parts):
            raise FormatError(f"{source} holds {key!r}, which is no registry's file", mend="it is no backup")
    return index


def _members(source: Path) -> Iterator[tuple[str, bytes]]:
    """Each file of the archive, one at a time."""
    try:
        with tarfile.open(source, "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is None:
                    raise IntegrityError(f"{source} holds {member.name!r}, no plain file", mend="it is no backup")
                yield member.name, file.read()
    except (tarfile.TarError, EOFError, ZlibError, *UNREADABLE) as error:
        raise IntegrityError(f"{source} is damaged: {error}", mend="it was cut off, or is no backup") from error
    except OSError as error:
        what = f"{source}: {error.strerror or error}"
        raise ConfigurationError(what, mend="name a file made by `longshore model backup`") from error


def _missing(store: Store, index: _Index) -> set[str]:
    """What is to be created; ConflictError where the registry holds anything else."""
    there, other = set(), []
    for key in _keys(store):
        file = index.files.get(key)
        data = store.read(key)
        if data is not None and (file is None or hashlib.sha256(data).hexdigest() != file.sha256):
            other.append(key)
        there.add(key)
    if other:
        raise ConflictError(
            f"the registry holds what the backup does not: {_some(sorted(other))}",
            mend="restore into an empty registry, or take a newer backup",
        )
    return index.files.keys() - there


def _in_order(source: Path, missing: set[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """What to create, a version's files together: versions, then notes and claims, then alias generations, growing."""
    rest: dict[str, dict[str, bytes]] = {}
    version: tuple[str, dict[str, bytes]] = ("", {})
    for key, data in _members(source):
        if key not in missing:
            continue
        folder = key.rpartition("/")[0]
        if key.split("/")[1] != _FIRST:
            rest[key] = {key: data}
            continue
        if folder != version[0] and version[1]:
            yield version
        version = (folder, {**(version[1] if folder == version[0] else {}), key: data})
    if version[1]:
        yield version
    yield from sorted(rest.items(), key=lambda pair: _place(pair[0]))


def _place(key: str) -> tuple[Any, ...]:
    """Alias generations last and by number."""
    name = key.rpartition("/")[2].removesuffix(".json")
    return (key.split("/")[1] == _LAST, key.rpartition("/")[0], int(name) if name.isdigit() else 0, key)


def _create(url: str, files: dict[str, bytes]) -> None:
    """Create what belongs together, in its model's own store; a version that is not there at all appears whole."""
    model, _, key = next(iter(files)).partition("/")
    store = open_store(f"{url.rstrip('/')}/{model}")
    folder = key.rpartition("/")[0]
    inner = {key.partition("/")[2]: data for key, data in files.items()}
    if key.startswith(f"{_FIRST}/") and not store.names(folder):
        store.create_folder(folder, {key.rpartition("/")[2]: data for key, data in inner.items()})
        return
    for key, data in inner.items():
        store.create(key, data)


def _models(index: _Index) -> list[str]:
    return sorted({key.partition("/")[0] for key in index.files})


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more
