"""The seam between the registry and where its files lie: five operations, two of them exclusive.

A back end may write only if its exclusive creation holds under concurrent creators
(`tests/conformance/test_registry_stores.py` decides). A new one is a class of this protocol and one line in `_STORES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from longshore.errors import ConfigurationError
from longshore.registry.local_folder import LocalFolder


class Store(Protocol):
    """Files under one root; keys are relative paths with `/`."""

    def create(self, key: str, data: bytes) -> None:
        """Make a file with complete, durable content.

        Raises:
            ConflictError: the key exists.

        """

    def create_folder(self, key: str, files: Mapping[str, bytes]) -> None:
        """Make a folder with all its files, visible together or not at all.

        Raises:
            ConflictError: the key exists.

        """

    def names(self, key: str) -> list[str]:
        """What lies directly under a key; nothing where it does not exist."""

    def read(self, key: str) -> bytes | None:
        """A file's bytes; None where it does not exist."""

    def remove(self, key: str) -> None:
        """Delete a file that may be gone already."""

    def path(self, key: str) -> Path:
        """Where a key lies for programs that read files."""


def _local(address: str) -> Store:
    return LocalFolder(Path(address).expanduser())


def _file_url(address: str) -> Store:
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise ConfigurationError(
            f"registry_url = {address!r} names a host or no folder", mend="write file:///absolute/folder"
        )
    return _local(unquote(parts.path))


_STORES: dict[str, Callable[[str], Store]] = {"": _local, "file": _file_url}


def open_store(url: str) -> Store:
    """The store at a path or `file://` URL; nothing is created by opening.

    Raises:
        ConfigurationError: an unknown scheme, no folder, or a file where the folder should be.

    """
    scheme, separator, _ = url.partition("://")
    opener = _STORES.get(scheme.lower() if separator else "")
    if opener is None:
        raise ConfigurationError(
            f"registry_url has the scheme {scheme!r}", mend="name a local folder: only those can be written so far"
        )
    if not url.strip():
        raise ConfigurationError("registry_url is empty", mend="name a folder with LONGSHORE_REGISTRY_URL")
    return opener(url)
