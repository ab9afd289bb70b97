"""What the interpreter's memory is told, seen from outside: in a process of its own, for it stays so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

THREADS_THAT_TAKE_MEMORY = """
import ctypes, threading
from longshore.heap import one_arena
{call}
barrier = threading.Barrier(6)
def take():
    kept = [bytes(2_000) for _ in range(500)]
    barrier.wait()
threads = [threading.Thread(target=take) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def arenas(call: str, **environment: str) -> int:
    """How many heaps glibc has after six threads took memory at once."""
    clean = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"} | environment
    program = THREADS_THAT_TAKE_MEMORY.format(call=call)
    done = subprocess.run([sys.executable, "-c", program], env=clean, capture_output=True, text=True, check=True)
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's setting: elsewhere there is nothing to see")
def test_one_arena_makes_every_thread_use_one_heap_unless_the_user_set_another_number() -> None:
    assert arenas("") > 1
    assert arenas("one_arena()") == 1
    assert arenas("one_arena()", MALLOC_ARENA_MAX="4") > 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's setting: elsewhere there is nothing to see")
def test_the_c_library_is_loaded_once_however_often_memory_is_given_back() -> None:
    """Each loading makes classes that CPython 3.11 never frees: 5 KB with every swap."""
    program = (
        "import ctypes, gc\nfrom longshore.heap import trim_heap\ntrim_heap()\n"
        "def libraries(): return sum(isinstance(each, ctypes.CDLL) for each in gc.get_objects())\n"
        "before = libraries()\nfor _ in range(20): trim_heap()\nprint(libraries() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
