"""What a decider must be told, and what it gives: plain values between `longshore.monitor.decide` and its shell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from longshore.monitor.episode_state import Phase, Rules
from longshore.monitor.episodes import Told
from longshore.monitor.fairness_watch import FairnessRules
from longshore.monitor.harm import HarmSettings
from longshore.monitor.kpis import Kpi
from longshore.monitor.label_watch import LabelSettings
from longshore.monitor.quality.judge import QualityRules
from longshore.monitor.report import Report
from longshore.monitor.sequence import Alarm
from longshore.monitor.significance import FLOORS
from longshore.monitor.verdicts import segments_of
from longshore.monitor.window_parts import Era
from longshore.records import FINAL, DriftEvent, RetrainRequest


@dataclass(frozen=True, slots=True)
class DeciderSettings:
    """What a decider must be told; `stream_set` is the key of all it writes, `model` the model whose events count.

    `provisional`: whether verdicts on open panes are told, too. What is final is the same either way.
    `sample_rows`: of a pane, whole rows for the test of columns together; 0: without that test.
    `max_age_days`: a model that is longer in use is asked to be replaced; 0: none is.
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
    max_age_days: float = 0.0
    labels: LabelSettings = field(default_factory=LabelSettings)
    kpis: dict[str, Kpi] = field(default_factory=dict)
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


def told_of(told: Told, report: Report | None) -> dict[str, Any]:
    """What an event says of its episode; an alert about inputs has their picture."""
    episode = told.episode
    picture = report.picture() | segments_of(report) if report is not None and told.kind == "alert" else {}
    return {
        "cause": episode.cause,
        "episode": episode.id,
        "p_value": min((stream.p_value for stream in episode.streams), default=1.0),
        "streams": episode.streams,
        "detail": {"since": episode.window.start} | told.detail | picture,
    }


class Applies(Protocol):
    """A decider, as far as it takes in messages."""

    def apply(self, offset: int, value: bytes | None) -> Outputs:
        """Take in the next message."""


def decide_all(decider: Applies, values: Iterable[tuple[int, bytes | None]]) -> Outputs:
    """Apply many messages and gather what they brought about."""
    gathered = Outputs([], [])
    for offset, value in values:
        outputs = decider.apply(offset, value)
        gathered.events += outputs.events
        gathered.requests += outputs.requests
    return gathered
