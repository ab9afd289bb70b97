"""When a broker is warm: its virtual machine has compiled what it runs, and the compiler leaves the cores to others.

A broker in production has run for days. A fresh one's compiler (HotSpot's C2) takes half a core for the first minutes
of small transactions, on a machine of two: latency is then that compiler's, whoever is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

QUIET_SHARE = 0.05
"""Of one core, in all compiler threads together."""
TURN_S = 15.0
MOST_S = 360.0
"""Then it is warm enough; so it is at once where less than `TURN_S` was asked for (`scoring --quick`)."""


def compiling_s(pid: int) -> float:
    """CPU seconds that the compiler threads of a Java process have used; 0 where threads have no names (no Linux)."""
    total = 0.0
    for thread in psutil.Process(pid).threads():
        try:
            name = Path(f"/proc/{pid}/task/{thread.id}/comm").read_text(encoding="utf-8")
        except OSError:  # it has ended, or there is no /proc
            continue
        if "CompilerThre" in name:
            total += thread.user_time + thread.system_time
    return total


def warm_up(pid: int, load: Callable[[float], object], least_s: float) -> str:
    """Put `load(seconds)` on the broker for `least_s`, then until its compiler is quiet; what came of it, in words."""
    begun = time.monotonic()
    load(least_s)
    while True:
        before, turn = compiling_s(pid), time.monotonic()
        if turn - begun >= MOST_S or least_s < TURN_S:
            return f"warmed for {turn - begun:.0f} s, whether its compiler was quiet or not"
        load(TURN_S)
        share = (compiling_s(pid) - before) / (time.monotonic() - turn)
        if share < QUIET_SHARE:
            return f"warmed for {time.monotonic() - begun:.0f} s, its compiler at {share:.0%} of a core"
