"""The services as child processes that die with this one, each with its log; a service that ends early is an error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from longshore.errors import UnavailableError
from longshore.local.process import Child

GRACE_S = 20.0
"""A service finishes its transaction and leaves its group in well under a second; the trainer may be in a fit."""


class Services:
    """Starts `longshore` commands; use as a context manager: leaving it stops whatever still runs.

    They see `environment` alone: neither this process's own LONGSHORE_… variables nor a longshore.toml where it stands.
    """

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        self._logs = logs
        self._running: dict[str, Child] = {}
        self._logs.mkdir(parents=True, exist_ok=True)
        for name in [name for name in os.environ if name.startswith("LONGSHORE_")]:
            del os.environ[name]
        # One thread for arithmetic in every service: six processes share the machine.
        os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | environment)

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.stop(name, grace_s=0)

    def start(self, name: str, *arguments: str) -> None:
        """Start `longshore ARGUMENTS` under `name`."""
        command = [sys.executable, "-m", "longshore.cli.main", *arguments]
        child = Child(command, port=0, folder=self._logs, log=self.log(name))
        self._running[name] = child
        child.go()

    def log(self, name: str) -> Path:
        """Where a service's output goes."""
        return self._logs / f"{name}.log"

    def ended(self, name: str) -> int | None:
        """A service's exit code, None while it runs."""
        return self._running[name].ended()

    def check(self, *may_end: str) -> None:
        """See that all services run.

        Raises:
            UnavailableError: one that should run has ended, or one of `may_end` has failed.

        """
        for name, child in self._running.items():
            code = child.ended()
            if code is not None and (code != 0 or name not in may_end):
                raise UnavailableError(f"{name} ended with exit {code}: {child.last_lines()}", mend=f"see {child.log}")

    def stop(self, name: str, *, grace_s: float = GRACE_S) -> int | None:
        """SIGTERM and wait, at last SIGKILL; the exit code."""
        child = self._running.pop(name)
        child.stop(grace_s)
        return child.ended()
