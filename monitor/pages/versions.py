"""The model versions that were in use in a page's range: from when to when, and how each came into use. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from longshore.pages import document
from longshore.pages.markup import Markup, tag
from longshore.pages.wording import count_text, span_text, time_text
from longshore.records import ModelEvent, ModelEventKind
from longshore.tracing.drift import Told

MOVES = (ModelEventKind.PROMOTED, ModelEventKind.ROLLED_BACK)

REMEMBERED = 100
"""Eras kept, the newest."""


@dataclass(slots=True)
class InUse:
    """One generation: the stretch of event time of its windows, and what was judged of it; `how` it came into use."""

    version: str
    generation: int
    start: int
    end: int
    windows: int = 0
    records: int = 0
    labels: int = 0
    alerts: int = 0
    began: bool = False
    how: list[str] = field(default_factory=list)


class Versions:
    """Gathers eras in the topic's order."""

    name = "versions"

    def __init__(self) -> None:
        self.found: dict[int, InUse] = {}

    def add(self, told: Told) -> None:
        """Take in the next event."""
        event = told.event
        if not event.model_version:
            return
        window = event.window
        one = self.found.get(event.generation)
        if one is None:
            if event.kind not in ("verdict", "era"):
                return  # of labels or of an episode that ended as the range began: nothing of it was judged here
            one = InUse(event.model_version, event.generation, window.start, window.end, began=event.kind == "era")
            self.found[event.generation] = one
            if len(self.found) > REMEMBERED:
                del self.found[next(iter(self.found))]
        if event.kind == "verdict":
            one.end = max(one.end, window.end)
            one.windows += 1
            one.records += window.records
        one.labels += window.records if event.kind == "performance" else 0
        one.alerts += event.kind == "alert"

    def outcome(self, event: ModelEvent) -> None:
        """How a generation was made."""
        one = self.found.get(event.generation)
        if one is not None and event.kind in MOVES and event.version == one.version:
            asked = f", request {event.trigger_id}" if event.trigger_id else ""
            by = f" by {event.actor}" if event.actor else ""
            one.how.append(
                f"{event.kind.value.replace('_', ' ')} {time_text(event.time)}{by}{asked}: {event.reason or '–'}"
            )

    def shown(self) -> Markup | None:
        """The table, oldest first."""
        if not self.found:
            return None
        rows = [
            tag(
                "tr",
                tag("th", one.version, tag("small", f"generation {one.generation}"), scope="row"),
                tag("td", "" if one.began else "before, to ", time_text(one.start if one.began else one.end)),
                tag("td", span_text(max(one.end - one.start, 0))),
                tag("td", count_text(one.windows)),
                tag("td", count_text(one.records)),
                tag("td", count_text(one.labels)),
                tag("td", count_text(one.alerts), class_="over" if one.alerts else None),
                tag("td", "; ".join(one.how) or "–", class_="why"),
            )
            for one in self.found.values()
        ]
        heads = ("version", "in use from (event time)", "for", "windows", "records", "labels", "alerts", "how")
        caption = "Oldest first; what was judged of each in this range."
        return tag("section", tag("h2", "Versions in use", id="versions"), document.table(caption, heads, rows, "told"))

    def to_dict(self) -> list[dict[str, Any]]:
        """Every generation."""
        return [
            {
                "version": one.version,
                "generation": one.generation,
                "start": one.start,
                "end": one.end,
                "began_in_range": one.began,
                "windows": one.windows,
                "records": one.records,
                "labels": one.labels,
                "alerts": one.alerts,
                "how": one.how,
            }
            for one in self.found.values()
        ]
