"""Groups of rows from window to window of labels: what is told of them, the episode while one is out of bounds. Pure.

Deltas are taken in the order of `drift.panes`, as `harm` takes them; a window is as many whole ones as hold
`window_labels` labels. A breach that comes in `needed` of `among` windows opens the one fairness episode there is at a
time; a breach is over after `among` windows in a row with its value within the limit, and the episode with the last of
them or with the version's era. It asks for no retraining.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from longshore.monitor.errors import MOST
from longshore.monitor.fairness import Finding, Limits, empty, figures, judge
from longshore.monitor.groups import GROUP_TOTALS, Group, Scheme
from longshore.monitor.messages import ErrorDelta, Errors, pack_counts, unpack_counts
from longshore.monitor.models import Profiles, Watched
from longshore.profile import Ints
from longshore.records import Route, Window

FAIRNESS = "fairness"
"""The kind of a window's event, and the cause of all of them."""

ALERT, CHANGED, OVER = "fairness_alert", "fairness_changed", "fairness_over"


@dataclass(frozen=True, slots=True)
class FairnessRules:
    """What is compared, and when it is told: see `FairnessSettings` and `monitor.persistence`."""

    scheme: Scheme = field(default_factory=lambda: Scheme({}))
    limits: Limits = field(default_factory=lambda: Limits({}))
    window_labels: int = 2_000
    needed: int = 2
    among: int = 3


class Course(msgspec.Struct):
    """One measure of one group: which of the last windows breached its limit, and how often in a row it was within it.

    `recent`: the starts (event time, ms) of those windows, −1 for one without a breach. `lasting`: it is part of the
    episode, `since` the first of them.
    """

    attribute: str
    group: str
    measure: str
    recent: list[int] = []
    since: int = 0
    within: int = 0
    lasting: bool = False
    value: float = 0.0
    limit: float = 0.0

    @property
    def name(self) -> tuple[str, str, str]:
        """What it is about."""
        return self.attribute, self.group, self.measure


class FairnessState(msgspec.Struct):
    """What a snapshot keeps: the window in progress, and what has become of each measure of each group."""

    version: str = ""
    index: int = 0
    first_pane: int = -1
    end_pane: int = -1
    labels: int = 0
    ungrouped: int = 0
    totals: str = ""
    courses: list[Course] = []
    episode: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True)
class FairnessTold:
    """Something to tell; `window` None: as the last window."""

    kind: str
    detail: dict[str, Any]
    window: Window | None = None
    index: int = -1
    episode: str = ""
    p_value: float = 1.0

    def given(self) -> dict[str, Any]:
        """As the fields of an event, beside kind and detail."""
        where = {} if self.window is None else {"window": self.window, "index": self.index}
        return where | {"cause": FAIRNESS, "episode": self.episode, "p_value": self.p_value}


