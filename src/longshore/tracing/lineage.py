"""The model's part: a version's origin from its manifest, and when it was champion from the alias' history. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from longshore.registry import MODEL_FILE, AliasRecord
from longshore.tracing.trace import Model, Reign


def reigns(history: Sequence[AliasRecord], version: str) -> list[Reign]:
    """Every stretch in which `version` was champion, oldest first."""
    found = []
    for move, following in zip(history, [*history[1:], None], strict=True):
        if move.version == version:
            found.append(_reign(move, following))
    return found


def champion_at(history: Sequence[AliasRecord], time_ms: int) -> AliasRecord | None:
    """The champion's move in force at a time, by the registry's clock."""
    return next((move for move in reversed(history) if move.time <= time_ms), None)


def generation_at(history: Sequence[AliasRecord], version: str, time_ms: int) -> int | None:
    """The generation under which `version` scored at a time: its last move before then.

    Clocks differ, so a version that scored a moment before its promotion is given to that promotion.
    """
    moves = [move for move in history if move.version == version]
    before = [move for move in moves if move.time <= time_ms]
    chosen = before[-1] if before else (moves[0] if moves else None)
    return chosen.generation if chosen else None


def lineage(
    model: str,
    version: str,
    manifest: Mapping[str, Any],
    history: Sequence[AliasRecord],
    *,
    scored_at: int,
    request: Mapping[str, Any] | None = None,
) -> Model:
    """Everything the registry knows about the version that scored at `scored_at`."""
    then = champion_at(history, scored_at)
    files = manifest.get("files") or {}
    # ONNX is what is served unless a setting says otherwise; a version without it has one other file to serve.
    file = MODEL_FILE if MODEL_FILE in files else next(iter(files), "")
    return Model(
        version=version,
        model=model,
        file=file,
        sha256=(files.get(file) or {}).get("sha256"),
        dataset=manifest.get("dataset") or {},
        trigger_id=manifest.get("trigger_id") or "",
        created=manifest.get("created"),
        actor=manifest.get("actor") or "",
        reason=manifest.get("reason") or "",
        code_version=manifest.get("code_version"),
        libraries=manifest.get("libraries") or {},
        metrics=manifest.get("metrics") or {},
        parameters=manifest.get("parameters") or {},
        signature=manifest.get("signature"),
        request=dict(request) if request else None,
        generation=generation_at(history, version, scored_at),
        champion_then=None if then is None else {"version": then.version, "generation": then.generation},
        reigns=reigns(history, version),
    )


def _reign(move: AliasRecord, following: AliasRecord | None) -> Reign:
    ended_by = None
    if following is not None:
        names = ("version", "generation", "kind", "actor", "reason", "trigger_id")
        ended_by = {name: getattr(following, name) for name in names}
    return Reign(
        generation=move.generation,
        kind=move.kind.value,
        since=move.time,
        actor=move.actor,
        reason=move.reason,
        trigger_id=move.trigger_id,
        until=following.time if following else None,
        ended_by=None if ended_by is None else msgspec.to_builtins(ended_by),
    )
