"""A file that appears whole or not at all: written under another name beside its place, then renamed into it."""

from __future__ import annotations

import os
from pathlib import Path

from longshore.errors import DataError


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a place that is taken, or no place.

    Raises:
        DataError: the file exists and may not be replaced, or its folder does not exist.

    """
    if path.is_dir() or not path.parent.is_dir():
        raise DataError(f"{path} cannot be written", mend="name a file in a folder that exists")
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists", mend="name another file, or say --overwrite")


class Replacing:
    """A path to write to, which becomes `final` by `keep` and vanishes by `discard`."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.{os.getpid()}.partial")

    def sync(self) -> None:
        """Make what was written durable: from here on only a rename can fail."""
        with self.path.open("rb+") as written:
            os.fsync(written.fileno())

    def keep(self) -> None:
        """Let what was written take its place."""
        self.path.replace(self.final)

    def discard(self) -> None:
        """Leave nothing behind; what stood in the place stays."""
        self.path.unlink(missing_ok=True)
