"""How the interpreter looks after memory in a service that handles batches."""

from __future__ import annotations

import ctypes
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
    if "MALLOC_ARENA_MAX" in os.environ or not sys.platform.startswith("linux"):
        return
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(ARENA_MAX, 1)


def trim_heap() -> None:
    """Give back what glibc keeps between what is in use: models that come and go would leave 20 KB behind each.

    Elsewhere than on Linux with glibc, nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
