"""The two sides of a group member: where its outputs go (an outlet), and who is told of rebalances (hooks)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict

from confluent_kafka import Consumer, TopicPartition

from longshore.stream import Batch, NoteHook, PartitionsHook, Place, Single, StartHook


class Outlet(Protocol):
    """Where a member's outputs go, and its offsets with them (`transactions.Transactions` says what each call does)."""

    def send(self, outputs: Sequence[Batch | Single]) -> None: ...  # noqa: D102
    def commit(  # noqa: D102
        self, offsets: list[TopicPartition], consumer: Consumer, outputs: Sequence[Batch | Single] = ()
    ) -> None: ...
    def is_open(self) -> bool: ...  # noqa: D102
    def settled(self, within_s: float = 0.0) -> bool: ...  # noqa: D102
    def settle(self) -> bool: ...  # noqa: D102
    def abandon(self, reason: str) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Hooks(TypedDict, total=False):
    """Called from inside `poll` and `close` with the partitions that came or go.

    `on_revoked` while they are still ours (it may commit); `on_lost` when they are not (what was counted for them must
    be dropped). `on_start` says where to begin, whenever it is looked up where the group stands: of new partitions, and
    of all after an abort; a member that begins before the group's offsets commits with `upto`. `note` goes with each.
    """

    on_assigned: PartitionsHook | None
    on_revoked: PartitionsHook | None
    on_lost: PartitionsHook | None
    on_start: StartHook | None
    note: NoteHook | None


def noted(hooks: Mapping[str, Any], place: Place) -> tuple[str, ...]:
    """The note to go with an offset of `place`: none where none is kept."""
    note = hooks.get("note")
    found = note(place) if note is not None else ""
    return (found,) if found else ()
