"""The monitor's part: which of its events belong to a record. Pure.

Two answers, for they are two questions: what was known when the record was scored (the last event written by then), and
what was found out about its own window of event time (written later, when that window closed). Provisional verdicts are
neither: nothing followed from them, and the final one tells more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from longshore.records import DriftEvent
from longshore.tracing.trace import Drift


@dataclass(frozen=True, slots=True)
class Told:
    """An event and when it was written (ms since epoch)."""

    event: DriftEvent
    written_at: int


def drift_of(told: Sequence[Told], *, scored_at: int, event_time: int | None, version: str | None) -> Drift | None:
    """The events that belong to a record, from those around the time it was scored, in the topic's order.

    A window of the version that scored it is preferred: at a change of models both have one for the same time.
    """
    told = [one for one in told if not one.event.provisional]
    known = next((one for one in reversed(told) if one.written_at <= scored_at), None)
    verdicts = [one for one in told if one.event.kind == "verdict"]
    covering = [] if event_time is None else [one for one in verdicts if _covers(one.event, event_time)]
    before = [] if event_time is None else [one for one in verdicts if one.event.window.end <= event_time]
    own = [one for one in covering if one.event.model_version == version]
    verdict = next(iter(own or covering), None) or (before[-1] if before else None)
    if known is None and verdict is None:
        return None
    return Drift(
        known=known.event if known else None,
        known_at=known.written_at if known else None,
        verdict=verdict.event if verdict else None,
        verdict_at=verdict.written_at if verdict else None,
        covers=bool(covering),
        alert=_alert(told, event_time),
    )


def passed(event: DriftEvent, event_time: int | None) -> bool:
    """Whether the events read so far must hold the record's window: a verdict on a later one is there."""
    final = event.kind == "verdict" and not event.provisional
    return event_time is not None and final and event.window.start > event_time


def _covers(event: DriftEvent, event_time: int) -> bool:
    return event.window.start <= event_time < event.window.end


def _alert(told: Sequence[Told], event_time: int | None) -> DriftEvent | None:
    """The alert whose windows the record is in, else None."""
    alerts = (one.event for one in told if one.event.kind == "alert")
    return next((event for event in alerts if event_time is not None and _covers(event, event_time)), None)
