"""What a replay does with one dead letter: the new record, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from longshore.dead_letters.journal import Entry, Journal
from longshore.dead_letters.letter import (
    REPLAY_ATTEMPT,
    REPLAY_OF,
    REPLAY_ROOT,
    Coordinates,
    DeadLetter,
    Headers,
)
from longshore.dead_letters.mending import Patch, PatchError
from longshore.records import CONTEXT, SOURCE
from longshore.stream import wire_bytes


class Outcome(StrEnum):
    """What became of a dead letter that was selected."""

    REPLAYED = "replayed"
    WOULD_REPLAY = "would_replay"
    ALREADY_REPLAYED = "already_replayed"
    REFUSED = "refused"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    PATCH_FAILED = "patch_failed"
    TOO_LARGE = "too_large"

    @property
    def failed(self) -> bool:
        """Whether it stays unreplayed although it was meant to be replayed."""
        return self in (
            Outcome.REFUSED, Outcome.ATTEMPTS_EXHAUSTED, Outcome.PATCH_FAILED, Outcome.TOO_LARGE,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """A dead letter that is not replayed, and why."""

    letter: DeadLetter
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A dead letter's new record: key and partition are the original's, `attempt` counts this replay."""

    letter: DeadLetter
    origin: Coordinates
    root: Coordinates
    attempt: int
    value: bytes | None
    patched: bool

    @property
    def size(self) -> int:
        """Roughly the bytes it takes."""
        return wire_bytes(self.letter.key, self.value, self.letter.headers)

    def headers(self) -> Headers:
        """The original headers; what an earlier failure or replay added gives way to what is true of this one."""
        own = {SOURCE, REPLAY_OF, REPLAY_ROOT, REPLAY_ATTEMPT}
        kept = [pair for pair in self.letter.headers if not pair[0].startswith(CONTEXT) and pair[0] not in own]
        return [
            *kept,
            (REPLAY_OF, str(self.origin).encode()),
            (REPLAY_ROOT, str(self.root).encode()),
            (REPLAY_ATTEMPT, str(self.attempt).encode()),
        ]

    def entry(self, target: Coordinates, now_ms: int) -> Entry:
        """The journal's value, once it is known where the new record stands."""
        return Entry(
            replayed_as=str(target),
            dead_letter=str(self.letter.place),
            root=str(self.root),
            attempt=self.attempt,
            patched=self.patched,
            replayed_at=now_ms,
        )


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans replays.

    `ends` holds each partition of the records' topic and the offset after its last record: an origin beyond them is
    made up.
    """

    ends: Mapping[int, int]
    max_attempts: int
    patch: Patch | None = None

    def plan(self, letter: DeadLetter, journal: Journal) -> Plan | Refusal:
        """What to do with a dead letter."""
        origin, root = letter.origin, letter.root
        if letter.problem or origin is None or root is None:
            return Refusal(letter, Outcome.REFUSED, letter.problem)
        if origin.offset >= self.ends.get(origin.partition, -1):
            return Refusal(letter, Outcome.REFUSED, f"there is no record {origin}")
        if origin in journal:
            return Refusal(letter, Outcome.ALREADY_REPLAYED, f"as {journal.replayed_as(origin) or 'an unknown record'}")
        if letter.attempt >= self.max_attempts:
            return Refusal(
                letter,
                Outcome.ATTEMPTS_EXHAUSTED,
                f"{letter.attempt} replays since {root}, at most {self.max_attempts}",
            )
        value = letter.value
        if self.patch is not None:
            try:
                value = self.patch.apply(value)
            except PatchError as error:
                return Refusal(letter, Outcome.PATCH_FAILED, str(error))
        return Plan(letter, origin, root, letter.attempt + 1, value, self.patch is not None)
