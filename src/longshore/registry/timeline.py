"""Pure: what happened, from what the registry's files say, and which champion came before the present one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from longshore.records import ModelEvent, ModelEventKind
from longshore.registry.formats import AliasRecord, RefusalRecord, Rejection, version_number

Identity = tuple[str, str, str, int, str]


def identity(event: ModelEvent) -> Identity:
    """What makes two model events the same one: model, kind, version, generation, trigger (a refusal's: its scorer)."""
    cause = event.actor if event.kind is ModelEventKind.REFUSED else event.trigger_id
    return (event.model, event.kind.value, event.version, event.generation, cause)


def previous_champion(history: Sequence[AliasRecord]) -> AliasRecord | None:
    """The move that made the version one step back champion; None before the second version.

    Promotions stack; a rollback takes off what lies above its version. So a second rollback goes further back, and
    never to a version that was itself rolled back.
    """
    stack: list[AliasRecord] = []
    for record in history:
        versions = [below.version for below in stack]
        if record.kind is ModelEventKind.ROLLED_BACK and record.version in versions:
            del stack[versions.index(record.version) + 1 :]
        elif not stack or versions[-1] != record.version:
            stack.append(record)
    return stack[-2] if len(stack) > 1 else None


def events(
    model: str,
    manifests: Mapping[str, Mapping[str, Any]],
    rejections: Iterable[Rejection],
    history: Iterable[AliasRecord],
    refusals: Iterable[RefusalRecord] = (),
    *,
    asked: Iterable[AliasRecord] = (),
) -> list[ModelEvent]:
    """Every event once, in order of time; causes come before effects even where clocks disagree.

    `asked` are the moves by which versions asked for approval.
    """
    ordered: list[tuple[tuple[int, int, int], ModelEvent]] = []
    registered: dict[str, int] = {}
    at = 0
    for version in sorted(manifests, key=lambda name: version_number(name) or 0):
        event = _registered(model, version, manifests[version])
        at = registered[version] = max(at, event.time)
        ordered.append(((at, 0, version_number(version) or 0), event))
    for rejection in rejections:
        event = _rejected(model, rejection)
        after = max(event.time, registered.get(rejection.version, 0))
        ordered.append(((after, 1, version_number(rejection.version) or 0), event))
    for record in asked:
        after = max(record.time, registered.get(record.version, 0))
        event = replace(_moved(model, record), generation=0)
        ordered.append(((after, 1, version_number(record.version) or 0), event))
    at = 0
    moved: dict[int, int] = {}
    for record in history:
        at = moved[record.generation] = max(at, record.time, registered.get(record.version, 0))
        ordered.append(((at, 2, record.generation), _moved(model, record)))
    for refusal in refusals:
        after = max(refusal.time, moved.get(refusal.generation, 0))
        ordered.append(((after, 3, refusal.generation), refused(model, refusal)))
    return [event for _, event in sorted(ordered, key=lambda pair: (pair[0], identity(pair[1])))]


def _registered(model: str, version: str, manifest: Mapping[str, Any]) -> ModelEvent:
    return ModelEvent(
        kind=ModelEventKind.REGISTERED,
        model=model,
        version=version,
        generation=0,
        trigger_id=str(manifest.get("trigger_id") or ""),
        actor=str(manifest.get("actor") or "trainer"),
        reason=str(manifest.get("reason") or ""),
        time=round(datetime.fromisoformat(manifest["created"]).timestamp() * 1_000),
    )


def _rejected(model: str, rejection: Rejection) -> ModelEvent:
    return ModelEvent(
        kind=ModelEventKind.REJECTED,
        model=model,
        version=rejection.version,
        generation=0,
        trigger_id=rejection.trigger_id,
        actor=rejection.actor,
        reason=rejection.reason,
        time=rejection.time,
    )


def _moved(model: str, record: AliasRecord) -> ModelEvent:
    return ModelEvent(
        kind=record.kind,
        model=model,
        version=record.version,
        generation=record.generation,
        trigger_id=record.trigger_id,
        actor=record.actor,
        reason=record.reason,
        time=record.time,
    )


def refused(model: str, record: RefusalRecord) -> ModelEvent:
    """The event of a refusal."""
    return ModelEvent(
        kind=ModelEventKind.REFUSED,
        model=model,
        version=record.version,
        generation=record.generation,
        trigger_id="",
        actor=f"scorer {record.instance}",
        reason=record.reason,
        time=record.time,
    )
