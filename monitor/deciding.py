"""What a decider must be told, and what it gives: plain values between `longshore.monitor.decide` and its shell."""

from __future__ import annotations

from dataclasses import dataclass, field

from longshore.monitor.episode_state import Rules
from longshore.monitor.harm import HarmSettings
from longshore.monitor.quality.judge import QualityRules
from longshore.monitor.sequence import Alarm
from longshore.records import DriftEvent, RetrainRequest


@dataclass(frozen=True, slots=True)
class DeciderSettings:
    """What a decider must be told; `stream_set` is the key of all it writes, `model` the model whose events count.

    `provisional`: whether verdicts on open panes are told, too. What is final is the same either way.
    `sample_rows`: of a pane, whole rows for the test of columns together; 0: without that test.
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
    quality: QualityRules = field(default_factory=QualityRules)
    sample_rows: int = 0


@dataclass(slots=True)
class Outputs:
    """What a message brought about, in order."""

    events: list[DriftEvent]
    requests: list[RetrainRequest]
