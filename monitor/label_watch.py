"""Labels as such, whatever was predicted: windows of them, judged for drift and for faults. Pure.

Labels are taken in the order of `drift.panes`; a window is as many whole deltas as hold `window_labels`, those that
could not be read included, or a topic full of rubbish would never be judged. Only the era's version counts. What
follows from a verdict is `longshore.monitor.episodes`'s and `.quarantine`'s decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from longshore.monitor.episode_state import Judged
from longshore.monitor.label_bins import labels_together
from longshore.monitor.label_drift import judge_labels, window_level
from longshore.monitor.label_faults import label_faults
from longshore.monitor.messages import ErrorDelta, Errors, unpack
from longshore.monitor.models import Profiles, Watched
from longshore.monitor.quality.faults import Fault
from longshore.monitor.quality.judge import QualityRules
from longshore.profile import Ints
from longshore.records import Route, Window

TAIL = 100
"""Of the newest labels so many at least are at hand, to ask whether they are broken as the loss test alarms."""


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """`window_labels`: labels of a window; `run_length`: mean number of labels between false alerts of drift, at least.

    `needed`: windows that alarm before an alert; `target`: the labels' name; `quality`: how sure a fault has to be.
    """

    window_labels: int = 1_000
    run_length: float = 1_000_000.0
    needed: int = 2
    target: str = "label"
    quality: QualityRules = field(default_factory=QualityRules)


class LabelState(msgspec.Struct):
    """What a snapshot keeps: the window in progress, packed, and the newest deltas (rows, packed).

    `first_pane`: that of the first delta, `start` and `end` the range of all, −1 before there is any.
    """

    version: str = ""
    index: int = 0
    first_pane: int = -1
    start: int = -1
    end: int = -1
    rows: int = 0
    labels: str = ""
    unreadable: dict[str, int] = {}
    tail: list[tuple[int, str]] = []


@dataclass(frozen=True, slots=True)
class LabelsSeen:
    """A window of labels: its verdict as the state machine takes it, its faults, and an event's detail."""

    judged: Judged
    faults: list[Fault]
    index: int
    detail: dict[str, Any]


class LabelWatch:
    """Takes joined labels in; tells at the end of each window."""

    def __init__(
        self, settings: LabelSettings, profiles: Profiles, pane_ms: int, state: LabelState | None = None
    ) -> None:
        self._settings, self._profiles, self._pane_ms = settings, profiles, pane_ms
        self.state = state or LabelState()

    def begin(self, version: str) -> None:
        """A version's era begins: its reference has other bins."""
        self.state = LabelState(version=version)

    def add(self, message: Errors) -> Iterator[LabelsSeen]:
        """Take in joined labels, and how many could not be read."""
        state = self.state
        watched = self._profiles.of(state.version) if state.version else None
        if watched is None or watched.profile.target is None:
            return
        for name, number in message.unreadable.items():
            state.unreadable[name] = state.unreadable.get(name, 0) + number
        for delta in message.panes:
            if (delta.version, delta.route, delta.layout) == (state.version, Route.CHAMPION.value, watched.name):
                self._take(delta)
                yield from self._complete(watched)
        yield from self._complete(watched)

    def broken_lately(self) -> list[Fault]:
        """The faults of the newest labels: of the fewest deltas, the last one first, that show any."""
        watched = self._profiles.of(self.state.version) if self.state.version else None
        packed = ""
        for _, labels in reversed(self.state.tail) if watched is not None else ():
            packed = labels_together(packed, labels) if packed else labels
            if watched is not None and packed and (found := self._faults(watched, unpack(packed), {})):
                return found
        return []

    @property
    def lately(self) -> Window:
        """The stretch of event time of the window in progress, so far."""
        state = self.state
        return Window(max(state.start, 0) * self._pane_ms, max(state.end, 0) * self._pane_ms, state.rows)

    def _take(self, delta: ErrorDelta) -> None:
        state = self.state
        state.labels = delta.labels if not state.rows else labels_together(state.labels, delta.labels)
        if not state.rows:
            state.first_pane, state.start, state.end = delta.pane, delta.pane, delta.pane + 1
        state.start, state.end = min(state.start, delta.pane), max(state.end, delta.pane + 1)
        state.rows += delta.n
        state.tail = [*state.tail, (delta.n, delta.labels)]
        while len(state.tail) > 1 and sum(rows for rows, _ in state.tail[1:]) >= TAIL:
            state.tail = state.tail[1:]

    def _complete(self, watched: Watched) -> Iterator[LabelsSeen]:
        state = self.state
        if state.rows + sum(state.unreadable.values()) < self._settings.window_labels:
            return
        yield self._seen(watched)
        state.index += 1
        state.rows, state.labels, state.unreadable = 0, "", {}

    def _seen(self, watched: Watched) -> LabelsSeen:
        state, settings = self.state, self._settings
        counts, sums = _unpacked(state.labels, watched)
        level = window_level(state.rows, settings.run_length, settings.needed)
        figures = judge_labels(watched.profile, counts, sums, level)
        faults = self._faults(watched, (counts, sums), state.unreadable)
        detail = {
            "figures": figures.to_dict() if figures else None,
            "level": level,
            "run_length": settings.run_length,
            "unreadable": dict(state.unreadable),
            "alarm": figures is not None and figures.alarm,
        }
        judged = Judged(
            version=state.version,
            first_pane=state.first_pane,
            window=self.lately,
            alarm=figures is not None and figures.alarm and not faults,
            calm=figures is not None and figures.calm,
            streams=[figures.moved(settings.target)] if figures else [],
        )
        return LabelsSeen(judged, faults, state.index, detail)

    def _faults(self, watched: Watched, window: tuple[Ints, Ints], unreadable: dict[str, int]) -> list[Fault]:
        return label_faults(watched.profile, self._settings.target, window, unreadable, self._settings.quality)


def _unpacked(labels: str, watched: Watched) -> tuple[Ints, Ints]:
    """Counts and sums of a window; zeros where it has none, or a delta of it came without."""
    size = len(watched.profile.target.counts) if watched.profile.target is not None else 0
    return unpack(labels) if labels else (np.zeros(size, np.int64), np.zeros(size, np.int64))
