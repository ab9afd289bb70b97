"""A drift event as a message for people and programs: its identity, its words, its JSON. Pure.

The same record of `drift.events` gives the same id and the same bytes, whoever makes them and however often: so a
receiver can drop a repeat. A kind without words of its own here is told by its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from longshore.pages.wording import EPOCH, count_text, listed, p_is, time_text, value_text
from longshore.records import DriftEvent, Moved, Source

TEST = "test"
"""The kind of what `longshore alerts test` sends."""

TITLES = {
    "alert": "alert",
    "resolved": "resolved",
    "retraining": "retraining asked for",
    "awaiting_labels": "waiting for fresh labels",
    "attempt_closed": "challenger turned down, the champion stays",
    "error_grew": "the error grew, by labels",
    "would_request": "a retraining would be asked for (dry run)",
    "over_budget": "no retraining is asked for: the budget is spent",
    "quality": "the data have a fault",
    "quality_over": "the data's faults are over",
    "kpi": "a KPI is beyond its bound",
    "kpi_over": "a KPI keeps its bound again",
    "fairness_alert": "errors of a group are out of bounds",
    "fairness_changed": "other groups are out of bounds",
    "fairness_over": "all groups are within their bounds",
    "quarantined": "retraining waits for the end of a fault of the data",
    TEST: "test of the alert's way; nothing is wrong",
}
"""By kind, what a subject says of it."""

PAGES = {
    "quality": "quality-fault.md", "concept": "error-grew.md", "label": "label-drift.md", "kpi": "kpi-breached.md",
    "fairness": "fairness.md", "age": "model-age.md",
}  # fmt: skip
PAGE = "drift-alarm.md"
"""The runbook page that a notice names: by cause, and for all others."""

MOST_MOVED = 3
LONGEST = 200
"""Streams named in a text; characters of a detail quoted there. The JSON has all."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One state change to be told. `source` is its place on `drift.events`, `written_ms` when it was put there."""

    event: DriftEvent
    source: Source
    written_ms: int
    model: str
    runbooks: str = ""

    @property
    def kind(self) -> str:
        """What happened: the event's kind."""
        return self.event.kind

    @property
    def id(self) -> str:
        """Equal for repeats of one state change, different for any two."""
        event, source = self.event, self.source
        parts: Iterable[Any] = (
            event.stream_set,
            event.episode,
            event.kind,
            event.detail.get("attempt", ""),
            source.topic,
            source.partition,
            source.offset,
        )
        return "msg_" + hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]

    @property
    def since_ms(self) -> int:
        """When what it is about began (event time): the episode's first window, else the event's."""
        since = self.event.detail.get("since")
        return since if isinstance(since, int) else self.event.window.start

    @property
    def runbook(self) -> str:
        """Where it is written what to do."""
        return f"{self.runbooks}docs/operations/{PAGES.get(self.event.cause, PAGE)}"

    @property
    def moved(self) -> list[Moved]:
        """The streams that moved, most moved first."""
        return [stream for stream in self.event.streams if stream.alert]

    @property
    def subject(self) -> str:
        """One line."""
        event = self.event
        title = TITLES.get(event.kind, event.kind.replace("_", " "))
        about = f"{event.cause} drift " if event.kind == "alert" and event.cause else ""
        cause = f"{event.cause}, " if event.cause and not about else ""
        return f"Longshore {event.stream_set}: {about}{title} ({cause}model {event.model_version or '–'})"

    @property
    def text(self) -> str:
        """Some lines: what moved, since when, the state, what to do."""
        event = self.event
        lines = [self.subject, ""]
        if self.moved:
            lines.append("Moved: " + listed([_moved_text(stream) for stream in self.moved], MOST_MOVED))
        window = f"; the last window has {count_text(event.window.records, 'record')}" if event.window.records else ""
        lines.append(f"Since: {time_text(self.since_ms)} (event time){window}")
        lines.append(f"State: {event.state}" + (f", episode {event.episode}" if event.episode else ""))
        lines += [f"{name.replace('_', ' ').capitalize()}: {value}" for name, value in _plain(event.detail)]
        return "\n".join([*lines, f"What to do: {self.runbook}"])

    @property
    def body(self) -> bytes:
        """The message as JSON, in the form that Standard Webhooks recommends: type, timestamp, data."""
        event = self.event
        data = {
            "id": self.id,
            "subject": self.subject,
            "text": self.text,
            "kind": event.kind,
            "cause": event.cause,
            "stream_set": event.stream_set,
            "model": self.model,
            "model_version": event.model_version,
            "episode": event.episode,
            "state": event.state,
            "since": iso(self.since_ms),
            "moved": [stream.name for stream in self.moved],
            "runbook_url": self.runbook,
            "source": self.source,
            "event": event,
        }
        return msgspec.json.encode({"type": f"drift.{event.kind}", "timestamp": iso(self.written_ms), "data": data})


def iso(at_ms: float) -> str:
    """A time (ms since epoch) as RFC 3339 has it, in UTC; the epoch for one that no calendar has."""
    try:
        at = EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        at = EPOCH
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_told(event: DriftEvent, quiet_kinds: Iterable[str]) -> bool:
    """Whether an event is a state change to be told: final, and not of a quiet kind."""
    return not event.provisional and event.kind not in quiet_kinds


def _moved_text(stream: Moved) -> str:
    return f"{stream.name} ({p_is(stream.p_value)}, PSI {value_text(stream.psi)})"


def _plain(detail: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """What of an event's detail a line can hold."""
    for name, value in detail.items():
        if isinstance(value, str | int | float) and name != "since":
            yield name, str(value)[:LONGEST]
