"""From verdicts to alerts, requests and their end: the state machine. Pure; it knows windows, labels and outcomes only.

    ok ⇄ warning → alarm → awaiting_labels ⇄ retraining → cooldown → ok

K of the last M windows must alarm before an episode opens: one alert and one request for each. It ends when a newer
model's era begins, or when M windows in a row are calm, by a far wider level than the one that alarms.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from longshore.records import Moved, RetrainRequest, Window


class Phase(StrEnum):
    """What the decider is about."""

    OK = "ok"
    WARNING = "warning"
    ALARM = "alarm"
    AWAITING_LABELS = "awaiting_labels"
    RETRAINING = "retraining"
    COOLDOWN = "cooldown"


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy's numbers: `needed` of `among` windows open an episode; the others are settings of the same names."""

    needed: int
    among: int
    min_fresh_labels: int
    cooldown_windows: int


class Judged(msgspec.Struct, frozen=True):
    """A final verdict, as the state machine sees it."""

    version: str
    first_pane: int
    window: Window
    alarm: bool
    calm: bool
    streams: list[Moved]


class Episode(msgspec.Struct):
    """A drift that persists. `trigger_id` is empty while no request is out; fresh labels count from `labels_base`."""

    id: str
    version: str
    cause: str
    first_pane: int
    window: Window
    streams: list[Moved]
    attempt: int = 1
    trigger_id: str = ""
    back_off: int = 0
    labels_base: int = 0


class EpisodeState(msgspec.Struct):
    """All that the state machine remembers. `labels` counts labels by pane, from the oldest pane that can matter."""

    phase: Phase = Phase.OK
    recent: list[Judged] = []
    episode: Episode | None = None
    cooldown_left: int = 0
    labels: dict[int, int] = {}


@dataclass(frozen=True, slots=True)
class Told:
    """Something to tell: an event's kind, what it is about, and the request that goes with it."""

    kind: str
    detail: dict[str, Any]
    episode: Episode
    phase: Phase
    request: RetrainRequest | None = None


