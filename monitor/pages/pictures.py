"""Distributions then and now, from what events hold: an alert's picture, or a verdict's bins of every stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from longshore.monitor.pages.moved import Distribution, distribution
from longshore.monitor.pages.usual_lines import reference_bins
from longshore.pages.wording import time_text
from longshore.profile import Profile
from longshore.records import DriftEvent


@dataclass(frozen=True, slots=True)
class Picture:
    """One stream's bins as an event has them: `then` is None where the profile must tell."""

    labels: list[str]
    edges: list[float]
    then: list[float] | None
    now: list[float]
    event: DriftEvent

    def drawn(self, profile: Profile | None, name: str) -> Distribution | None:
        """Both sides; None where the reference is not known, or has other bins."""
        then, labels, edges = self.then, self.labels, self.edges
        if then is None:
            stream = next((s for s in profile.streams if s.name == name), None) if profile else None
            if stream is None:
                return None
            labels, edges, counts = reference_bins(stream)
            then = [float(count) for count in counts]
        if not len(labels) == len(then) == len(self.now):
            return None
        rows = self.event.window.records
        source = f"now: the window to {time_text(self.event.window.end)}"
        source += ", at the alert" if self.event.kind == "alert" else ""
        sides = (float(profile.rows if profile else rows), float(rows))
        return distribution(labels, edges, then, self.now, rows=sides, source=source)


class Pictures:
    """The latest picture of each stream."""

    def __init__(self) -> None:
        self._found: dict[str, Picture] = {}

    def add(self, event: DriftEvent) -> None:
        """Take in an event that may hold pictures; those of another model are no longer valid."""
        if event.kind == "era":
            self._found = {}
        self._found |= pictures_of(event)

    def distribution(self, name: str, profile: Profile | None) -> Distribution | None:
        """The stream's bins; without its present shares where no event had them, None where nothing is known."""
        picture = self._found.get(name)
        drawn = picture.drawn(profile, name) if picture else None
        if drawn is not None or profile is None:
            return drawn
        stream = next((stream for stream in profile.streams if stream.name == name), None)
        if stream is None:
            return None
        labels, edges, counts = reference_bins(stream)
        return distribution(labels, edges, counts.tolist(), None, rows=(profile.rows, 0))


def pictures_of(event: DriftEvent) -> dict[str, Picture]:
    """The streams whose bins an event holds.

    An alert: `stream`, `bins` (labels), `edges`, `reference`, `current`. A verdict: `bins`, by stream, with the same
    names (labels also as `labels`), or just the present counts of the profile's bins.
    """
    detail = event.detail
    if isinstance(detail.get("stream"), str):
        picture = _picture(detail, event)
        return {detail["stream"]: picture} if picture else {}
    bins = detail.get("bins")
    if not isinstance(bins, dict):
        return {}
    found = {str(name): _picture(value, event) for name, value in bins.items()}
    return {name: picture for name, picture in found.items() if picture}


def _picture(value: Any, event: DriftEvent) -> Picture | None:
    if isinstance(value, list):
        now = _numbers(value)
        return Picture([], [], None, now, event) if now else None
    if not isinstance(value, dict):
        return None
    labels = value.get("labels") or value.get("bins")
    now, then = _numbers(value.get("current")), _numbers(value.get("reference"))
    if not now:
        return None
    if not isinstance(labels, list) or not then:
        return Picture([], [], None, now, event)
    return Picture([str(label) for label in labels], _numbers(value.get("edges")), then, now, event)


def _numbers(given: Any) -> list[float]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        return []
    return [float(each) for each in given if isinstance(each, int | float)]
