"""The seam between the registry and where its files lie: a handful of operations, two of them exclusive.

A back end may write only if its exclusive creation holds under concurrent creators
(`tests/conformance/test_registry_stores.py` decides). A new one is a class of this protocol and one line in `_STORES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from longshore.errors import ConfigurationError
from longshore.registry.local_folder import LocalFolder
from longshore.registry.remote_folder import RemoteFolder


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

    def address(self, key: str) -> str:
        """Where a key lies for other programs: an absolute path, or a URL."""

    def leftovers(self) -> dict[str, int]:
        """What writers left that died more than an hour ago, which nobody reads: keys and bytes."""

    def clear(self, leftovers: Iterable[str]) -> None:
        """Delete left-overs."""


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
"""Any other scheme is fsspec's."""


def open_store(url: str) -> Store:
    """The store at a path or URL; nothing is created by opening.

    Raises:
        ConfigurationError: an unknown scheme, no folder, or a file where the folder should be.
        UnavailableError: the back end does not answer.

    """
    if not url.strip():
        raise ConfigurationError("registry_url is empty", mend="name a folder with LONGSHORE_REGISTRY_URL")
    scheme, separator, _ = url.partition("://")
    return _STORES.get(scheme.lower() if separator else "", RemoteFolder)(url)
