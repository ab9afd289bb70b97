"""Starts one server so that it never outlives its owner, nor starts unrecorded. Run as a script, by `process`.

Standard input is the lifeline, a pipe only the owner writes to:
`g`  the owner has recorded our pid: become the server. End of file before it: the owner is gone, start nothing.
`r`  the server is released, it may outlive the owner.
End of file without `r` (the owner ended, even by SIGKILL): the server is killed.

A pipe, and not Linux's parent-death signal: that one fires when the starting *thread* ends, and only Linux has it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

GO = b"g"
RELEASE = b"r"
POLL_S = 0.5


def main(command: list[str]) -> int:
    """Wait for the go, leave a watcher behind, become the server: the pid stays the one the owner knows."""
    owner = os.getppid()
    if os.read(0, 1) != GO:
        return 1
    server = os.getpid()
    signal_server = _signaller(server)
    middle = os.fork()
    if middle == 0:
        if os.fork() == 0:  # twice, so that the server does not get a child it never asked for
            _watch(signal_server, owner)
        os._exit(0)
    os.waitpid(middle, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        os.execv(command[0], command)  # noqa: S606  # no shell, by design
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127


def _watch(signal_server: Callable[[int], None], owner: int) -> None:
    """Until the release, or the server's end, or the owner's."""
    with suppress(ProcessLookupError):
        while not select.select([0], [], [], POLL_S)[0]:
            signal_server(0)
            try:
                os.kill(owner, 0)  # a fork of the owner may hold the pipe open after the owner's end
            except ProcessLookupError:
                signal_server(signal.SIGKILL)
        if os.read(0, 1) != RELEASE:
            signal_server(signal.SIGKILL)


def _signaller(pid: int) -> Callable[[int], None]:
    """Signals this process and, where the system has handles on processes, never a later one with its pid."""
    if hasattr(os, "pidfd_open"):
        return partial(signal.pidfd_send_signal, os.pidfd_open(pid))
    return partial(os.kill, pid)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
