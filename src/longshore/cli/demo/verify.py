"""The summary's checks, on what an independent `read_committed` reader finds after everything has stopped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from longshore.cli.demo.plan import STEP_MS, Plan
from longshore.config import Settings
from longshore.kafka.reader import read_all
from longshore.records import DriftEvent, Label, ModelEvent, ModelEventKind, RetrainRequest, Source
from longshore.redis_store import ModelCache
from longshore.registry import Registry
from longshore.topics import Topics
from longshore.trainer.split import test_mask

Coordinates = tuple[int, int]

MEANING_CHANGES = "income-inflation"
"""Only this scenario changes what a price means for the same inputs; after others the old model may still be right."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, what was found, and whether it held."""

    name: str
    held: bool
    found: str


class _Prediction(msgspec.Struct, gc=False):
    record_id: str
    event_time: int
    scored_at: int
    prediction: float
    model_version: str
    source: Source


@dataclass(slots=True)
class Found:
    """Everything read back."""

    sources: set[Coordinates] = field(default_factory=set)
    predictions: list[_Prediction] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    dead: list[Coordinates] = field(default_factory=list)
    labels: dict[str, float] = field(default_factory=dict)
    events: list[DriftEvent] = field(default_factory=list)
    requests: list[RetrainRequest] = field(default_factory=list)
    models: list[ModelEvent] = field(default_factory=list)


def read_back(settings: Settings, topics: Topics) -> Found:
    """Read every topic from its start, with a consumer of its own."""
    found = Found()
    decode = msgspec.json.Decoder(_Prediction).decode
    for message in _messages(settings, topics.records):
        found.sources.add((message.partition(), message.offset()))
    for message in _messages(settings, topics.predictions):
        found.predictions.append(decode(message.value()))
        found.keys.append(message.key().decode())
    for message in _messages(settings, topics.dead_letters):
        headers = dict(message.headers() or [])
        at = (headers[f"__connect.errors.{part}"].decode() for part in ("partition", "offset"))
        partition, offset = (int(number) for number in at)
        found.dead.append((partition, offset))
    for message in _messages(settings, topics.labels):
        label = msgspec.json.decode(message.value(), type=Label)
        found.labels[label.record_id] = label.label
    events = (msgspec.json.decode(m.value(), type=DriftEvent) for m in _messages(settings, topics.events))
    found.events = [event for event in events if not event.provisional]
    found.requests = [msgspec.json.decode(m.value(), type=RetrainRequest) for m in _messages(settings, topics.requests)]
    found.models = [msgspec.json.decode(m.value(), type=ModelEvent) for m in _messages(settings, topics.models)]
    return found


def _messages(settings: Settings, topic: str) -> Any:
    return (message for batch in read_all(settings, topic) for message in batch)


def records_per_s(found: Found) -> float:
    """Predictions a second, from the first to the last one's `scored_at`."""
    times = [prediction.scored_at for prediction in found.predictions]
    return len(times) / max(0.001, (max(times) - min(times)) / 1_000) if times else 0.0


def checks(plan: Plan, settings: Settings, found: Found) -> list[Check]:
    """All checks of this run on what was read back."""
    result = [_conservation(found), _once(found)]
    alerts = [event for event in found.events if event.kind == "alert"]
    if plan.expects_alarm:
        result.append(_one_alarm(plan, alerts))
        if (kept := _kept(plan, found)) is not None:
            result.append(kept)
        else:
            result += [_one_retraining(found, alerts), _error(plan, settings, found)]
    elif plan.expects_silence:
        result.append(Check("no alarm", not alerts, f"{len(alerts)} alerts in {_windows(found)} windows"))
    return [*result, _agreement(settings, found)]


def _conservation(found: Found) -> Check:
    produced, scored, dead = len(found.sources), len(found.predictions), len(found.dead)
    held = produced > 0 and produced == scored + dead
    return Check("produced = scored + dead letters", held, f"{produced:,} = {scored:,} + {dead:,}")


def _once(found: Found) -> Check:
    seen = Counter([(p.source.partition, p.source.offset) for p in found.predictions] + found.dead)
    twice = sum(count > 1 for count in seen.values())
    strange = len(set(seen) ^ found.sources)
    return Check(
        "each source offset exactly once", not twice and not strange, f"{twice} twice, {strange} missing or unknown"
    )


