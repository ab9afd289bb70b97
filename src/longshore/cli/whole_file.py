"""A command's result as a file that appears whole or not at all; errors in one line."""

from __future__ import annotations

from pathlib import Path

from longshore.errors import DataError
from longshore.scorer.files.replacing import Replacing, check_free


def check_place(path: Path | None) -> None:
    """Say at once, and not after the work, that a file cannot be written where it is wanted.

    Raises:
        DataError: its folder does not exist, or it is a folder.

    """
    if path is not None:
        check_free(path, overwrite=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all, in the place of an older one.

    Raises:
        DataError: the place cannot be written.

    """
    target = Replacing(path)
    try:
        target.path.write_bytes(data)
        target.keep()
    except OSError as error:
        target.discard()
        raise DataError(
            f"{path} cannot be written: {error.strerror}", mend="name a file in a folder that is there"
        ) from error
