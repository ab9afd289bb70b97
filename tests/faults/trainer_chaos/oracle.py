"""What must be true once everything has ended, from the registry, the topics and Redis alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from longshore.config import Settings
from longshore.kafka.admin import committed_offsets
from longshore.kafka.model_events import ModelEventLog
from longshore.records import ModelEventKind
from longshore.redis_store import ModelCache
from longshore.registry import Registry
from longshore.registry.timeline import identity
from longshore.topics import Topics


def violations(settings: Settings, topics: Topics, followed: Iterable[str], batches: Iterable[str]) -> list[str]:
    """Every promise that was not kept: for requests by the trigger ids that were sent, and for finished batch runs."""
    registry = Registry.open(settings.registry(), settings.model)
    return [
        *_versions(registry),
        *_history(registry),
        *(line for trigger_id in followed for line in _request(registry, trigger_id)),
        *(line for trigger_id in batches for line in _batch(registry, trigger_id)),
        *_copies(settings, topics, registry),
    ]


def _versions(registry: Registry) -> Iterator[str]:
    """Whole, numbered without gaps, one for a trigger."""
    names = registry.numbered()
    if names != registry.versions() or names != [f"v{number}" for number in range(1, len(names) + 1)]:
        yield f"versions are {registry.versions()}, folders {names}"
    for version in names:
        yield from registry.verify(version)
    made = Counter(registry.manifest(version)["trigger_id"] for version in registry.versions())
    yield from (f"{count} versions were made for {trigger}" for trigger, count in made.items() if count > 1)


def _history(registry: Registry) -> Iterator[str]:
    """Every move is of its trigger's version, and the only one."""
    moves = registry.history()
    counted = Counter(move.trigger_id for move in moves)
    yield from (f"{count} promotions for {trigger}" for trigger, count in counted.items() if count > 1)
    for move in moves:
        if registry.find_trigger(move.trigger_id) != move.version:
            yield f"generation {move.generation} names {move.version}, which is not {move.trigger_id}'s"


def _judged(registry: Registry, trigger_id: str) -> tuple[list[str], list[str]]:
    """The versions promoted and rejected for a trigger."""
    promoted = [move.version for move in registry.history() if move.trigger_id == trigger_id]
    rejected = [e.version for e in registry.events() if (e.kind, e.trigger_id) == (ModelEventKind.REJECTED, trigger_id)]
    return promoted, rejected


def _request(registry: Registry, trigger_id: str) -> Iterator[str]:
    """Exactly one outcome, and it is what the registry's files say."""
    outcome = registry.outcome(trigger_id)
    promoted, rejected = _judged(registry, trigger_id)
    if outcome is None:
        yield f"{trigger_id} has no outcome"
        return
    version = registry.find_trigger(trigger_id)
    expected = {
        "promoted": ([version], []),
        "rejected": ([], [version]),
        "superseded": ([], []),
    }.get(outcome["status"])
    if (promoted, rejected) != expected or outcome["version"] != version:
        yield f"{trigger_id} ended as {outcome}; promoted {promoted}, rejected {rejected}, version {version}"


def _batch(registry: Registry, trigger_id: str) -> Iterator[str]:
    """Its version was either promoted or rejected."""
    promoted, rejected = _judged(registry, trigger_id)
    if [*promoted, *rejected] != [registry.find_trigger(trigger_id)]:
        yield f"{trigger_id}: promoted {promoted}, rejected {rejected}"


def _copies(settings: Settings, topics: Topics, registry: Registry) -> Iterator[str]:
    """`model.events` and Redis hold what the registry says, once; every request's offset is committed."""
    told = [identity(event) for event in ModelEventLog(settings, topics.models).read()]
    if Counter(told) != Counter(identity(event) for event in registry.events()):
        yield f"model.events holds {len(told)} events, {len(set(told))} different, not {len(registry.events())}"
    assert settings.redis_url is not None
    active, champion = ModelCache(settings.redis_url.get_secret_value()).active(), registry.alias()
    if active is None or champion is None or active.generation != champion.generation:
        yield f"Redis holds {active}, the registry {champion}"
    if not committed_offsets(settings, settings.topic_prefix + settings.trainer.group, topics.requests).get(0):
        yield "no request's offset is committed"
