"""What the stack asks of a server, and how several are started: together, each waited for, all ready or none left.

The order of a start is what makes a crash in the middle visible: a process is recorded before it becomes its server.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from longshore.errors import UnavailableError
from longshore.local import state as states
from longshore.local.process import Child, Record
from longshore.local.state import State

READY_TIMEOUT_S = 60.0  # ten times what a quiet machine needs
POLL_S = 0.05
PORT_ATTEMPTS = 3
PORT_TAKEN = "Address already in use"  # Java's and Redis' words alike


class Server(Protocol):
    """One kind of server: a new one is a module with such a class and a line in `LocalStack._servers`."""

    name: str
    grace_s: float
    folder: Path

    def prepare(self) -> None:
        """Do all that needs no port: find programs, fetch, format."""

    def command(self) -> tuple[list[str | Path], int]:
        """A command line and the port in it; a new one at every call."""

    def answers(self, record: Record) -> bool:
        """Whether this very process is ready on its port."""

    def endpoint(self, port: int) -> str:
        """The address others connect to."""


def start_together(
    servers: list[Server], state: State, *, folder: Path, mend: Callable[[Server], str]
) -> dict[str, Child]:
    """Start prepared servers and wait until all answer, on other ports where one was taken; adds them to `state`.

    Raises:
        UnavailableError: a server ended or stayed silent; none of them is left.

    """
    for _ in range(PORT_ATTEMPTS - 1):
        try:
            return _launch(servers, state, folder, mend)
        except _PortTakenError:
            continue
    return _launch(servers, state, folder, mend)


def _launch(servers: list[Server], state: State, folder: Path, mend: Callable[[Server], str]) -> dict[str, Child]:
    """Start all, then wait for all; on any failure, or Ctrl-C, none is left."""
    started: dict[str, Child] = {}
    try:
        for server in servers:
            command, port = server.command()
            log = server.folder / f"{server.name}.log"
            child = started[server.name] = Child(command, port=port, folder=server.folder, log=log)
            state.servers[server.name] = child.record
            states.write(folder, State(state.servers, ready=False))
            child.go()
        for server in servers:
            _await(server, started[server.name], mend=mend(server))
    except BaseException:
        for name, child in started.items():
            child.stop(grace_s=0)
            state.servers.pop(name, None)
        states.write(folder, State(state.servers, ready=bool(state.servers)))
        raise
    return started


class _PortTakenError(UnavailableError):
    """Somebody took the port between our finding it free and the server's binding it."""


def _await(server: Server, child: Child, *, mend: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        if child.ended() is not None:
            kind = _PortTakenError if child.log_has(PORT_TAKEN) else UnavailableError
            raise kind(f"{server.name} ended at its start: {child.last_lines()}", mend=mend)
        if server.answers(child.record):
            return
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{server.name} did not answer within {READY_TIMEOUT_S:.0f} s: {child.last_lines()}",
                mend=mend,
            )
        time.sleep(POLL_S)
