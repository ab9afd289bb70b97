"""Alerts and requests on a page: what was told and asked for in the range, why, and what became of it. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from longshore.monitor.pages.history import number
from longshore.monitor.pages.quality import KINDS, faults_text
from longshore.monitor.pages.story import outcome_text, step_text
from longshore.pages import document
from longshore.pages.markup import Markup, tag
from longshore.pages.wording import count_text, time_text
from longshore.records import OF_WINDOWS, DriftEvent, ModelEvent
from longshore.tracing.drift import Told

REMEMBERED = 400
"""State changes kept, the newest."""

WORDS = {
    "alert": "alert", "resolved": "resolved", "retraining": "request", "would_request": "request (dry run)",
    "awaiting_labels": "waits for labels", "attempt_closed": "turned down", "error_grew": "error grew",
    "over_budget": "over budget", "quarantined": "quarantined", "quality": "fault", "quality_over": "fault over",
}  # fmt: skip
TONES = {"alert": "bad", "quality": "bad", "error_grew": "bad", "retraining": "watch", "would_request": "watch"}


@dataclass(slots=True)
class Change:
    """One state change: when it was written, and what the event says of it."""

    at: int
    event: DriftEvent
    outcome: str = ""

    @property
    def trigger_id(self) -> str:
        """The request's, empty for other changes."""
        return str(self.event.detail.get("trigger_id") or "")

    @property
    def why(self) -> str:
        """In words."""
        if self.event.kind in KINDS:
            return faults_text(self.event)
        return f"{age_text(self.event.detail)}{step_text(self.event)}"


def age_text(detail: dict[str, Any]) -> str:
    """That a model has become old, where the event says how old it is."""
    age, most = number(detail, "age_days"), number(detail, "max_age_days")
    if age is None or most is None:
        return ""
    return f"The model has been in use for {age:.3g} days of event time, {most:.3g} are allowed. "


class Asked:
    """Gathers state changes; the page has a row for each."""

    name = "changes"

    def __init__(self) -> None:
        self.found: deque[Change] = deque(maxlen=REMEMBERED)
        self._left_out = 0

    def add(self, told: Told) -> None:
        """Take in the next event."""
        if told.event.kind in OF_WINDOWS:
            return
        self._left_out += len(self.found) == REMEMBERED
        self.found.append(Change(told.written_at, told.event))

    def outcome(self, event: ModelEvent) -> None:
        """What became of a request."""
        for change in self.found:
            if change.event.kind == "retraining" and change.trigger_id and change.trigger_id == event.trigger_id:
                change.outcome = outcome_text(event)

    def shown(self) -> Markup | None:
        """The table, oldest first."""
        if not self.found:
            return None
        rows = [_row(change) for change in self.found]
        heads = ("written", "window to (event time)", "what", "cause", "why, and what became of it", "model")
        told = f"{count_text(self._left_out, 'older one')} are left out. " if self._left_out else ""
        caption = f"{told}Oldest first. Requests with their reasons; outcomes as the registry has them."
        return tag(
            "section", tag("h2", "Alerts and requests", id="changes"), document.table(caption, heads, rows, "told")
        )

    def to_dict(self) -> list[dict[str, Any]]:
        """Every change with its evidence."""
        return [
            {
                "written_at": change.at,
                "kind": change.event.kind,
                "cause": change.event.cause,
                "episode": change.event.episode,
                "model_version": change.event.model_version,
                "window": change.event.window,
                "why": change.why,
                "trigger_id": change.trigger_id,
                "outcome": change.outcome,
            }
            for change in self.found
        ]


def _row(change: Change) -> Markup:
    event = change.event
    what = WORDS.get(event.kind, event.kind.replace("_", " "))
    tone = TONES.get(event.kind)
    outcome = tag("small", change.outcome) if change.outcome else None
    return tag(
        "tr",
        tag("td", time_text(change.at)),
        tag("td", time_text(event.window.end)),
        tag("td", tag("span", what, class_=f"pill {tone}") if tone else what),
        tag("td", event.cause or "–"),
        tag("td", change.why, outcome, class_="why"),
        tag("td", event.model_version),
    )
