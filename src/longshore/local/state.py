"""What runs in one folder: a small JSON file, replaced as a whole, and the lock that lets one process change it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from longshore.local.process import Record

VERSION = 1


@dataclass(slots=True)
class State:
    """Every server started in a folder and not stopped by us; `ready` once all of them answered."""

    servers: dict[str, Record] = field(default_factory=dict)
    ready: bool = False


def read(folder: Path) -> State:
    """The recorded state; an empty one where nothing is recorded, or nothing that can be read."""
    try:
        raw = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        servers = {name: Record(**record) for name, record in raw["servers"].items()}
        return State(servers, raw["ready"]) if raw["version"] == VERSION else State()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return State()


def write(folder: Path, state: State) -> None:
    """Replace the record; an empty one is no file."""
    path = folder / "state.json"
    if not state.servers:
        path.unlink(missing_ok=True)
        return
    raw = {"version": VERSION, "ready": state.ready, "servers": {k: asdict(v) for k, v in state.servers.items()}}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(raw), encoding="utf-8")
    part.replace(path)


@contextmanager
def locked(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the folder's lock; `waiting` is called where somebody else has it."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_locked(folder: Path) -> bool:
    """Whether a living process holds the folder's lock."""
    try:
        with (folder / "lock").open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
