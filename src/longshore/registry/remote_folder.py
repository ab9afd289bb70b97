"""A registry behind an fsspec URL: read from any back end, written where exclusive creation was proven (`WRITABLE`).

Object stores have no rename, so a folder that must appear whole is made of parts: its files are put under a name nobody
else uses (`.parts/<id>/`), then one object `<folder>.folder`, which lists them, is created exclusively: that is the
moment the folder exists. A plain copy of a local registry is read as well. Nothing is cached: others write, too.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from longshore.errors import ConfigurationError, ConflictError, FormatError, LongshoreError, UnavailableError
from longshore.registry.formats import FORMAT, decode, encode
from longshore.registry.local_folder import LEFTOVER_AGE_S

WRITABLE = {"s3"}
"""Protocols whose exclusive creation passes `tests/conformance/test_registry_stores.py`: S3's conditional put."""

PARTS, FOLDER = ".parts", ".folder"


class _Folder(msgspec.Struct):
    """Where a folder's files lie, under `PARTS`."""

    parts: str
    names: list[str]
    format: int = FORMAT


class RemoteFolder:
    """Implements `longshore.registry.store.Store`."""

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415  (an extra)
        except ImportError as error:
            raise ConfigurationError(
                f"registry_url = {_shown(url)} needs fsspec", mend="install longshore[remote], or name a local folder"
            ) from error
        self._url = _shown(url)
        self._lock = threading.RLock()
        try:
            self._files, root = url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(
                f"registry_url = {self._url} cannot be opened ({error})",
                mend="install the back end's package, or name a local folder",
            ) from error
        except OSError as error:
            raise UnavailableError(f"registry {self._url}: {error}", mend="see that it can be reached") from error
        self._root = str(root).rstrip("/")
        protocols = [self._files.protocol] if isinstance(self._files.protocol, str) else self._files.protocol
        self._writable = not WRITABLE.isdisjoint(protocols)

    def create(self, key: str, data: bytes) -> None:
        """Make a file; see `Store.create`."""
        with self._writing():
            self._create(key, data)

    def create_folder(self, key: str, files: Mapping[str, bytes]) -> None:
        """Make a folder with its files; see `Store.create_folder`."""
        with self._writing():
            if self.names(key):
                raise _taken(key)
            folder = _Folder(uuid.uuid4().hex, sorted(files))
            for name, data in files.items():
                self._files.pipe_file(self._path(f"{PARTS}/{folder.parts}/{name}"), data)
            try:
                self._create(f"{key}{FOLDER}", encode(folder))
            except ConflictError:
                self.clear([f"{PARTS}/{folder.parts}"])
                raise _taken(key) from None

    def names(self, key: str) -> list[str]:
        """What lies under a key, unordered; see `Store.names`."""
        path = self._path(key)
        with self._reaching():
            try:
                found = self._files.ls(path, detail=False, refresh=True)
            except (FileNotFoundError, NotADirectoryError):
                found = []
        inside = [str(name).rstrip("/") for name in found]
        plain = [
            name.rpartition("/")[2].removesuffix(FOLDER) for name in inside if name.lstrip("/") != path.lstrip("/")
        ]
        return plain or self._names_of_parts(key)

    def read(self, key: str) -> bytes | None:
        """A file's bytes; see `Store.read`."""
        data = self._read(key)
        if data is None and (place := self._part(key)):
            data = self._read(place)
        return data

    def remove(self, key: str) -> None:
        """Delete a file; see `Store.remove`."""
        with self._writing(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(self._part(key) or key))

    def address(self, key: str) -> str:
        """The URL of a key; see `Store.address`."""
        return str(self._files.unstrip_protocol(self._path(self._part(key) or key)))

    def leftovers(self) -> dict[str, int]:
        """Parts that no folder lists, by their bytes; see `Store.leftovers`."""
        if not self._writable:
            return {}
        listed = {folder.parts for name in self.names("versions") if (folder := self._folder(f"versions/{name}"))}
        found = {}
        for parts in set(self.names(PARTS)) - listed:
            with self._reaching():
                files = self._files.find(self._path(f"{PARTS}/{parts}"), detail=True).values()
            if all(time.time() - _modified(file) > LEFTOVER_AGE_S for file in files):
                found[f"{PARTS}/{parts}"] = sum(file["size"] for file in files)
        return found

    def clear(self, leftovers: Iterable[str]) -> None:
        """Delete them; see `Store.clear`."""
        for key in leftovers:
            inner = self.names(key)
            for name in inner:
                self.remove(f"{key}/{name}")
            if not inner:
                self.remove(key)

    def _create(self, key: str, data: bytes) -> None:
        path = self._path(key)
        try:
            self._files.pipe_file(path, data, mode="create")
        except FileExistsError as error:
            raise _taken(key) from error
        except OSError as error:
            # S3 answers two that create at once with a conflict, and boto wraps a failed condition like any error.
            if self._files.exists(path):
                raise _taken(key) from error
            raise

    def _read(self, key: str) -> bytes | None:
        with self._reaching():
            try:
                return bytes(self._files.cat_file(self._path(key)))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def _folder(self, key: str) -> _Folder | None:
        data = self._read(f"{key}{FOLDER}")
        return None if data is None else decode(data, _Folder, f"{key}{FOLDER}")

    def _names_of_parts(self, key: str) -> list[str]:
        folder = self._folder(key) if key else None
        # Collected files are gone, although the folder still lists them.
        return [] if folder is None else self.names(f"{PARTS}/{folder.parts}")

    def _part(self, key: str) -> str | None:
        """Where a file of a folder made of parts lies; None for any other."""
        parent, _, name = key.rpartition("/")
        folder = self._folder(parent) if parent and not key.startswith(f"{PARTS}/") else None
        return f"{PARTS}/{folder.parts}/{name}" if folder and name in folder.names else None

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}".rstrip("/")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        if not self._writable:
            raise ConfigurationError(
                f"registry_url = {self._url} can only be read: exclusive creation is not proven there",
                mend="train and promote with a local folder or s3:// as the registry",
            )
        with self._reaching():
            yield

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Whatever a back end raises, told as one thing. One thread at a time: sftp's and ftp's connections need it."""
        try:
            with self._lock:
                yield
        except (LongshoreError, FormatError):
            raise
        except Exception as error:
            raise UnavailableError(
                f"registry {self._url}: {type(error).__name__}: {error}",
                mend="see that it can be reached, and the rights",
            ) from error


def _modified(file: Mapping[str, Any]) -> float:
    """s since epoch; now where the back end does not tell."""
    found = file.get("LastModified")
    return (found if isinstance(found, datetime) else datetime.now(UTC)).timestamp()


def _taken(key: str) -> ConflictError:
    return ConflictError(f"{key} exists already", mend="somebody else was first: read it and decide anew")


def _shown(url: str) -> str:
    """The URL without a password."""
    parts = urlsplit(url)
    return url if parts.username is None else parts._replace(netloc=f"…@{parts.hostname}").geturl()
