"""Reports by the calendar: one for every day or week that is over, until SIGTERM.

Whatever has to be remembered is the folder: a slot whose page is there was made. After a pause only the last slot that
is over is made up for; earlier ones can be had with `--since` and `--until` as long as the topic holds them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from longshore import telemetry
from longshore.cli.app import App
from longshore.cli.drift_folder import ReportFolder
from longshore.cli.drift_page import make
from longshore.cli.drift_past import Range
from longshore.errors import LongshoreError
from longshore.pages.wording import time_text
from longshore.service import Runtime
from longshore.slots import last_over

log = structlog.get_logger()

TICK_S = 10.0


class StoppedError(Exception):
    """The service ends while a report is made: nothing of it is left."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Makes the report that is due. `wait_ms`: how long after a slot's end, so that its last windows are judged."""

    app: App
    folder: ReportFolder
    schedule: str
    at_minute: int
    wait_ms: int
    clock: Callable[[], float] = time.time

    def tick(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> bool:
        """Make the last slot's report where it is not there; tells whether it did.

        Raises:
            LongshoreError: Kafka cannot be read or the folder written; the next tick tries again.

        """
        now_ms = int(self.clock() * 1_000)
        slot = last_over(self.schedule, self.at_minute, now_ms - self.wait_ms)
        if self.folder.has(slot):
            return False

        def alive() -> None:
            if stop.is_set():
                raise StoppedError
            beat()

        made = make(self.app, Range(slot.start, slot.end), now_ms=now_ms, alive=alive)
        page = self.folder.put(slot, made, time_text(now_ms))
        telemetry.REPORT_WRITTEN.set_to_current_time()
        log.info("report written", path=str(page), judged=made.judged, missing=made.missing, told=made.sentence)
        return True


def follow(reporter: Reporter, runtime: Runtime, tick_s: float = TICK_S) -> None:
    """Tick until stopped; what fails is logged and tried again."""
    reporter.folder.prepare()
    runtime.set_ready(True)
    while not runtime.stop.is_set():
        runtime.beat()
        try:
            reporter.tick(runtime.stop, runtime.beat)
        except StoppedError:
            return
        except LongshoreError as error:
            log.warning("report not made yet", error=str(error))
        runtime.stop.wait(tick_s)
