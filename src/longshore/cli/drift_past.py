"""The events of a range of event time, read again from `drift.events`: from where on, how far, and what is missing.

An event is written after its window's records were scored, and no record is counted whose time is more than an hour
ahead of its scoring. So what a range needs was written no earlier than an hour and a pane before it began, and the
topic's time index says where that is. Where event times are made up and run ahead of the clock, the events just before
that place give it away, and the topic is read from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from longshore.cli.app import App
from longshore.cli.drift_events import told_of
from longshore.cli.reading import Reading
from longshore.monitor.panes import FUTURE_MS
from longshore.pages.wording import time_text
from longshore.stream import Message
from longshore.tracing.drift import Told

SKEW_MS = 300_000
"""By which two machines' clocks may differ."""

PEEKED = 64
"""Offsets before the place that the time index names which are looked at, too."""


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of event time (ms); None: without that end."""

    since: int | None = None
    until: int | None = None

    def holds(self, told: Told) -> bool:
        """Whether the event's window ends after `since` and begins before `until`."""
        window = told.event.window
        return (self.since is None or window.end > self.since) and (self.until is None or window.start < self.until)


class PastEvents:
    """The range's events in the topic's order, provisional ones among them; what is `missing` is known afterwards."""

    def __init__(self, app: App, given: Range) -> None:
        self._app, self._range = app, given
        monitor = app.settings.monitor
        self._early_ms = FUTURE_MS + int(monitor.pane_s * 1_000) + SKEW_MS
        # A label may be joined up to twice the lateness after its record (docs/labels.md).
        self._late_ms = int(2_000 * monitor.label_lateness_s + 1_000 * monitor.pane_s)
        self._deleted = False
        self._first: Told | None = None

    @property
    def missing(self) -> str:
        """That retention has cut the range, in a sentence; empty where it has not."""
        if not self._deleted:
            return ""
        topic = self._app.topics.events
        if self._first is None:
            return f"Retention has deleted all that {topic} had of this range."
        since, first = self._range.since, self._first
        if since is not None and first.event.window.start <= since:
            return ""
        return (
            f"The range is cut: {topic} holds nothing from before {time_text(first.written_at)} any more (retention); "
            f"its first window there begins {time_text(first.event.window.start)}."
        )

    def __iter__(self) -> Iterator[Told]:
        """Read.

        Raises:
            UnavailableError: no broker answers.
            FormatError: what stands on the topic is no drift event.

        """
        from longshore.kafka.admin import first_offsets, offsets_since  # noqa: PLC0415  (two files need no client)

        settings, topic, since = self._app.settings, self._app.topics.events, self._range.since
        firsts = first_offsets(settings, topic)
        at = firsts
        if since is not None:
            written = offsets_since(settings, topic, max(0, since - self._early_ms))
            at = {number: max(first, written[number]) for number, first in firsts.items()}
        self._deleted = any(first > 0 and at[number] == first for number, first in firsts.items())
        starts = {number: max(firsts[number], place - PEEKED) for number, place in at.items()}
        for told, skipped in self._read(starts, at):
            if skipped and since is not None and told.event.window.end > since:
                self._deleted = any(firsts.values())
                yield from (told for told, _ in self._read(firsts, firsts) if self._range.holds(told))
                return
            if not skipped and self._range.holds(told):
                yield told

    def _read(self, starts: dict[int, int], at: dict[int, int]) -> Iterator[tuple[Told, bool]]:
        """Events from `starts` on, each with whether it lies before `at`, until nothing of the range can follow."""
        from longshore.kafka.admin import end_offsets  # noqa: PLC0415
        from longshore.kafka.reader import read_all  # noqa: PLC0415

        settings, topic, schema = self._app.settings, self._app.topics.events, self._app.schema.name
        ends, self._first = end_offsets(settings, topic), None
        reading = Reading(topic, sum(ends.values()) - sum(starts.values()))
        try:
            for batch in read_all(settings, topic, from_offsets=dict(starts)):
                for message, told in _decoded(schema, topic, batch):
                    if self._first is None and told.event.kind == "verdict" and not told.event.provisional:
                        self._first = told
                    yield told, message.offset() < at[message.partition()]
                    if self._over(told):
                        return
                reading.add(len(batch))
        finally:
            reading.clear()

    def _over(self, told: Told) -> bool:
        """Whether no later event can be about the range: labels of its records are no longer waited for."""
        event, until = told.event, self._range.until
        final = event.kind == "verdict" and not event.provisional
        return until is not None and final and event.window.start >= until + self._late_ms


def _decoded(schema: str, topic: str, batch: list[Message]) -> Iterator[tuple[Message, Told]]:
    for message in batch:
        for told in told_of(schema, topic, [message]):
            yield message, told
