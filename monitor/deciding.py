"""What a decider must be told, and what it gives: plain values between `longshore.monitor.decide` and its shell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from longshore.monitor.episode_state import Phase, Rules
from longshore.monitor.fairness_watch import FairnessRules
from longshore.monitor.harm import HarmSettings
from longshore.monitor.quality.judge import QualityRules
from longshore.monitor.sequence import Alarm
from longshore.monitor.significance import FLOORS
from longshore.monitor.window_parts import Era
from longshore.records import FINAL, DriftEvent, RetrainRequest


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
    fairness: FairnessRules = field(default_factory=FairnessRules)


@dataclass(slots=True)
class Outputs:
    """What a message brought about, in order."""

    events: list[DriftEvent]
    requests: list[RetrainRequest]


def event_of(
    settings: DeciderSettings, kind: str, era: Era, *, phase: Phase, detail: dict[str, Any], given: dict[str, Any]
) -> DriftEvent:
    """An event of an era. `given`: `window`, `index`, and what else is known of it, under the names of its fields."""
    return DriftEvent(
        kind=kind,
        cause=given.get("cause", ""),
        stream_set=settings.stream_set,
        model_version=era.version,
        generation=era.generation,
        window=given["window"],
        window_index=given["index"],
        status=given.get("status", FINAL),
        state=phase.value,
        episode=given.get("episode", ""),
        p_value=given.get("p_value", 1.0),
        thresholds={"run_length": settings.alarm.run_length} | FLOORS | settings.thresholds,
        streams=given.get("streams", []),
        detail=detail,
    )
