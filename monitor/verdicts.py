"""A window judged: its report and evidence, as the state machine takes it and as an event tells it. Pure.

Nothing is remembered here: the windows before are given, and those to go on with are handed back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from longshore.monitor.episodes import Judged
from longshore.monitor.models import Watched
from longshore.monitor.report import Report, report_judged
from longshore.monitor.segments import counted_segments
from longshore.monitor.sequence import Alarm, Evidence, Sequence
from longshore.monitor.thresholds import Thresholds
from longshore.monitor.windows import Filled
from longshore.profile import Ints

CALM = 0.05
"""A window is calm if no scale alarms and it alone has a p-value above this: the lower threshold out."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """One window's judgement; `steps` are its counts and those of the windows that were judged with it."""

    judged: Judged
    evidence: Evidence
    report: Report
    steps: list[Ints]

    def detail(self) -> dict[str, Any]:
        """What its event holds beside the ranked streams."""
        report, evidence = self.report, self.evidence
        return {
            "approximated": ["wasserstein", "wasserstein_sigma", "ks"],
            "alert": report.alert,
            "bins": {stream.name: stream.bins.current for stream in report.streams},
            "reference_limited": report.reference_limited,
            "by_scale": {str(scale): p for scale, p in evidence.by_scale.items()},
            "limit": evidence.limit,
            "run_length": evidence.run_length,
        } | segments_of(report)


@dataclass(frozen=True, slots=True)
class Judge:
    """How sure an alarm has to be, and a user's own limits."""

    alarm: Alarm
    thresholds: dict[str, float]
    pane_ms: int

    def judge(self, filled: Filled, before: Iterable[Ints], *, where: bool) -> Verdict:
        """Judge a window with the ones before it in its era; if it alarms, or `where`, say in which segments."""
        watched = filled.watched
        profile, layout = watched.profile, watched.layout
        reference = layout.for_tests(profile.counts)
        sequence = Sequence(layout.tests, profile.calibration, reference, self.alarm, before)
        evidence = sequence.add(layout.for_tests(filled.counts))
        report = report_judged(profile, layout, (filled.counts, filled.sums), evidence.judged, evidence.limit)
        report = Thresholds.of(self.thresholds, [stream.name for stream in profile.streams]).apply(report)
        if report.alert or where:
            report = replace(report, segments=counted_segments(profile, filled.segments, filled.records))
        judged = Judged(
            version=filled.era.version,
            first_pane=filled.first_pane,
            window=filled.window(self.pane_ms),
            alarm=report.alert,
            calm=not report.alert and all(p > CALM for p in _alone(report, evidence, watched)),
            streams=[stream.moved() for stream in report.streams],
        )
        return Verdict(judged, evidence, report, list(sequence.steps))


def segments_of(report: Report) -> dict[str, Any]:
    """The segments that moved, for an event's detail; nothing where none were judged."""
    return {"segments": [asdict(segment) for segment in report.segments]} if report.segments else {}


def _alone(report: Report, evidence: Evidence, watched: Watched) -> list[float]:
    """The window's own p-values, of the streams that the calibrated tests decide on."""
    fixed = {stream.name for stream in report.streams if stream.fixed}
    streams = zip(watched.profile.streams, evidence.alone.tolist(), strict=True)
    return [p for stream, p in streams if stream.name not in fixed]
