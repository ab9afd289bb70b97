"""Child processes: started through `launch`, recorded before they run, told apart from a stranger with a reused pid.

What they serve, and when they are ready, is left to `broker`, `cache_server` and `stack`.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from longshore.errors import ConfigurationError
from longshore.local import launch

HOST = "127.0.0.1"
SAME_START_S = 2.0  # start times are derived from the boot time, which a clock adjustment moves a little
TAIL_LINES = 5
POLL_S = 0.02
KILL_TIMEOUT_S = 10.0  # only a process stuck in the kernel outlives a SIGKILL


@dataclass(frozen=True, slots=True)
class Record:
    """A server's identity beyond its pid, and where it listens."""

    pid: int
    created: float
    port: int

    def process(self) -> psutil.Process | None:
        """The running process, or None where it ended or the pid is somebody else's now."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < SAME_START_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class Child:
    """A server this process started; it dies with us until `release`."""

    def __init__(self, command: Sequence[str | Path], *, port: int, folder: Path, log: Path) -> None:
        if log.exists():
            log.replace(log.with_name(f"{log.name}.1"))
        self.log = log
        with log.open("wb") as output:
            self._launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", launch.__file__, *map(str, command)],
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, bufsize=0,
                cwd=folder, start_new_session=True,
            )  # fmt: skip
        self.record = Record(self._launcher.pid, psutil.Process(self._launcher.pid).create_time(), port)

    def go(self) -> None:
        """Let it run; call this once its record is on disk."""
        self._tell(launch.GO)

    def release(self) -> None:
        """Let it live on when we end."""
        self._tell(launch.RELEASE)
        self._close()

    def ended(self) -> int | None:
        """Its exit code, once it has one."""
        return self._launcher.poll()

    def wait(self, timeout_s: float) -> int:
        """Its exit code, waited for."""
        return self._launcher.wait(timeout_s)

    def stop(self, grace_s: float) -> None:
        """Ask, wait, then kill; nothing of it is left afterwards."""
        stop(self.record, grace_s)
        self._close()
        self._launcher.wait()

    def last_lines(self) -> str:
        """The end of its log, in one line."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines[-TAIL_LINES:] if line.strip())

    def log_has(self, text: str) -> bool:
        """Whether its log holds `text`."""
        return text in self.log.read_text(encoding="utf-8", errors="replace")

    def _tell(self, word: bytes) -> None:
        with suppress(BrokenPipeError):  # it ended already: `ended` says so
            self._lifeline().write(word)

    def _close(self) -> None:
        self._lifeline().close()

    def _lifeline(self) -> IO[bytes]:
        assert self._launcher.stdin is not None  # noqa: S101  # opened as a pipe above
        return self._launcher.stdin


def stop(record: Record, grace_s: float) -> None:
    """SIGTERM, then SIGKILL after `grace_s` (0: at once); a stranger with the same pid is left alone."""
    if grace_s > 0:
        _signal(record, signal.SIGTERM)
        if _gone(record, grace_s):
            return
    _signal(record, signal.SIGKILL)
    _gone(record, KILL_TIMEOUT_S)


def _signal(record: Record, number: signal.Signals) -> None:
    process = record.process()
    if process is not None:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _gone(record: Record, timeout_s: float) -> bool:
    """Wait for its end. Not psutil's wait: that waits for the reaping too, which a container's init may put off."""
    deadline = time.monotonic() + timeout_s
    while record.process() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; all are held until the last is found, so they differ."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def claim_port(port: int, option: str) -> int:
    """`port` if it is free, or a free one for 0.

    Raises:
        ConfigurationError: somebody listens there.

    """
    if port == 0:
        return free_ports(1)[0]
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise ConfigurationError(
            f"port {port} on {HOST} cannot be used: {error.strerror}",
            mend=f"give another with {option}, or leave it out and a free one is found",
        ) from error
    return port


def exchange(port: int, request: bytes, enough: Callable[[bytes], bool], timeout_s: float = 1.0) -> bytes:
    """Send `request` and read until `enough`; whatever came before a silence or a closed connection."""
    answer = b""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=timeout_s) as connection:
        connection.sendall(request)
        while not enough(answer) and (more := connection.recv(65_536)):
            answer += more
    return answer
