"""While data are broken nothing is retrained on them: which faults last, and what waits for their end. Pure.

A fault begins with the first window that has it and is over after `CLEAN` windows in a row without it. From the first
fault to the end of the last the stream is in one quality episode, beside the drift episode. While one of `HOLDING`
lasts, the stream is in quarantine: no request goes out, an open drift episode waits, and what the faulty streams (and
those made of them) do is no reason to open one. A category that is new, or records that are late or few, are told but
hold nothing: only retraining learns the first, and the others distort no column.

Faults of labels last by windows of labels, and are of the same episode. They hold requests, too, but no stream of
inputs is believed the less for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from longshore.monitor.episodes import Episodes, EpisodeState, Judged, Phase, Told
from longshore.monitor.models import PREDICTION
from longshore.monitor.quality.faults import ALL, Fault, FaultKind
from longshore.monitor.quality.judge import REMEMBERED, Contents, QualityRules, faults_of, pooled, volume
from longshore.monitor.window_parts import Filled

CLEAN = 2
"""Windows in a row without a fault before it is over: the first may still hold its last records."""

HOLDING = frozenset(
    {
        FaultKind.MISSING,
        FaultKind.TYPO,
        FaultKind.OUT_OF_RANGE,
        FaultKind.FROZEN,
        FaultKind.UNIT,
        FaultKind.DUPLICATES,
        FaultKind.UNREADABLE,
    }
)
"""The kinds on which a model would learn the fault."""


class Lasting(msgspec.Struct, frozen=True):
    """A fault as it was in the last window that had it, since when (event time, ms), and the clean windows since.

    `of_labels`: whether windows of labels tell of it.
    """

    fault: Fault
    since: int
    clean: int = 0
    of_labels: bool = False


class QuarantineState(msgspec.Struct):
    """All that is remembered. `tainted`: streams of which no drift is believed; `waiting`: the episode told to wait.

    `unknown`: counts of the streams that have unknown categories (`judge.pooled`), of the windows of `version`.
    """

    id: str = ""
    lasting: list[Lasting] = []
    tainted: list[str] = []
    waiting: str = ""
    rates: list[float] = []
    unknown: dict[str, list[int]] = {}
    version: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What to tell: `quality` where a fault began or ended while others last, `quality_over` at the end."""

    kind: str
    id: str
    p_value: float
    detail: dict[str, Any]


