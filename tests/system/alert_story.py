"""For each rule of deploy/prometheus: what the services must expose for it to fire, and how long both ways take.

One story serves twice: as input of `promtool test rules`, with the rules' true durations, and played by an exporter to
a real Prometheus whose rules' durations are scaled down. All times here are the rules' own ("true") seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MINUTE, HOUR = 60.0, 3_600.0


@dataclass(frozen=True)
class Hold:
    """A series that stays; None: it is not there."""

    value: float | None


@dataclass(frozen=True)
class Rise:
    """A series that grows by `rate` a second."""

    rate: float


@dataclass(frozen=True)
class Now:
    """A series that is the time."""


@dataclass(frozen=True)
class Stuck:
    """A series that keeps the value it had."""


Motion = Hold | Rise | Now | Stuck
Series = tuple[str, str, str]
"""Target, name of the series, its labels as in an exposition without the braces."""


def lag(service: str) -> Series:
    return ("scorer", "longshore_consumer_lag_records", f'service="{service}",topic="t",partition="0"')


def transactions(outcome: str) -> Series:
    return ("scorer", "longshore_transactions_total", f'service="scorer",outcome="{outcome}"')


def up(target: str) -> Series:
    return (target, "up", "")


def job_of(target: str) -> str:
    """The second replica is called serve-2."""
    return target.removesuffix("-2")


SCORED = ("scorer", "longshore_records_scored_total", 'model_version="v1"')
DEAD = ("scorer", "longshore_dead_letters_total", 'reason="not_json"')
GENERATION = ("scorer", "longshore_model_generation", 'model_version="v1"')
SERVED_GENERATION = ("serve", "longshore_model_generation", 'model_version="v1"')
PENDING = ("trainer", "longshore_projections_pending", "")
REFUSED_MODEL = ("scorer", "longshore_model_swaps_total", 'outcome="refused",reason="SignatureError"')
SERVED = ("serve", "longshore_serve_requests_total", 'route="infer",code="200"')
SERVE_FAILED = ("serve", "longshore_serve_requests_total", 'route="infer",code="503"')
BEAT_COUNT = ("monitor-count", "longshore_last_beat_timestamp_seconds", 'service="monitor"')
BEAT_DECIDE = ("monitor-decide", "longshore_last_beat_timestamp_seconds", 'service="monitor"')
COUNTED = ("monitor-count", "longshore_records_counted_total", "")
WATERMARK = ("monitor-decide", "longshore_watermark_timestamp_seconds", "")
VERDICT = ("monitor-decide", "longshore_last_verdict_timestamp_seconds", "")
FAILED_TRAINING = ("trainer", "longshore_trainings_total", 'outcome="failed"')
DRIFT = ("monitor-decide", "longshore_drift_state", 'state="alarm"')
FAULT = ("monitor-decide", "longshore_quality_fault", 'kind="missing",stream="median_income"')
ERROR_GREW = ("monitor-decide", "longshore_error_grew", "")
UNFAIR = ("monitor-decide", "longshore_fairness_breach", 'group="income: up to 3",measure="mae_ratio"')
LABELS_MOVED = ("monitor-decide", "longshore_label_moved", "")
KPI_BREACHED = ("monitor-decide", "longshore_kpi_breached", 'name="deals"')
OLDEST = ("monitor-decide", "longshore_notification_oldest_timestamp_seconds", 'target="webhook.pager"')
REFUSED_ALERT = ("monitor-decide", "longshore_notifications_total", 'target="webhook.pager",outcome="refused"')

CALM: dict[Series, Motion] = {
    up("scorer"): Hold(1), up("serve"): Hold(1), up("serve-2"): Hold(1), up("monitor-count"): Hold(1),
    up("monitor-decide"): Hold(1),
    up("trainer"): Hold(1), lag("scorer"): Hold(0), lag("monitor.count"): Hold(0), SCORED: Rise(100), DEAD: Rise(0),
    transactions("committed"): Rise(10), transactions("aborted"): Rise(0), GENERATION: Hold(1),
    SERVED_GENERATION: Hold(1), PENDING: Hold(0), REFUSED_MODEL: Hold(None), SERVED: Rise(20), SERVE_FAILED: Rise(0),
    BEAT_COUNT: Now(), BEAT_DECIDE: Now(), COUNTED: Rise(100), WATERMARK: Now(), VERDICT: Now(),
    FAILED_TRAINING: Hold(None), DRIFT: Hold(0), FAULT: Hold(0), ERROR_GREW: Hold(0), UNFAIR: Hold(None),
    LABELS_MOVED: Hold(0), KPI_BREACHED: Hold(0), OLDEST: Hold(0),
    REFUSED_ALERT: Hold(None),
}  # fmt: skip
"""A system with nothing wrong. No rule may fire here."""


@dataclass(frozen=True)
class Story:
    """What moves otherwise while it is bad; within how long the rule fires then, and is over afterwards.

    `early`: played before the others to a real Prometheus, because it takes longest to be over, or would hide others.
    """

    bad: dict[Series, Motion]
    fires_s: float
    over_s: float
    early: bool = field(default=False)


STORIES: dict[str, Story] = {
    "LongshoreTargetDown": Story({up("serve-2"): Hold(0)}, 2 * MINUTE, MINUTE),
    "LongshoreScorerSilent": Story({lag("scorer"): Hold(500), SCORED: Rise(0)}, 4 * MINUTE, MINUTE, early=True),
    "LongshoreConsumerLag": Story({lag("monitor.count"): Rise(100)}, 12 * MINUTE, MINUTE),
    "LongshoreTransactionAborts": Story({transactions("aborted"): Rise(2)}, 9 * MINUTE, 6 * MINUTE),
    "LongshoreDeadLetterShare": Story({DEAD: Rise(5)}, 8 * MINUTE, 6 * MINUTE),
    "LongshoreModelGenerationMismatch": Story({GENERATION: Hold(2)}, 2 * MINUTE, MINUTE),
    "LongshoreProjectionPending": Story({PENDING: Hold(1)}, 2 * MINUTE, MINUTE),
    "LongshoreModelRefused": Story({REFUSED_MODEL: Hold(1)}, MINUTE, 11 * MINUTE, early=True),
    "LongshoreServeFailing": Story({SERVE_FAILED: Rise(1)}, 4 * MINUTE, 6 * MINUTE),
    "LongshoreMonitorSilent": Story({BEAT_COUNT: Stuck(), BEAT_DECIDE: Stuck()}, 3 * MINUTE, MINUTE),
    "LongshoreWatermarkStuck": Story({WATERMARK: Stuck()}, 12 * MINUTE, MINUTE),
    "LongshoreVerdictsStale": Story({VERDICT: Stuck()}, 17 * MINUTE, MINUTE),
    "LongshoreTrainingFailed": Story({FAILED_TRAINING: Hold(1)}, MINUTE, HOUR + MINUTE, early=True),
    "LongshoreDriftAlarm": Story({DRIFT: Hold(1)}, MINUTE, MINUTE),
    "LongshoreAlertsUndelivered": Story({OLDEST: Stuck()}, 7 * MINUTE, MINUTE),
    "LongshoreAlertsRefused": Story({REFUSED_ALERT: Hold(1)}, MINUTE, 11 * MINUTE, early=True),
    "LongshoreQualityFault": Story({FAULT: Hold(1)}, MINUTE, MINUTE),
    "LongshoreErrorGrew": Story({ERROR_GREW: Hold(1)}, MINUTE, MINUTE),
    "LongshoreFairnessBreach": Story({UNFAIR: Hold(1)}, MINUTE, MINUTE),
    "LongshoreLabelDrift": Story({LABELS_MOVED: Hold(1)}, MINUTE, MINUTE),
    "LongshoreKpiBreached": Story({KPI_BREACHED: Hold(1)}, 7 * MINUTE, MINUTE),
}

BEGINS = frozenset({OLDEST})
"""Calm at 0; when it becomes bad, it is stuck at the time of then."""

STAYS = frozenset({REFUSED_MODEL, FAILED_TRAINING, REFUSED_ALERT})
"""Counters that appear with their first count and do not go away."""


class Player:
    """The values of all series as time goes on and motions change."""

    def __init__(self, motions: dict[Series, Motion], at: float) -> None:
        self._motions = dict(motions)
        self._at = at
        self._values: dict[Series, float | None] = dict.fromkeys(motions, 0.0)
        self.move(at)

    def change(self, motions: dict[Series, Motion], at: float) -> None:
        """From `at` on some series move otherwise."""
        self.move(at)
        for series, motion in motions.items():
            if isinstance(motion, Stuck) and series in BEGINS:
                self._values[series] = at
            self._motions[series] = motion
        self.move(at)

    def calm_down(self, series: dict[Series, Motion], at: float) -> None:
        """From `at` on these move as in a calm system, but for counters, which stay."""
        self.change({one: CALM[one] for one in series if one not in STAYS}, at)

    def move(self, at: float) -> dict[Series, float | None]:
        """Every series' value at `at`, which never goes back."""
        for series, motion in self._motions.items():
            if isinstance(motion, Hold):
                self._values[series] = motion.value
            elif isinstance(motion, Now):
                self._values[series] = at
            elif isinstance(motion, Rise):
                self._values[series] = (self._values[series] or 0.0) + motion.rate * (at - self._at)
        self._at = at
        return dict(self._values)
