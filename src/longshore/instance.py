"""A stable name for this process among its service's replicas: the transactional id is made of it.

A replica that comes back under the same name resolves its predecessor's open transaction at once; under a new one,
every `read_committed` reader waits until that transaction times out. So: the setting where there is one (an ordinal of
a StatefulSet, a compose service), else host + the first free slot, held by a file lock that the kernel frees at any
death.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from pathlib import Path

from longshore.config import Settings
from longshore.errors import ConfigurationError

MAX_SLOTS = 256

_held: list[int] = []
"""File descriptors of held slots: open until the process ends."""


def instance_id(settings: Settings, service: str) -> str:
    """The setting `instance`, or `<host>-<slot>` with the first slot no living process of this service holds.

    Raises:
        ConfigurationError: `home` cannot be written, or every slot is taken.

    """
    if settings.instance:
        return settings.instance
    folder = settings.home / "instances"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for slot in range(MAX_SLOTS):
            if _take(folder / f"{settings.topic_prefix}{service}-{slot}.lock"):
                return f"{re.sub('[^A-Za-z0-9._-]', '-', socket.gethostname())}-{slot}"
    except OSError as error:
        raise ConfigurationError(
            f"home = {settings.home}: {error.strerror}",
            mend="name a writable folder with LONGSHORE_HOME, or an --instance",
        ) from error
    raise ConfigurationError(f"all {MAX_SLOTS} slots of {service} are taken in {folder}", mend="name an --instance")


def held_folder(settings: Settings, name: str) -> Path:
    """A folder under `home` that no other living process has: `name`, or with a number behind it where that is taken.

    (By a process that was stopped, say, and whose name is another's by now.)

    Raises:
        ConfigurationError: `home` cannot be written, or all are taken.

    """
    safe = re.sub("[^A-Za-z0-9._/-]", "-", name)
    try:
        for slot in range(MAX_SLOTS):
            folder = settings.home / (f"{safe}.{slot}" if slot else safe)
            folder.mkdir(parents=True, exist_ok=True)
            if _take(folder / "lock"):
                return folder
    except OSError as error:
        raise ConfigurationError(
            f"home = {settings.home}: {error.strerror}", mend="name a writable folder with LONGSHORE_HOME"
        ) from error
    raise ConfigurationError(f"all {MAX_SLOTS} folders {safe} are taken", mend="end what uses them")


def _take(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _held.append(descriptor)
    return True