class FairnessWatch:
    """Takes joined labels in; tells at the end of each window, and of the episode."""

    def __init__(
        self, rules: FairnessRules, profiles: Profiles, pane_ms: int, state: FairnessState | None = None
    ) -> None:
        self._rules, self._profiles, self._pane_ms = rules, profiles, pane_ms
        self.state = state or FairnessState()

    def begin(self, version: str) -> list[FairnessTold]:
        """A version's era begins: nothing is known of its errors, and the episode was another's."""
        before, self.state = self.state, FairnessState(version=version)
        if not before.episode:
            return []
        detail = {"reason": "a newer model's era began", "since": before.since, "breaches": []}
        return [FairnessTold(OVER, detail, episode=before.episode)]

    def add(self, message: Errors) -> Iterator[FairnessTold]:
        """Take in joined labels; those of another version, or counted with another profile, are left out."""
        state = self.state
        watched = self._profiles.of(state.version) if state.version and self._rules.scheme else None
        if watched is None:
            return
        for delta in message.panes:
            if (delta.version, delta.route, delta.layout) == (state.version, Route.CHAMPION.value, watched.name):
                yield from self._take(delta, watched)

    def _take(self, delta: ErrorDelta, watched: Watched) -> Iterator[FairnessTold]:
        state, groups = self.state, self._rules.scheme.groups(watched.profile)
        held = _unpacked(state.totals, len(groups))
        more = _unpacked(delta.groups, len(groups)) if delta.grouping == self._rules.scheme.name else None
        state.labels += delta.n
        state.ungrouped += delta.n if more is None else 0
        state.first_pane = delta.pane if state.first_pane < 0 else min(state.first_pane, delta.pane)
        state.end_pane = max(state.end_pane, delta.pane + 1)
        totals = np.minimum((empty(len(groups)) if held is None else held) + (0 if more is None else more), MOST)
        state.totals = pack_counts(totals.ravel())
        if state.labels >= self._rules.window_labels:
            yield from self._judged(watched, groups, totals)
            state.index += 1
            state.first_pane, state.end_pane, state.labels, state.ungrouped, state.totals = -1, -1, 0, 0, ""

    def _judged(self, watched: Watched, groups: Sequence[Group], totals: Ints) -> Iterator[FairnessTold]:
        state, limits = self.state, self._rules.limits
        found = judge(groups, totals, watched.profile, limits)
        window = Window(state.first_pane * self._pane_ms, state.end_pane * self._pane_ms, state.labels)
        change = self._moved(found, window)
        p_value = min((each.p_value for each in found), default=1.0)
        detail = {
            "groups": figures(groups, totals, watched.profile, limits.min_rows),
            "findings": [each.to_dict() for each in found],
            "lasting": self._plain(),
            "ungrouped": state.ungrouped,
            "alpha": limits.alpha,
        }
        yield FairnessTold(FAIRNESS, detail, window, state.index, state.episode, p_value)
        if change is not None:
            kind, episode = change
            reason = {"reason": f"within the limits in {self._rules.among} windows in a row"} if kind == OVER else {}
            told = reason | {"breaches": self._plain(), "since": state.since, "text": self._text()}
            yield FairnessTold(kind, told, window, state.index, episode, p_value)
            if kind == OVER:
                state.since = 0

    def _moved(self, found: Sequence[Finding], window: Window) -> tuple[str, str] | None:
        """Moves every course; what is to be told of the episode, and its id."""
        state, before = self.state, [course.name for course in self.lasting]
        courses = {course.name: course for course in state.courses}
        for finding in found:
            name = (finding.group.attribute, finding.group.name, finding.measure)
            self._move(courses.setdefault(name, Course(*name)), finding, window.start)
        state.courses = [course for course in courses.values() if course.lasting or max(course.recent, default=-1) >= 0]
        after = [course.name for course in self.lasting]
        if not before and after:
            state.since = min(course.since for course in self.lasting)
            state.episode = hashlib.sha256(f"{FAIRNESS}|{state.version}|{state.since}".encode()).hexdigest()[:16]
            return ALERT, state.episode
        if before and not after:
            episode, state.episode = state.episode, ""
            return OVER, episode
        return (CHANGED, state.episode) if before != after else None

    def _move(self, course: Course, finding: Finding, start: int) -> None:
        course.recent = [*course.recent, start if finding.breach else -1][-self._rules.among :]
        breached = [at for at in course.recent if at >= 0]
        course.within = course.within + 1 if finding.within else 0
        course.value, course.limit = finding.value, finding.limit
        if finding.breach and len(breached) >= self._rules.needed and not course.lasting:
            course.lasting, course.since = True, min(breached)
        elif course.within >= self._rules.among:
            course.lasting, course.recent = False, []

    @property
    def lasting(self) -> list[Course]:
        """What is out of bounds, and has been for some windows."""
        return sorted((course for course in self.state.courses if course.lasting), key=lambda course: course.name)

    def _plain(self) -> list[dict[str, Any]]:
        return [
            {
                "attribute": each.attribute, "group": each.group, "measure": each.measure, "value": each.value,
                "limit": each.limit, "since": each.since,
            }
            for each in self.lasting
        ]  # fmt: skip

    def _text(self) -> str:
        return "; ".join(
            f"{each.attribute}: {each.group}: {each.measure} {each.value:.3g} (limit {each.limit:g})"
            for each in self.lasting
        )


def _unpacked(text: str, groups: int) -> Ints | None:
    """The sums of all groups and all rows; None where they are of other groups."""
    flat = unpack_counts(text) if text else np.zeros(0, np.int64)
    return flat.reshape(-1, GROUP_TOTALS) if len(flat) == (groups + 1) * GROUP_TOTALS else None
