"""The deciding role's shell: reads `drift.panes`, commits events, requests and a snapshot with the offset read.

One member is active per stream set (one partition); others stand by. A new owner starts from the latest snapshot and
the panes that were open then; after an abort this one does the same, so there is one way to begin and no other.
"""

from __future__ import annotations

import math
import time

import msgspec
import structlog

from longshore import telemetry
from longshore.config import MonitorSettings, Settings
from longshore.errors import AbortedError, ConfigurationError
from longshore.kafka.reader import read_all
from longshore.monitor.calibration import RULES
from longshore.monitor.decide import Decider, DeciderSettings, Outputs
from longshore.monitor.episodes import Phase, Rules
from longshore.monitor.fairness import BIAS, GROWTH, MAE_RATIO, SELECTION, TRUE_POSITIVE, Limits
from longshore.monitor.fairness_watch import FAIRNESS, FairnessRules
from longshore.monitor.groups import Group, Scheme
from longshore.monitor.harm import HarmSettings
from longshore.monitor.kpis import Kpi
from longshore.monitor.label_watch import LabelSettings
from longshore.monitor.models import Profiles
from longshore.monitor.policy import Policy
from longshore.monitor.quality.faults import FaultKind
from longshore.monitor.quality.judge import QualityRules
from longshore.monitor.sequence import Alarm
from longshore.monitor.snapshots import Snapshot, load_snapshot
from longshore.records import DriftEvent
from longshore.schema import Schema
from longshore.stream import Batch, ExactlyOnceStream, Message, Single
from longshore.topics import Topics

log = structlog.get_logger()

MAX_BATCH = 500
POLL_TIMEOUT_S = 0.2


def decider_settings(settings: Settings, schema: Schema) -> DeciderSettings:
    """The decider's part of the settings, in its own units."""
    monitor = settings.monitor
    needed, among = monitor.persistence
    quality = _quality_rules(settings, schema)
    if (needed, among) not in RULES:
        raise ConfigurationError(
            f"monitor.persistence is [{needed}, {among}], for which no error rate is simulated",
            mend="use one of " + ", ".join(f"[{k}, {m}]" for k, m in RULES),
        )
    return DeciderSettings(
        stream_set=schema.name,
        model=settings.model,
        rules=Rules(needed, among, monitor.min_fresh_labels, monitor.cooldown_windows, _policy(monitor)),
        alarm=Alarm(needed, among, monitor.run_length_records, monitor.alpha),
        thresholds=monitor.thresholds,
        window_records=monitor.window_records,
        pane_ms=int(monitor.pane_s * 1_000),
        lateness_ms=int(monitor.allowed_lateness_s * 1_000),
        provisional=monitor.provisional,
        quality=quality,
        sample_rows=monitor.sample_rows if monitor.joint else 0,
        max_age_days=monitor.max_model_age_days or 0.0,
        harm=HarmSettings(monitor.window_labels, monitor.run_length_labels, settings.scorer.interval),
        labels=LabelSettings(monitor.window_labels, monitor.run_length_labels, needed, schema.target, quality),
        kpis={name: Kpi.of(k.expression, k.at_most, k.at_least, k.windows) for name, k in monitor.kpis.items()},
        fairness=_fairness_rules(monitor),
    )


def _fairness_rules(monitor: MonitorSettings) -> FairnessRules:
    given = monitor.fairness
    most = {
        MAE_RATIO: given.max_mae_ratio,
        BIAS: given.max_bias_sigma,
        GROWTH: given.max_ratio_growth,
        SELECTION: given.max_selection_gap,
        TRUE_POSITIVE: given.max_true_positive_gap,
    }
    limits = Limits(most, given.min_rows, given.alpha)
    return FairnessRules(Scheme(given.groups), limits, given.window_labels, *monitor.persistence)


def _quality_rules(settings: Settings, schema: Schema) -> QualityRules:
    monitor = settings.monitor
    kinds = [kind.value for kind in FaultKind]
    if unknown := [name for name in monitor.quality_ignore if name.rpartition(".")[2] not in kinds]:
        raise ConfigurationError(
            f"monitor.quality_ignore has {unknown[0]!r}, which is no kind of fault",
            mend=f"give kinds, or stream.kind, of {', '.join(kinds)}",
        )
    return QualityRules(
        run_length=monitor.quality_run_length_records or monitor.run_length_records,
        ignored=frozenset(monitor.quality_ignore),
        sources={each.name: (each.numerator, each.denominator) for each in schema.derived},
    )


