"""A folder on a local disk as the registry's store: what exists is complete, and exactly one creator wins.

A file is written aside, synced, and hard-linked to its name: `link` fails where the name exists, and never shows half a
file. A folder is renamed to its name: `rename` fails where a non-empty folder exists. Both hold between processes, and
on NFS. Left-overs of killed writers stay in `.incoming`, which nobody reads, until they are an hour old.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from longshore.errors import ConfigurationError, ConflictError, UnavailableError

INCOMING = ".incoming"
LEFTOVER_AGE_S = 3_600.0
"""Writing a version takes seconds: what has lain aside for an hour belongs to a dead process."""

_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


class LocalFolder:
    """Implements `longshore.registry.store.Store`; safe for any number of processes. `what`: how messages call it."""

    def __init__(self, root: Path, what: str = "registry") -> None:
        self.root = root.absolute()
        self._what = what
        if self.root.exists() and not self.root.is_dir():
            raise ConfigurationError(f"{what} {root} is not a folder", mend=f"name a folder for the {what}")

    def create(self, key: str, data: bytes) -> None:
        """Make a file; see `Store.create`."""
        target = self.root / key
        with self._writing(), self._aside() as draft:
            _write(draft, data)
            self._make_folders(target.parent)
            try:
                os.link(draft, target)
            except FileExistsError as error:
                raise _taken(key) from error
            _sync_folder(target.parent)

    def create_folder(self, key: str, files: Mapping[str, bytes]) -> None:
        """Make a folder with its files; see `Store.create_folder`."""
        target = self.root / key
        with self._writing(), self._aside() as draft:
            draft.mkdir()
            for name, data in files.items():
                _write(draft / name, data)
            _sync_folder(draft)
            self._make_folders(target.parent)
            try:
                draft.rename(target)
            except OSError as error:
                if error.errno in _TAKEN:
                    raise _taken(key) from error
                raise
            _sync_folder(target.parent)
            self.clear(self.leftovers())

    def names(self, key: str) -> list[str]:
        """What lies under a key, unordered; see `Store.names`."""
        try:
            return os.listdir(self.root / key)  # noqa: PTH208  # names only: this runs every two seconds
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._unavailable(error) from error

    def read(self, key: str) -> bytes | None:
        """A file's bytes; see `Store.read`."""
        try:
            return (self.root / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise self._unavailable(error) from error

    def remove(self, key: str) -> None:
        """Delete a file; see `Store.remove`."""
        with self._writing():
            (self.root / key).unlink(missing_ok=True)

    def address(self, key: str) -> str:
        """The absolute path of a key; see `Store.address`."""
        return str(self.root / key)

    def leftovers(self) -> dict[str, int]:
        """What dead writers left, by its bytes; see `Store.leftovers`."""
        incoming, found = self.root / INCOMING, {}
        for name in self.names(INCOMING):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - (incoming / name).stat().st_mtime > LEFTOVER_AGE_S:
                    files = [path for path in (incoming / name).rglob("*") if path.is_file()] or [incoming / name]
                    found[f"{INCOMING}/{name}"] = sum(path.stat().st_size for path in files if path.is_file())
        return found

    def clear(self, leftovers: Iterable[str]) -> None:
        """Delete them; see `Store.clear`."""
        with self._writing():
            for key in leftovers:
                _delete(self.root / key)

    @contextlib.contextmanager
    def _aside(self) -> Iterator[Path]:
        """A name in `.incoming` that nobody else uses, gone at the end whatever lies there."""
        self._make_folders(self.root / INCOMING)
        draft = self.root / INCOMING / uuid.uuid4().hex
        try:
            yield draft
        finally:
            _delete(draft)

    def _make_folders(self, folder: Path) -> None:
        """Like `mkdir -p`, each new name synced to disk."""
        missing = [folder] if not folder.is_dir() else []
        while missing and not missing[-1].parent.is_dir():
            missing.append(missing[-1].parent)
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            _sync_folder(path.parent)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"{self._what} {self.root}: {error.strerror or error}",
            mend="see that the folder's disk has room and hard links and that this user may write there",
        )


def _write(path: Path, data: bytes) -> None:
    """A new, synced, read-only file."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _taken(key: str) -> ConflictError:
    return ConflictError(f"{key} exists already", mend="somebody else was first: read it and decide anew")
