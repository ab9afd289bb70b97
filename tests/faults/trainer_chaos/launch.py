"""A trainer in a process of its own, forked from one that has imported everything, and its fate: a step it dies after.

All of it is `longshore train`, but for the reference profile's calibration: seconds of arithmetic without any effect.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import longshore.cli.train
import longshore.kafka.exactly_once
import longshore.monitor.reference

RENEWING = "claim"
"""The thread that renews a claim (`longshore.trainer.service`)."""
STEPS = ("fsync", "link", "rename", "unlink")
"""Everything by which a file of the registry comes to be, and goes."""


def prepared() -> ForkServerContext:
    """Where processes are forked from; its imports cost seconds, once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def start(
    context: ForkServerContext,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    last_step: int | None,
) -> ForkServerProcess:
    """`longshore <arguments>`, which kills itself after `last_step` steps, if that many come."""
    process = context.Process(target=_run, args=(list(arguments), dict(environment), str(log), last_step))
    process.start()
    return process


def apart(environment: dict[str, str], log: str) -> None:
    """Make a forked process one of its own: environment, output, and no part in the terminal's interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is the runner's
    os.environ.clear()
    os.environ.update(environment)
    with open(log, "ab", buffering=0) as out:  # noqa: PTH123  (its descriptor becomes the process's own)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)


def _run(arguments: list[str], environment: dict[str, str], log: str, last_step: int | None) -> None:
    apart(environment, log)
    longshore.monitor.reference.build_profile = lambda *_, **__: b"no profile"  # type: ignore[assignment]
    if last_step is not None:
        _arm(last_step)
    sys.argv = ["longshore", *arguments]
    from longshore.cli.main import main

    main()


def _arm(last_step: int) -> None:
    """Count steps from here, and die right after number `last_step`."""
    left = [last_step]

    def counted(real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        # A claim is renewed by the clock: on a busy machine no run would get further than its first renewals.
        left[0] -= threading.current_thread().name != RENEWING
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    for name in STEPS:
        setattr(os, name, partial(counted, getattr(os, name)))