def _policy(monitor: MonitorSettings) -> Policy:
    most, days = monitor.budget
    return Policy(monitor.policy, most, days, monitor.dry_run)


class Deciding:
    """Decides until told to stop."""

    def __init__(self, settings: Settings, schema: Schema, profiles: Profiles) -> None:
        self._settings = settings
        self._topics = Topics.of(settings.topic_prefix, schema)
        self._key = schema.name.encode()
        self._decider_settings = decider_settings(settings, schema)
        self._profiles = profiles
        self._decider: Decider | None = None
        self._gathered = Outputs([], [])
        self._opened: float | None = None
        self._faults: set[tuple[str, str]] = set()

    def step(self, stream: ExactlyOnceStream) -> None:
        """One round: poll, apply, commit at once what there is to tell and the rest about once a second."""
        try:
            batch = stream.poll(MAX_BATCH, POLL_TIMEOUT_S)
            if batch:
                self._apply(batch)
            if self._due():
                self.commit(stream)
        except AbortedError as error:
            log.warning("verdicts will be made again", error=str(error))
            self.drop()
        except BaseException:
            self.drop()  # the batch is read and half applied: its offsets must not be committed
            raise

    def commit(self, stream: ExactlyOnceStream) -> None:
        """One transaction: events, requests, the snapshot, and the offset they go with."""
        if self._opened is None or self._decider is None:
            return
        gathered = self._gathered
        request_key = self._settings.model.encode()
        stream.commit(
            [
                Batch(self._topics.events, [_message(self._key, event) for event in gathered.events]),
                Batch(self._topics.requests, [_message(request_key, request) for request in gathered.requests]),
                Single(self._topics.state, self._key, self._decider.snapshot()),
            ]
        )
        self._gathered, self._opened = Outputs([], []), None
        _measure(gathered.events, self._decider)
        self._measure_quality(self._decider)

    def _measure_quality(self, decider: Decider) -> None:
        faults = {fault.name for fault in decider.quarantine.faults}
        for name in self._faults | faults:
            telemetry.QUALITY_FAULT.labels(*name).set(name in faults)
        telemetry.QUARANTINE.set(decider.quarantine.holds)
        self._faults = faults

    def finish(self, stream: ExactlyOnceStream) -> None:
        """Commit before the partition is given up; an abort leaves it to the next owner."""
        try:
            self.commit(stream)
        except AbortedError as error:
            log.warning("the last verdicts were not committed and will be made again", error=str(error))
        self.drop()

    def drop(self) -> None:
        """Forget everything: the next record starts from the latest snapshot."""
        self._decider, self._gathered, self._opened = None, Outputs([], []), None

    def _apply(self, batch: list[Message]) -> None:
        if self._decider is None:
            self._decider = self._load(batch[0].offset())
        self._opened = self._opened or time.monotonic()
        for message in batch:
            outputs = self._decider.apply(message.offset(), message.value())
            self._gathered.events += outputs.events
            self._gathered.requests += outputs.requests

    def _due(self) -> bool:
        if self._opened is None:
            return False
        waited = time.monotonic() - self._opened >= self._settings.monitor.commit_interval_s
        return waited or bool(self._gathered.events or self._gathered.requests)

    def _load(self, first: int) -> Decider:
        """The decider as it stood before offset `first`: the latest snapshot, its open panes, and any gap to `first`.

        Snapshot and offset are committed together, so a gap means that one was reset by hand: what lies in it was told
        before, and is applied without telling it again.
        """
        snapshot = self._latest_snapshot()
        decider = Decider(self._decider_settings, self._profiles, snapshot)
        start, known = (snapshot.replay_from, snapshot.offset) if snapshot else (0, 0)
        if start >= first:
            return decider
        for batch in read_all(self._settings, self._topics.panes, from_offsets={0: start} if start else None):
            for message in batch:
                if message.offset() < known:
                    decider.rebuild(message.offset(), message.value())
                elif message.offset() < first:
                    decider.apply(message.offset(), message.value())
        log.info("decider restored", snapshot_offset=known, rebuilt_from=start, next_offset=first)
        return decider

    def _latest_snapshot(self) -> Snapshot | None:
        latest: bytes | None = None
        for batch in read_all(self._settings, self._topics.state):
            for message in batch:
                if message.key() == self._key:
                    latest = message.value()
        return load_snapshot(latest) if latest else None


