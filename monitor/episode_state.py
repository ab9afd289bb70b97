"""What the state machine of `longshore.monitor.episodes` is about and remembers: plain values, kept in snapshots."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from longshore.monitor.policy import Policy
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
    policy: Policy = field(default_factory=Policy)


class Judged(msgspec.Struct, frozen=True):
    """A final verdict, as the state machine sees it. `expected`: the estimate of its error, where that grew."""

    version: str
    first_pane: int
    window: Window
    alarm: bool
    calm: bool
    streams: list[Moved]
    expected: dict[str, Any] = {}


class Episode(msgspec.Struct):
    """A drift that persists. `trigger_id` is empty while no request is out; fresh labels count from `labels_base`.

    `harm`: what labels, or estimates without them, say of the error, where it grew; `calm_errors`: windows of labels in
    a row in which it had not. `harm_from`: the first pane of labels' evidence that it grew, −1 for none.
    """

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
    harm: dict[str, Any] = {}
    calm_errors: int = 0
    harm_from: int = -1
    held: bool = False

    def copy(self) -> Episode:
        """It as it is now; the original goes on changing."""
        return msgspec.structs.replace(self)


class EpisodeState(msgspec.Struct):
    """All that the state machine remembers. `labels` counts labels by pane, from the oldest pane that can matter.

    `harm`: what the last labels said, where the error had grown; `errors_from`: the oldest pane that the loss test's
    evidence is from, −1 for none; `now`: the latest event time (ms) heard of; `asked`: those of the budget's requests;
    `recent_labels`: the last windows of labels, judged for drift.
    `calm_until`: up to which event time (ms) labels have said that the error had not grown.
    """

    phase: Phase = Phase.OK
    recent: list[Judged] = []
    episode: Episode | None = None
    cooldown_left: int = 0
    labels: dict[int, int] = {}
    harm: dict[str, Any] = {}
    errors_from: int = -1
    now: int = 0
    asked: list[int] = []
    recent_labels: list[Judged] = []
    calm_until: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """Something to tell: an event's kind, what it is about, and the request that goes with it."""

    kind: str
    detail: dict[str, Any]
    episode: Episode
    phase: Phase
    request: RetrainRequest | None = None


def cause_of(alarming: list[Judged]) -> str:
    """`prediction` where nothing but the prediction moved, else `covariate`."""
    moved = {stream.name for judged in alarming for stream in judged.streams if stream.alert}
    return "prediction" if moved == {"prediction"} else "covariate"


def digest_of(*parts: str) -> str:
    """An identifier that the same parts always give."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
