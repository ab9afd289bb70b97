"""The join of labels on a page: how many met their prediction in the range, and what was left out, by reason. Pure.

A `performance` event tells what was left out since its version's era began; the range's figures are differences of
those. What was left out before the range's first window of labels is not known to be of the range, and not counted.
"""

from __future__ import annotations

from typing import Any

from longshore.pages import document
from longshore.pages.markup import Markup, tag
from longshore.pages.wording import count_text, share_text, span_text, time_text
from longshore.records import ModelEvent
from longshore.tracing.drift import Told

REASONS = {
    "duplicates": "the same label again",
    "conflicting": "another label for a record that has one",
    "late": "later than the lateness allows",
    "unmatched": "its prediction did not come in time",
    "unlabelled": "predictions that expired without a label",
}


class JoinedLabels:
    """Gathers windows of labels."""

    name = "labels"

    def __init__(self) -> None:
        self.joined = 0
        self.windows = 0
        self.left_out: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._generation: int | None = None
        self._first: int | None = None
        self._last = 0

    def add(self, told: Told) -> None:
        """Take in the next event: windows of labels are counted, an era begins the sums anew."""
        event = told.event
        if event.kind == "era":
            self._before, self._generation = {}, event.generation
        if event.kind != "performance":
            return
        counts = event.detail.get("left_out")
        found = {name: value for name, value in (counts or {}).items() if isinstance(value, int)}
        if event.generation != self._generation:
            self._before, self._generation = found, event.generation
        for name, value in found.items():
            self.left_out[name] = self.left_out.get(name, 0) + max(value - self._before.get(name, 0), 0)
        self._before = found
        self.joined += event.window.records
        self.windows += 1
        self._first = event.window.start if self._first is None else min(self._first, event.window.start)
        self._last = max(self._last, event.window.end)

    def outcome(self, event: ModelEvent) -> None:
        """Nothing here is about versions."""

    @property
    def labels(self) -> int:
        """All that came, joined or not."""
        return self.joined + sum(value for name, value in self.left_out.items() if name != "unlabelled")

    def shown(self) -> Markup | None:
        """What came and what became of it."""
        if not self.windows:
            return None
        known = {**REASONS, **{name: name for name in self.left_out if name not in REASONS}}
        rows = [self._row("joined", "met their prediction", self.joined, self.labels)]
        rows += [
            self._row(name, text, self.left_out.get(name, 0), self.labels if name != "unlabelled" else 0)
            for name, text in known.items()
        ]
        caption = (
            f"{count_text(self.windows, 'window')} of labels, for records of {time_text(self._first)} to "
            f"{time_text(self._last)} ({span_text(self._last - (self._first or 0))} of event time). What was left out "
            "is counted from the range's first window of labels on."
        )
        table = document.table(caption, ("labels", "what", "number", "share"), rows, "told")
        return tag("section", tag("h2", "Labels and their predictions", id="labels"), table)

    @staticmethod
    def _row(name: str, text: str, number: int, of: int) -> Markup:
        return tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", text, class_="left"),
            tag("td", count_text(number)),
            tag("td", share_text(number / of) if of else "–"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"joined": self.joined, "windows": self.windows, "left_out": dict(self.left_out)}