class Quarantine:
    """Goes from window to window. `held`: whether the last one was in quarantine, the one that ended it included."""

    def __init__(self, rules: QualityRules, state: QuarantineState | None = None) -> None:
        self._rules = rules
        self.state = state or QuarantineState()
        self.held = self.inputs_hold

    @property
    def faults(self) -> list[Fault]:
        """Those that last."""
        return [one.fault for one in self.state.lasting]

    @property
    def holds(self) -> bool:
        """Whether retraining waits."""
        return self.inputs_hold or self.labels_broken

    @property
    def inputs_hold(self) -> bool:
        """Whether it waits for a fault of the records."""
        return any(one.fault.kind in HOLDING and not one.of_labels for one in self.state.lasting)

    @property
    def labels_broken(self) -> bool:
        """Whether it waits for a fault of the labels: then no error is believed either."""
        return any(one.fault.kind in HOLDING and one.of_labels for one in self.state.lasting)

    def on_window(self, filled: Filled, judged: Judged, episodes: Episodes) -> list[Change]:
        """A final window, before its verdict moves anything; tells the drift's state machine whether it is held.

        As a quarantine begins and ends, that forgets what of the last windows was the fault's.
        """
        before = self.inputs_hold
        changes = self._faults_in(filled, judged)
        self.held = before or self.inputs_hold
        episodes.held = self.held or self.labels_broken
        if self.inputs_hold and not before:
            episodes.state.recent = list(map(self.believed, episodes.state.recent))
        if before and not self.inputs_hold:
            episodes.state.recent = []
        return changes

    def on_labels(self, found: list[Fault], since: int, version: str, episodes: Episodes) -> list[Change]:
        """The faults of a window of labels that began at `since` (event time, ms).

        When the last is over, what was counted of fresh labels was broken, and counts no more.
        """
        before, names = self.labels_broken, [fault.name for fault in self.faults]
        self._renew(found, since, version, of_labels=True)
        episodes.held = self.held or self.labels_broken
        if before and not self.labels_broken:
            episodes.forget_fresh()
        if not self.holds:
            self.state.waiting = ""
        return [self._change(found)] if [fault.name for fault in self.faults] != names else []

    def believed(self, judged: Judged) -> Judged:
        """The verdict as far as it is not about a faulty stream."""
        if not self.state.tainted:
            return judged
        streams = [
            msgspec.structs.replace(stream, alert=stream.alert and stream.name not in self.state.tainted)
            for stream in judged.streams
        ]
        return msgspec.structs.replace(judged, alarm=any(stream.alert for stream in streams), streams=streams)

    def cause_of(self, judged: Judged) -> str:
        """Why a verdict outside an episode alarms: what a faulty stream does is the fault's."""
        if not judged.alarm:
            return ""
        return "covariate" if self.believed(judged).alarm else "quality"

    def detail(self) -> dict[str, Any]:
        """What a verdict's event says of the faults that last."""
        return {"faults": [list(fault.name) for fault in self.faults]} if self.faults else {}

    def waits(self, state: EpisodeState) -> list[Told]:
        """That an open drift episode waits for the end, told once."""
        episode = state.episode
        open_ = state.phase in (Phase.ALARM, Phase.AWAITING_LABELS)
        if not self.holds or episode is None or not open_ or self.state.waiting == episode.id:
            return []
        self.state.waiting = episode.id
        detail = {"quality_episode": self.state.id, "faults": self._plain()}
        return [Told("quarantined", detail, msgspec.structs.replace(episode), state.phase)]

    def _faults_in(self, filled: Filled, judged: Judged) -> list[Change]:
        window, state = judged.window, self.state
        before = state.unknown if state.version == judged.version else {}
        contents = Contents(
            filled.watched, filled.records, filled.counts, filled.sums, filled.ids, filled.aside, before
        )
        rate = window.records / max(window.end - window.start, 1)
        found = [*faults_of(contents, self._rules), *self._volume(rate)]
        state.rates = [*state.rates, rate][-REMEMBERED:]
        state.unknown, state.version = pooled(contents, found), judged.version
        names, held = [fault.name for fault in self.faults], self.inputs_hold
        self._renew(found, window.start, judged.version, of_labels=False)
        if held or self.inputs_hold:
            self._taint([stream.name for stream in filled.watched.profile.streams])
        else:
            state.tainted = []
        return [self._change(found)] if [fault.name for fault in self.faults] != names else []

    def _renew(self, found: list[Fault], since: int, version: str, *, of_labels: bool) -> None:
        """The faults of records, or those of labels, as they last after a window; the others are as they were."""
        state = self.state
        if found and not state.lasting:
            parts = f"quality|{version}|{since}" + ("|labels" if of_labels else "")
            state.id = hashlib.sha256(parts.encode()).hexdigest()[:16]
        mine = [one for one in state.lasting if one.of_labels == of_labels]
        others = [one for one in state.lasting if one.of_labels != of_labels]
        new = [msgspec.structs.replace(one, of_labels=of_labels) for one in _gone_on(mine, found, since)]
        state.lasting = [*others, *new] if of_labels else [*new, *others]

    def _volume(self, rate: float) -> list[Fault]:
        return [] if FaultKind.VOLUME.value in self._rules.ignored else volume(self.state.rates, rate)

    def _taint(self, names: list[str]) -> None:
        """The streams not believed grow as long as the quarantine lasts, and include the window that ends it."""
        if not self.holds:
            self.state.waiting = ""
        of_records = [one.fault for one in self.state.lasting if not one.of_labels]
        faulty = {fault.stream for fault in of_records if fault.kind in HOLDING} | set(self.state.tainted)
        everything = ALL in faulty
        self.state.tainted = [
            name
            for name in names
            if everything or name in faulty or name == PREDICTION or self._rules.follows_from(name, faulty)
        ]

    def _change(self, found: list[Fault]) -> Change:
        lasting = self.state.lasting
        p_value = min((fault.p_value for fault in found if fault.p_value is not None), default=1.0)
        detail: dict[str, Any] = {"faults": self._plain(), "quarantine": self.holds}
        if not lasting:
            return Change("quality_over", self.state.id, 1.0, {"reason": f"{CLEAN} windows in a row without", **detail})
        return Change("quality", self.state.id, p_value, detail)

    def _plain(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(one.fault) | {"since": one.since} for one in self.state.lasting]


def _gone_on(lasting: list[Lasting], found: list[Fault], start: int) -> Iterator[Lasting]:
    """The faults that last after a window: those that were and are not over, then the new ones."""
    new = {fault.name: fault for fault in found}
    for one in lasting:
        again = new.pop(one.fault.name, None)
        if again is not None:
            yield Lasting(again, one.since)
        elif one.clean + 1 < CLEAN:
            yield msgspec.structs.replace(one, clean=one.clean + 1)
    yield from (Lasting(fault, start) for fault in new.values())
