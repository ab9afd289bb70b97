"""Labelled errors of the model in use, as they are decided on: figures by window of labels, and the loss test. Pure.

Deltas are taken in the order of `drift.panes`, so that a replay gives the same. A window is as many whole deltas as
hold `window_labels` labels, in the order in which they were joined: it is told as it stands then, and what comes later
for its panes is in a later one. Only the era's version counts; an era begins with nothing. What follows is
`episodes`'s decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import numpy as np

from longshore.error_profile import SEGMENT_TOTALS
from longshore.monitor.class_figures import class_figures
from longshore.monitor.errors import MOST, numbers, scales_of
from longshore.monitor.loss_test import LossEvidence, LossState, LossTest, why_not
from longshore.monitor.messages import ErrorDelta, Errors, pack_counts, pack_small, unpack_counts, unpack_small
from longshore.monitor.models import Profiles, Watched
from longshore.monitor.performance import Excess, Figures, excess, figures_of, segment_errors, validation_of
from longshore.profile import Ints
from longshore.records import Route, Window

SEGMENTS_TOLD = 64
LEFT_OUT = ("duplicates", "conflicting", "late", "unmatched", "unlabelled")


@dataclass(frozen=True, slots=True)
class HarmSettings:
    """`window_labels`: labels of a window; `run_length`: mean number of labels between the loss test's false alarms.

    `interval`: the level of the intervals that predictions are published with, None where they are not.
    """

    window_labels: int = 1_000
    run_length: float = 1_000_000.0
    interval: float | None = None


class HarmState(msgspec.Struct):
    """What a snapshot keeps of one version's labels: the window in progress, the test, and what was left out.

    `since` are the sums since the test's evidence was last low; `index` counts windows, `told`: the
    test's alarm is known.
    """

    version: str = ""
    index: int = 0
    first_pane: int = -1
    end_pane: int = -1
    sums: list[int] = []
    segments: str = ""
    classes: str = ""
    since: list[int] = []
    test: LossState = msgspec.field(default_factory=LossState)
    told: bool = False
    left_out: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class ErrorSeen:
    """What the labels say at one moment, as the state machine takes it.

    Attributes:
        version: the model's.
        first_pane: the first pane the evidence is from.
        window: the stretch of event time and the labels it is from.
        since: the same of what the loss test's evidence is from.
        complete: whether this ends a window of labels; else the loss test's alarm has come within one.
        alarm: whether the loss test is over its limit, and the error noticeably larger.
        grew: whether the window's error is significantly above validation's.
        calm: whether it is not, by a far wider level, and the test is not over its limit.
        evidence: for a request: figures then and now, the test, and which way the errors moved.
        detail: for an event.

    """

    version: str
    first_pane: int
    window: Window
    since: Window
    complete: bool
    alarm: bool
    grew: bool
    calm: bool
    evidence: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    index: int = -1


class HarmWatch:
    """Takes joined labels in; tells at the end of each window, and when the loss test first alarms."""

    def __init__(
        self, settings: HarmSettings, profiles: Profiles, pane_ms: int, state: HarmState | None = None
    ) -> None:
        self._settings = settings
        self._profiles = profiles
        self._pane_ms = pane_ms
        self.state = state or HarmState()
        self._test: LossTest | None = None
        self._tested = ""

    def begin(self, version: str) -> None:
        """A version's era begins: nothing is known of its errors."""
        self.state = HarmState(version=version)

    def restart(self) -> None:
        """The loss test begins anew: an episode is over, and the stated run length counts from here."""
        self.state.test, self.state.since, self.state.told = LossState(), [], False

    @property
    def first_pane(self) -> int:
        """The first pane from which labels may count as evidence, −1 for none: those must be kept count of."""
        return self.state.test.first_pane

    def add(self, message: Errors) -> Iterator[ErrorSeen]:
        """Take in joined labels; a delta of another version, or counted with another profile, is left out."""
        state = self.state
        for name in LEFT_OUT:
            state.left_out[name] = state.left_out.get(name, 0) + getattr(message, name)
        watched = self._profiles.of(state.version) if state.version else None
        if watched is None:
            return
        for delta in message.panes:
            if (delta.version, delta.route, delta.layout) == (state.version, Route.CHAMPION.value, watched.name):
                yield from self._take(delta, watched)

    def stands(self) -> LossEvidence | None:
        """How the loss test stands; None where none is made, or no label has come."""
        watched = self._profiles.of(self.state.version) if self.state.version else None
        test = self._test_of(watched) if watched is not None else None
        return None if test is None else test.stands(self.state.test)

    def _take(self, delta: ErrorDelta, watched: Watched) -> Iterator[ErrorSeen]:
        state, values = self.state, [*numbers(delta)]
        state.sums = _added(state.sums, values)
        state.segments = _segments(state.segments, delta.segments, fresh=state.first_pane < 0)
        state.classes = delta.classes if state.first_pane < 0 else _small(state.classes, delta.classes)
        state.first_pane = delta.pane if state.first_pane < 0 else min(state.first_pane, delta.pane)
        state.end_pane = max(state.end_pane, delta.pane + 1)
        found = self._tested_with(delta, watched)
        complete = state.sums[0] >= self._settings.window_labels
        alarm = found is not None and found.alarm and self._noticeable(watched)
        state.told = state.told and alarm
        if complete or (alarm and not state.told):
            state.told = alarm
            yield self._seen(watched, found, complete=complete, alarm=alarm)
        if complete:
            state.index += 1
            state.sums, state.segments, state.classes, state.first_pane, state.end_pane = [], "", "", -1, -1

    def _tested_with(self, delta: ErrorDelta, watched: Watched) -> LossEvidence | None:
        state, test = self.state, self._test_of(watched)
        if test is None:
            return None
        counts = unpack_small(delta.bins)
        found = test.add(state.test, counts, delta.pane) if len(counts) else test.stands(state.test)
        state.since = _added([] if state.test.since <= delta.n else state.since, [*numbers(delta)])
        return found

    def _test_of(self, watched: Watched) -> LossTest | None:
        if self._tested != watched.name:
            self._test = LossTest.of(watched.profile.errors, self._settings.run_length)
            self._tested = watched.name
        return self._test

    def _noticeable(self, watched: Watched) -> bool:
        """Whether the error since the evidence began is larger by more than the floor; few rows have to do."""
        then, now = validation_of(watched.profile), figures_of(self.state.since, scales_of(watched.profile))
        if then is None or now is None:
            return False
        return Excess(_ratio(now.rmse, then.rmse), _ratio(now.mae, then.mae), 0.0).noticeable

    def _seen(self, watched: Watched, found: LossEvidence | None, *, complete: bool, alarm: bool) -> ErrorSeen:
        state, profile = self.state, watched.profile
        *_, covered, intervals = state.sums
        now = figures_of(state.sums, scales_of(profile), covered, intervals)
        then = validation_of(profile)
        grown = excess(now, then)
        window = Window(state.first_pane * self._pane_ms, state.end_pane * self._pane_ms, state.sums[0])
        since = state.test.first_pane
        tested = 0 <= since < state.end_pane
        told = self._told(watched, now, then, grown, found)
        return ErrorSeen(
            version=state.version,
            first_pane=since if tested else state.first_pane,
            window=window,
            since=Window(since * self._pane_ms, state.end_pane * self._pane_ms, state.test.since) if tested else window,
            complete=complete,
            alarm=alarm,
            grew=grown is not None and grown.grew,
            calm=not alarm and (grown is None or grown.calm),
            evidence={name: told[name] for name in ("figures", "validation", "excess", "loss_test", "moved")},
            detail=told | self._where(watched) | {"left_out": dict(state.left_out)},
            index=state.index,
        )

    def _told(
        self, watched: Watched, now: Figures | None, then: Figures | None, grown: Excess | None,
        found: LossEvidence | None,
    ) -> dict[str, Any]:  # fmt: skip
        test: dict[str, Any] = {"untested": why_not(watched.profile.errors) or "no label yet"}
        if found is not None:
            test = asdict(found) | {"labels": self.state.test.labels, "run_length": self._settings.run_length}
        return {
            "figures": now.to_dict() if now else None,
            "validation": then.to_dict() if then else None,
            "excess": grown.to_dict() if grown else None,
            "loss_test": test,
            "moved": moved_text(found) if found is not None else "",
        }

    def _where(self, watched: Watched) -> dict[str, Any]:
        flat = unpack_counts(self.state.segments) if self.state.segments else np.zeros(0, np.int64)
        found = segment_errors(watched.profile, flat.reshape(-1, SEGMENT_TOTALS))
        return {
            "by_segment": [asdict(each) for each in found[:SEGMENTS_TOLD]],
            "expected_coverage": self._settings.interval,
            "classification": self._classes(watched),
        }

    def _classes(self, watched: Watched) -> dict[str, Any] | None:
        """Figures now and then, where the target is one of two classes."""
        known = watched.profile.errors
        if not self.state.classes or known is None or not len(known.classes):
            return None
        return {"now": class_figures(unpack_small(self.state.classes)), "then": class_figures(known.classes)}


def moved_text(found: LossEvidence) -> str:
    """Which way the errors moved, by the bet that leads."""
    ways = []
    if found.shift:
        ways.append("predictions have become too high" if found.shift > 0 else "predictions have become too low")
    if found.width > 1.0:
        ways.append("errors have become wider")
    return " and ".join(ways)


def _added(held: list[int], more: list[int]) -> list[int]:
    return [min(a + b, MOST) for a, b in zip(held, more, strict=True)] if held else more


def _segments(held: str, more: str, *, fresh: bool) -> str:
    """The sum of packed segments; none where any delta of the window was counted without."""
    if fresh:
        return more
    if not held or not more:
        return ""
    one, other = unpack_counts(held), unpack_counts(more)
    return pack_counts(_together(one, other)) if len(one) == len(other) else ""


def _small(held: str, more: str) -> str:
    one, other = unpack_small(held), unpack_small(more)
    return pack_small(_together(one, other)) if len(one) == len(other) else ""


def _together(one: Ints, other: Ints) -> Ints:
    return np.asarray(np.minimum(one + other, MOST), dtype=np.int64)


def _ratio(now: float, then: float) -> float:
    return now / then if then else float("inf")
