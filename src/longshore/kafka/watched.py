"""A client's blocking calls on a thread of their own, so that whoever waits for them can go on computing, or give up.

`send_offsets_to_transaction` may ignore its time-out (librdkafka #5456), and a call inside the C library cannot be
interrupted: giving up means leaving the thread, and the client it is stuck in, behind.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Watched:
    """Makes calls one after the other; `retire` lets the thread end once the call it is in has returned."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        # A daemon: a thread stuck in the client must not keep the process alive.
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def start(self, call: Callable[[], Any]) -> Future[Any]:
        """Begin a call; its result or exception is in the future."""
        future: Future[Any] = Future()
        self._calls.put((call, future))
        return future

    def retire(self) -> None:
        """No more calls."""
        self._calls.put(None)

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            call, future = item
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:
                    future.set_exception(error)
            del call, future, item