def _windows(found: Found) -> int:
    return sum(event.kind == "verdict" for event in found.events)


def _one_alarm(plan: Plan, alerts: list[DriftEvent]) -> Check:
    delays = [(alert.window.end - plan.shift_ms) // STEP_MS for alert in alerts]
    top = next((alert.streams[0].name for alert in alerts if alert.streams), "-")
    held = len(alerts) == 1 and delays[0] > 0
    found = f"{len(alerts)}, {', '.join(f'{delay:,} records after the shift' for delay in delays)}, most moved {top}"
    return Check("one episode, after the shift", held, found)


def _kept(plan: Plan, found: Found) -> Check | None:
    """The gate kept the champion: right where a shift leaves what a price means for the same inputs as it was."""
    triggers = {request.trigger_id for request in found.requests}
    answers = [event for event in found.models if event.trigger_id in triggers]
    rejected = [event for event in answers if event.kind is ModelEventKind.REJECTED]
    promoted = [event for event in answers if event.kind is ModelEventKind.PROMOTED]
    if plan.scenario_name == MEANING_CHANGES or promoted or not rejected:
        return None
    told = f"{len(rejected)} challenger(s) rejected, none promoted: {rejected[0].reason.partition(';')[0]}"
    return Check("retraining asked for, the champion is still right", True, told)


def _one_retraining(found: Found, alerts: list[DriftEvent]) -> Check:
    episodes = {request.episode for request in found.requests}
    triggers = {request.trigger_id for request in found.requests}
    promoted = [event for event in found.models if event.kind is ModelEventKind.PROMOTED]
    answers = [event for event in promoted if event.trigger_id in triggers]
    held = bool(alerts) and episodes == {alert.episode for alert in alerts} and len(answers) == 1 and len(promoted) == 2
    told = f"{len(found.requests)} request(s) for {len(episodes)} episode(s), {len(answers)} new version promoted"
    return Check("one retraining, one promotion", held, told)


def _error(plan: Plan, settings: Settings, found: Found) -> Check:
    """RMSE before and after on the shifted stream, over districts of the test split: neither model trained on them."""
    promoted = [event.version for event in found.models if event.kind is ModelEventKind.PROMOTED]
    if len(promoted) < 2:
        return Check("error on the shifted stream", False, "there is no second version to compare")
    unseen = test_mask(found.keys, settings.trainer.test_share)
    errors: dict[str, list[float]] = {promoted[0]: [], promoted[-1]: []}
    for prediction, apart in zip(found.predictions, unseen, strict=True):
        label = found.labels.get(prediction.record_id)
        shifted = prediction.event_time >= plan.shift_ms
        if apart and shifted and label is not None and prediction.model_version in errors:
            errors[prediction.model_version].append(prediction.prediction - label)
    before, after = (np.array(errors[version]) for version in (promoted[0], promoted[-1]))
    if len(before) == 0 or len(after) == 0:
        return Check("error on the shifted stream", False, "one of the two versions scored no labelled shifted record")
    rmse = [float(np.sqrt(np.mean(values**2))) for values in (before, after)]
    held = rmse[1] < rmse[0] if plan.scenario_name == MEANING_CHANGES else rmse[1] < rmse[0] * 1.1
    told = f"RMSE {rmse[0]:,.0f} before ({len(before):,} rows), {rmse[1]:,.0f} after ({len(after):,} rows)"
    return Check("error on the shifted stream", held, told)


def _agreement(settings: Settings, found: Found) -> Check:
    """Registry, Redis, model.events and the last predictions name one version and one generation."""
    alias = Registry.open(settings.registry(), settings.model).alias()
    pointer = ModelCache(settings.redis_url.get_secret_value()).active() if settings.redis_url else None
    moves = [event for event in found.models if event.generation]
    last = _last(found)
    if alias is None or pointer is None or not moves:
        return Check("one version everywhere", False, "no champion in the registry, Redis or model.events")
    versions = {alias.version, pointer.version, moves[-1].version, last}
    generations = {alias.generation, pointer.generation, moves[-1].generation}
    held = len(versions) == 1 and len(generations) == 1
    return Check(
        "one version everywhere",
        held,
        f"version {', '.join(sorted(versions))}, generation {', '.join(map(str, generations))}",
    )


def _last(found: Found) -> str:
    newest = max(found.predictions, key=lambda prediction: prediction.event_time, default=None)
    return newest.model_version if newest else "-"
