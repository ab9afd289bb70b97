"""Requests that wait while the model is busy are joined into one call of it; one that comes alone starts at once.

One worker thread runs the calls, the event loop hands them out. Both bounds are in rows: how many a call joins, and how
many may wait. Nothing here knows what a job is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class BusyError(Exception):
    """So many rows wait already that this request would wait longer than is useful."""


@dataclass(slots=True)
class _Waiting(Generic[Job, Result]):
    job: Job
    rows: int
    future: asyncio.Future[Result]


class Batcher(Generic[Job, Result]):
    """Hands jobs to `work` in order, as many at once as wait and have at most `max_rows` rows together (or one job).

    `work` runs in one thread of its own and answers with one result per job. What it raises, each of its jobs raises.
    """

    def __init__(self, work: Callable[[list[Job]], Sequence[Result]], *, max_rows: int, queue_rows: int) -> None:
        self._work = work
        self._max_rows = max_rows
        self._queue_rows = queue_rows
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._queue: deque[_Waiting[Job, Result]] = deque()
        self._queued_rows = 0
        self._task: asyncio.Task[None] | None = None

    async def submit(self, job: Job, rows: int) -> Result:
        """The job's result.

        Raises:
            BusyError: more than `queue_rows` rows would wait.

        """
        if self._queue and self._queued_rows + rows > self._queue_rows:
            raise BusyError
        waiting = _Waiting[Job, Result](job, rows, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued_rows += rows
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await waiting.future

    async def turn(self) -> None:
        """Return once the worker thread has been free for an instant: proof that it goes round."""
        await asyncio.get_running_loop().run_in_executor(self._thread, _nothing)

    def close(self) -> None:
        """End the worker thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._take():
            try:
                results = await loop.run_in_executor(self._thread, self._work, [waiting.job for waiting in batch])
            except Exception as error:
                for waiting in batch:
                    if not waiting.future.done():
                        waiting.future.set_exception(error)
                continue
            for waiting, result in zip(batch, results, strict=True):
                if not waiting.future.done():
                    waiting.future.set_result(result)
        self._task = None  # no await since the queue was found empty: nobody can have come in between

    def _take(self) -> list[_Waiting[Job, Result]]:
        batch: list[_Waiting[Job, Result]] = []
        rows = 0
        while self._queue and (not batch or rows + self._queue[0].rows <= self._max_rows):
            waiting = self._queue.popleft()
            self._queued_rows -= waiting.rows
            if not waiting.future.done():  # its caller has gone
                batch.append(waiting)
                rows += waiting.rows
        return batch


def _nothing() -> None:
    """A turn of the worker thread."""