def _message(key: bytes, value: msgspec.Struct) -> dict[str, bytes]:
    return {"key": key, "value": msgspec.json.encode(value)}


def _measure(events: list[DriftEvent], decider: Decider) -> None:
    """Metrics and log lines of what was committed; metrics know final verdicts only."""
    watermark = decider.watermark_ms
    if watermark is not None:
        telemetry.WATERMARK.set(watermark / 1_000)
    for phase in Phase:
        telemetry.DRIFT_STATE.labels(phase.value).set(phase is decider.phase)
    _measure_errors(events, decider)
    _measure_kpis(decider)
    _measure_groups(events, decider)
    for event in events:
        told = f"provisional {event.kind}" if event.provisional else event.kind
        log.info("drift " + told, version=event.model_version, window=event.window_index, state=event.state)
        if event.kind != "verdict" or event.provisional:
            continue
        telemetry.LAST_VERDICT.set_to_current_time()
        telemetry.VERDICTS.labels(str(bool(event.detail["alert"])).lower()).inc()
        estimate = event.detail["estimate"] or {}
        telemetry.ERROR_ESTIMATE.set(estimate.get("mae", math.nan))
        telemetry.OUT_OF_SUPPORT_SHARE.set(estimate.get("out_of_support", math.nan))
        for stream in event.streams:
            for metric in ("psi", "kl", "js", "wasserstein", "ks"):
                telemetry.DRIFT_DISTANCE.labels(stream.name, metric).set(getattr(stream, metric))


def _measure_groups(events: list[DriftEvent], decider: Decider) -> None:
    """What is told of groups: the last window's errors, and what is out of bounds; at most `MOST_GROUPS` groups."""
    telemetry.FAIRNESS_BREACH.clear()
    for course in decider.fairness.lasting:
        telemetry.FAIRNESS_BREACH.labels(Group(course.attribute, course.group).label, course.measure).set(1)
    for event in events:
        if event.kind == FAIRNESS:
            telemetry.GROUP_ERROR.clear()
            for each in event.detail["groups"]:
                name = Group(each["attribute"], each["group"]).label if each["attribute"] else each["group"]
                for metric in ("mae", "rmse", "bias"):
                    if not each["insufficient"]:
                        telemetry.GROUP_ERROR.labels(name, metric).set(each[metric])


def _measure_errors(events: list[DriftEvent], decider: Decider) -> None:
    """What labels say: the loss test as it stands, and the last complete window of labels."""
    stands = decider.harm.stands()
    if stands is not None:
        telemetry.LOSS_EVIDENCE.set(stands.evidence)
        telemetry.LOSS_LIMIT.set(stands.limit)
    for event in events:
        if event.kind == "era":
            telemetry.ERROR_GREW.set(0)
        if event.kind == "labels":
            _measure_labels(event)
        if event.kind != "performance":
            continue
        telemetry.LABELS_JUDGED.inc(event.window.records)
        telemetry.ERROR_GREW.set(event.detail["alarm"] or event.detail["grew"])
        for metric in ("rmse", "mae", "bias", "r2", "coverage"):
            if (value := (event.detail["figures"] or {}).get(metric)) is not None:
                telemetry.ERROR.labels(metric).set(value)
        for metric in ("rmse", "mae"):
            if (ratio := (event.detail["excess"] or {}).get(f"{metric}_ratio")) is not None:
                telemetry.ERROR_RATIO.labels(metric).set(ratio)


def _measure_labels(event: DriftEvent) -> None:
    """The last window of labels beside the training target."""
    telemetry.LABEL_MOVED.set(event.detail["alarm"])
    for metric in ("psi", "kl", "js", "wasserstein", "ks"):
        if (value := (event.detail["figures"] or {}).get(metric)) is not None:
            telemetry.LABEL_DISTANCE.labels(metric).set(value)


def _measure_kpis(decider: Decider) -> None:
    """The users' KPIs as they stand."""
    for name, state in decider.kpis.state.items():
        telemetry.KPI_BREACHED.labels(name).set(bool(state.episode))
        if state.value is not None:
            telemetry.KPI.labels(name).set(state.value)
