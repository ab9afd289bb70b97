"""How the interpreter looks after memory in a service that handles batches."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import sys

YOUNG_OBJECTS = 100_000
"""A batch makes tens of thousands of short-lived objects, none in a cycle: with Python's default of 700 the collector
takes a quarter of the scorer's time to find that out."""


def collect_seldom() -> None:
    """For a service that has loaded what it needs: that is not looked at again, and garbage after many objects only."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


ARENA_MAX = -8
"""`M_ARENA_MAX` of glibc's malloc.h."""


def one_arena() -> None:
    """Let every thread take memory from one heap; call it before threads start.

    By default glibc gives each thread its own. What a thread that loads models leaves in its heap no other thread uses:
    18 KB stay behind with each swap. Python's threads take turns anyway. Who sets MALLOC_ARENA_MAX decides
    for themselves. Elsewhere than on Linux with glibc, nothing.
    """
    if "MALLOC_ARENA_MAX" not in os.environ:
        _call("mallopt", ARENA_MAX, 1)


def trim_heap() -> None:
    """Give back what glibc keeps between what is in use: models that come and go would leave 20 KB behind each.

    Elsewhere than on Linux with glibc, nothing.
    """
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    """Call a function of glibc; where there is none of that name (musl, other systems), nothing."""
    function = getattr(_libc(), name, None)
    if function is not None:
        function(*arguments)


@functools.cache
def _libc() -> ctypes.CDLL | None:
    """One for the process: each object of this kind makes classes of its own, and CPython never frees them."""
    return ctypes.CDLL(None) if sys.platform.startswith("linux") else None
