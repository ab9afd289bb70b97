"""What a decider must be told, and what it gives: plain values between `longshore.monitor.decide` and its shell."""

from __future__ import annotations

from dataclasses import dataclass, field

from longshore.monitor.episode_state import Rules
from longshore.monitor.harm import HarmSettings
from longshore.monitor.sequence import Alarm
from longshore.records import DriftEvent, RetrainRequest


@dataclass(frozen=True, slots=True)
class DeciderSettings:
    """What a decider must be told; `stream_set` is the key of all it writes, `model` the model whose events count.

    `provisional`: whether verdicts on open panes are told, too; what is final is the same. `harm`: of labels.
    """

    stream_set: str
    model: str
    rules: Rules
    alarm: Alarm
    thresholds: dict[str, float]
    window_records: int
    pane_ms: int
    lateness_ms: int
    provisional: bool
    harm: HarmSettings = field(default_factory=HarmSettings)


@dataclass(slots=True)
class Outputs:
    """What a message brought about, in order."""

    events: list[DriftEvent]
    requests: list[RetrainRequest]