class Episodes:
    """Moves the state by verdicts, labels, eras and rejections; each call returns what is to be told.

    While it is `held` (`longshore.monitor.quarantine`), no request goes out and an open episode neither asks nor ends.
    """

    def __init__(self, rules: Rules, state: EpisodeState | None = None) -> None:
        self._rules = rules
        self.state = state or EpisodeState()
        self.held = False

    def on_verdict(self, verdict: Judged) -> list[Told]:
        """A closed window was judged."""
        state = self.state
        if state.phase is Phase.COOLDOWN:
            state.cooldown_left -= 1
            if state.cooldown_left <= 0:
                state.phase = Phase.OK
            return []
        if self.held and state.episode is not None:
            return []
        state.recent = [*state.recent, verdict][-self._rules.among :]
        told = self._without_episode(verdict) if state.episode is None else self._within(state.episode)
        self._forget_labels()
        return told

    def on_labels(self, seen: list[tuple[int, int]]) -> list[Told]:
        """Labels arrived, as pairs (pane, number)."""
        oldest = self._oldest_pane()
        for pane, number in seen:
            if pane >= oldest:
                self.state.labels[pane] = self.state.labels.get(pane, 0) + number
        return self._ask() if self.state.phase is Phase.AWAITING_LABELS else []

    def on_rejected(self, trigger_id: str, reason: str) -> list[Told]:
        """A challenger was turned down: the attempt is over, the next waits for a back-off and for new labels."""
        episode = self.state.episode
        if episode is None or episode.trigger_id != trigger_id or self.state.phase is not Phase.RETRAINING:
            return []
        self.state.phase = Phase.AWAITING_LABELS
        detail = {"reason": reason, "trigger_id": trigger_id, "attempt": episode.attempt}
        told = Told("attempt_closed", detail, _copy(episode), self.state.phase)
        episode.back_off = self._rules.cooldown_windows * 2 ** min(episode.attempt - 1, 10)
        episode.labels_base = self._fresh_labels(episode)
        episode.attempt += 1
        episode.trigger_id = ""
        return [told]

    def on_era(self, *, first: bool) -> list[Told]:
        """A newer model's records are judged from here on; the very first era needs no cooldown."""
        state, told = self.state, []
        if state.episode is not None:
            told = self._resolve(state.episode, "a newer model's era began")
        state.recent = []
        state.cooldown_left = 0 if first else self._rules.cooldown_windows
        state.phase = Phase.COOLDOWN if state.cooldown_left else Phase.OK
        return told

    def _without_episode(self, verdict: Judged) -> list[Told]:
        alarming = [judged for judged in self.state.recent if judged.alarm]
        if len(alarming) < self._rules.needed or not verdict.alarm:
            self.state.phase = Phase.WARNING if alarming else Phase.OK
            return []
        first = alarming[0]
        episode = Episode(
            id=_digest("episode", first.version, str(first.first_pane)),
            version=first.version,
            cause=_cause(alarming),
            first_pane=first.first_pane,
            window=Window(first.window.start, verdict.window.end, sum(j.window.records for j in alarming)),
            streams=verdict.streams,
        )
        self.state.episode, self.state.phase = episode, Phase.ALARM
        alert = Told("alert", {"windows": len(alarming)}, _copy(episode), Phase.ALARM)
        asked = self._ask()
        return [alert, *(asked or self._await(episode))]

    def _within(self, episode: Episode) -> list[Told]:
        state = self.state
        if state.phase is Phase.RETRAINING:
            return []
        if len(state.recent) == self._rules.among and all(judged.calm for judged in state.recent):
            told = self._resolve(episode, f"{self._rules.among} calm windows in a row")
            state.phase, state.recent = Phase.OK, []
            return told
        episode.back_off = max(0, episode.back_off - 1)
        return self._ask()

    def _await(self, episode: Episode) -> list[Told]:
        self.state.phase = Phase.AWAITING_LABELS
        have = self._fresh_labels(episode) - episode.labels_base
        detail = {"fresh_labels": have, "needed": self._rules.min_fresh_labels}
        return [Told("awaiting_labels", detail, _copy(episode), self.state.phase)]

    def _ask(self) -> list[Told]:
        """The request, where labels suffice, the back-off is over and the drift is still there."""
        episode = self.state.episode
        if self.held or episode is None or episode.back_off:
            return []
        if not (self.state.recent and not self.state.recent[-1].calm):
            return []
        have = self._fresh_labels(episode) - episode.labels_base
        if have < self._rules.min_fresh_labels:
            return []
        parts = (episode.version, episode.cause, str(episode.first_pane), str(episode.attempt))
        episode.trigger_id = _digest(*parts)
        self.state.phase = Phase.RETRAINING
        request = RetrainRequest(
            trigger_id=episode.trigger_id,
            cause=episode.cause,
            model_version=episode.version,
            window=episode.window,
            streams=episode.streams,
            episode=episode.id,
            attempt=episode.attempt,
            evidence={"fresh_labels": have},
        )
        detail = {"trigger_id": episode.trigger_id, "attempt": episode.attempt, "fresh_labels": have}
        return [Told("retraining", detail, _copy(episode), self.state.phase, request)]

    def _resolve(self, episode: Episode, reason: str) -> list[Told]:
        self.state.episode = None
        return [Told("resolved", {"reason": reason}, _copy(episode), Phase.OK)]

    def _fresh_labels(self, episode: Episode) -> int:
        return sum(number for pane, number in self.state.labels.items() if pane >= episode.first_pane)

    def _oldest_pane(self) -> int:
        if self.state.episode is not None:
            return self.state.episode.first_pane
        return self.state.recent[0].first_pane if self.state.recent else 0

    def _forget_labels(self) -> None:
        oldest = self._oldest_pane()
        self.state.labels = {pane: number for pane, number in self.state.labels.items() if pane >= oldest}


def _cause(alarming: list[Judged]) -> str:
    """`prediction` where nothing but the prediction moved, else `covariate`."""
    moved = {stream.name for judged in alarming for stream in judged.streams if stream.alert}
    return "prediction" if moved == {"prediction"} else "covariate"


def _digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def _copy(episode: Episode) -> Episode:
    return msgspec.structs.replace(episode)
