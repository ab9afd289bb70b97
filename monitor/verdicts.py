"""A window judged: its report and evidence, as the state machine takes it and as an event tells it. Pure.

Nothing is remembered here: the windows before are given, and those to go on with are handed back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from longshore.monitor.copula import Together, judge_rows
from longshore.monitor.episodes import Judged
from longshore.monitor.estimate import Estimate, estimate_of
from longshore.monitor.models import Watched
from longshore.monitor.report import Report, report_judged
from longshore.monitor.segments import counted_segments
from longshore.monitor.sequence import Alarm, Evidence, Sequence
from longshore.monitor.thresholds import Thresholds
from longshore.monitor.window_parts import Filled
from longshore.profile import Ints
from longshore.records import Moved

SHARERS = 2
"""That share the alerts which the run length allows, where columns are judged together: that test, and the streams."""

JOINT = "joint"
"""Name and kind of what stands among the streams for all of them together."""

CALM = 0.05
"""A window is calm if no scale alarms and it alone has a p-value above this: the lower threshold out."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """One window's judgement; `steps` are its counts and those of the windows that were judged with it.

    `together`: of its columns together, where that is asked for. `estimate`: of its error, without labels; None where
    the version has no loss regressor, or too few records were asked about.
    """

    judged: Judged
    evidence: Evidence
    report: Report
    steps: list[Ints]
    together: Together | None = None
    estimate: Estimate | None = None

    def given(self) -> dict[str, Any]:
        """What its event says of the window."""
        judged = self.judged
        return {"window": judged.window, "p_value": self.evidence.judged.p_value, "streams": judged.streams}

    def detail(self) -> dict[str, Any]:
        """What its event holds beside the ranked streams."""
        report, evidence = self.report, self.evidence
        return (
            {
                "approximated": ["wasserstein", "wasserstein_sigma", "ks"],
                "alert": self.judged.alarm,
                "bins": {stream.name: stream.bins.current for stream in report.streams},
                "reference_limited": report.reference_limited,
                "by_scale": {str(scale): p for scale, p in evidence.by_scale.items()},
                "limit": evidence.limit,
                "estimate": self.estimate.to_dict() if self.estimate is not None else None,
                "run_length": evidence.run_length / (SHARERS if _sharing(self.together) else 1),
            }
            | segments_of(report)
            | ({"joint": asdict(self.together)} if self.together is not None else {})
        )


@dataclass(frozen=True, slots=True)
class Judge:
    """How sure an alarm has to be, and a user's own limits; with `joint`, columns are judged together, too.

    Then both kinds of alerts share what the run length allows: each has half of the alerts.
    """

    alarm: Alarm
    thresholds: dict[str, float]
    pane_ms: int
    joint: bool = False

    def judge(self, filled: Filled, before: Iterable[Ints], *, where: bool) -> Verdict:
        """Judge a window with the ones before it in its era; if it alarms, or `where`, say in which segments."""
        watched = filled.watched
        profile, layout = watched.profile, watched.layout
        reference = layout.for_tests(profile.counts)
        together = self._together(filled)
        alarm = _shared(self.alarm) if _sharing(together) else self.alarm
        sequence = Sequence(layout.tests, profile.calibration, reference, alarm, before)
        evidence = sequence.add(layout.for_tests(filled.counts))
        report = report_judged(profile, layout, (filled.counts, filled.sums), evidence.judged, evidence.limit)
        report = Thresholds.of(self.thresholds, [stream.name for stream in profile.streams]).apply(report)
        alarms = report.alert or (together is not None and together.alert)
        if alarms or where:
            report = replace(report, segments=counted_segments(profile, filled.segments, filled.records))
        alone = [*_alone(report, evidence, watched), together.p_value if together is not None else 1.0]
        loss = watched.loss
        estimate = estimate_of(filled.estimate, loss.spec, filled.records) if loss is not None else None
        judged = Judged(
            version=filled.era.version,
            first_pane=filled.first_pane,
            window=filled.window(self.pane_ms),
            alarm=alarms,
            calm=not alarms and all(p > CALM for p in alone),
            streams=_ranked(report, together),
            expected=estimate.to_dict() if estimate is not None and estimate.grew else {},
        )
        return Verdict(judged, evidence, report, list(sequence.steps), together, estimate)

    def _together(self, filled: Filled) -> Together | None:
        """The window's columns together; None where that is not asked for.

        The limit is that of one alert by chance in so many records as half of the run length's alerts leave; whatever
        persistence asks for beside it makes them fewer.
        """
        if not self.joint or filled.sample is None:
            return None
        alarm = _shared(self.alarm)
        limit = alarm.alpha or min(CALM, filled.records / alarm.run_length)
        seed = (filled.era.generation, filled.first_pane)
        return judge_rows(filled.watched.profile, filled.sample, limit=limit, seed=seed)


def _sharing(together: Together | None) -> bool:
    """Whether the columns are judged together: not where the profile has no rows to compare with."""
    return together is not None and together.reference_rows > 0


def _shared(alarm: Alarm) -> Alarm:
    """An alarm that leaves as many alerts to another."""
    alpha = None if alarm.alpha is None else alarm.alpha / SHARERS
    return replace(alarm, run_length=alarm.run_length * SHARERS, alpha=alpha)


def _ranked(report: Report, together: Together | None) -> list[Moved]:
    """The streams, most moved first; after those that alarm, the columns together if they do."""
    streams = [stream.moved() for stream in report.streams]
    if together is None or not together.alert:
        return streams
    p = together.p_value
    joint = Moved(JOINT, JOINT, True, p, psi=0, kl=0, js=0, wasserstein=0, wasserstein_sigma=None, ks=0, q_value=p)
    alone = sum(stream.alert for stream in report.streams)
    return [*streams[:alone], joint, *streams[alone:]]


def segments_of(report: Report) -> dict[str, Any]:
    """The segments that moved, for an event's detail; nothing where none were judged."""
    return {"segments": [asdict(segment) for segment in report.segments]} if report.segments else {}


def _alone(report: Report, evidence: Evidence, watched: Watched) -> list[float]:
    """The window's own p-values, of the streams that the calibrated tests decide on."""
    fixed = {stream.name for stream in report.streams if stream.fixed}
    streams = zip(watched.profile.streams, evidence.alone.tolist(), strict=True)
    return [p for stream, p in streams if stream.name not in fixed]
