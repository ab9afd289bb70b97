"""The registry of one model: its versions, where each alias points and pointed, claims, and all that happened.

Decides aliases' generations; versions' names and contents are `versions`' work, how a creation is exclusive and durable
the store's, who may train `claims`', the order of events `timeline`'s. Moves are immutable, so each is read once.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from longshore.errors import ConfigurationError, ConflictError, IntegrityError
from longshore.records import ModelEvent, ModelEventKind
from longshore.registry import claims, timeline
from longshore.registry.claims import Claim, Clock
from longshore.registry.formats import AliasRecord, Slot, check_name, decode, encode, numbers
from longshore.registry.notes import REFUSALS, REJECTIONS
from longshore.registry.store import Store, open_store
from longshore.registry.versions import Versions

MODEL_FILE = "model.onnx"
CHAMPION = "champion"
CHALLENGER = "challenger"
"""The version that last asked a person for approval."""
PREVIOUS = "previous"
MANUAL = "manual"
"""The trigger of what a person does."""

_MOVES = (ModelEventKind.PROMOTED, ModelEventKind.ROLLED_BACK, ModelEventKind.AWAITING_APPROVAL)


class Registry(Versions):
    """One model's versions, aliases, claims and rejections; any number of processes may use it at once.

    Every method may raise UnavailableError (the store cannot be read or written) and FormatError (a newer or damaged
    file). `notes` holds what was noted beside versions.
    """

    def __init__(self, store: Store, model: str, *, clock: Clock = time.time) -> None:
        super().__init__(store, model, clock=clock)
        self._moves: dict[tuple[str, int], AliasRecord] = {}

    @classmethod
    def open(cls, url: str, model: str, *, clock: Clock = time.time) -> Registry:
        """The registry of `model` at a path or URL; an empty one needs no preparation.

        Raises:
            ConfigurationError: the URL cannot be read, or the model's name cannot be a folder's.

        """
        check_name(model, "model")
        open_store(url)
        return cls(open_store(f"{url.rstrip('/')}/{model}"), model, clock=clock)

    def aliases(self) -> list[str]:
        """Every alias that ever pointed at a version."""
        return sorted(self.store.names("aliases"))

    def alias(self, name: str = CHAMPION) -> AliasRecord | None:
        """Where an alias points; `previous` is derived from the champion's history."""
        if name == PREVIOUS:
            found = timeline.previous_champion(self.history())
            return None if found is None else msgspec.structs.replace(found, alias=PREVIOUS)
        highest = self._generation(name)
        return self.move(name, highest) if highest else None

    def history(self, name: str = CHAMPION) -> list[AliasRecord]:
        """Every move of an alias, oldest first."""
        generations = numbers(self.store.names(f"aliases/{check_name(name, 'alias')}"))
        return [self.move(name, generation) for generation in generations]

    def move(self, name: str, generation: int) -> AliasRecord:
        """One move of an alias; FormatError where there was none."""
        if (name, generation) not in self._moves:
            key = f"aliases/{name}/{generation}.json"
            self._moves[name, generation] = decode(self.store.read(key) or b"", AliasRecord, key)
        return self._moves[name, generation]

    def move_alias(
        self,
        name: str,
        version: str,
        *,
        expected_generation: int,
        trigger_id: str,
        actor: str,
        reason: str,
        kind: str = ModelEventKind.PROMOTED,
    ) -> AliasRecord:
        """Point an alias at a version, by creating generation `expected_generation + 1` (0: it never pointed anywhere).

        A request is promoted once, whoever works on it: a second time only by hand (`MANUAL`, or no trigger at all).

        Raises:
            ConflictError: the alias is at another generation than expected, or the request was promoted already.
            ConfigurationError: no such version, or the alias is `previous`.
            IntegrityError: the version was collected.

        """
        if kind not in _MOVES or name == PREVIOUS:
            raise ConfigurationError(
                f"alias {name!r} cannot be moved as {kind!r}", mend="promote or roll back champion"
            )
        self.manifest(version)
        if version in self.notes.collected():
            raise IntegrityError(f"{version} was collected: its files are gone", mend="choose another version")
        record = AliasRecord(
            alias=check_name(name, "alias"),
            model=self.model,
            version=version,
            generation=expected_generation + 1,
            kind=ModelEventKind(kind),
            trigger_id=trigger_id,
            actor=actor,
            reason=reason,
            time=self._now_ms(),
        )
        found = self._generation(name)
        if kind == ModelEventKind.PROMOTED and trigger_id not in ("", MANUAL):
            self._require_first(name, trigger_id, found)
        if found == expected_generation:
            try:
                self.store.create(f"aliases/{name}/{record.generation}.json", encode(record))
            except ConflictError:
                found = self._generation(name)
            else:
                return record
        raise ConflictError(
            f"{name} is at generation {found}, not {expected_generation}", mend="see `longshore model history`"
        )

    def claim(self, trigger_id: str, *, owner: str, ttl_s: float) -> Claim | None:
        """Take a request on; None where somebody alive holds it or it is finished (see `claims`)."""
        return claims.take(self.store, self._clock, trigger_id, owner, ttl_s)

    def outcome(self, trigger_id: str) -> dict[str, Any] | None:
        """How a request ended; None while it has not."""
        return claims.outcome(self.store, trigger_id)

    def open_requests(self) -> list[str]:
        """The triggers of requests that were claimed and have no outcome."""
        return [trigger_id for trigger_id in self.store.names("claims") if self.outcome(trigger_id) is None]

    def taken_on(self, trigger_id: str) -> bool:
        """Whether anybody ever claimed a request."""
        return bool(self.store.names(f"claims/{check_name(trigger_id, 'trigger id')}"))

    def slot(self, name: str) -> Slot | None:
        """The request that was fixed for a slot of the schedule; None where none was."""
        key = f"slots/{check_name(name, 'slot')}.json"
        data = self.store.read(key)
        return None if data is None else decode(data, Slot, key)

    def fix_slot(self, slot: Slot) -> tuple[Slot, bool]:
        """Fix the slot's request, and whether we did; somebody else's where they were first."""
        try:
            self.store.create(f"slots/{check_name(slot.name, 'slot')}.json", encode(slot))
        except ConflictError:
            return self.slot(slot.name) or slot, False
        return slot, True

    def events(self) -> list[ModelEvent]:
        """Everything that happened, each once, in order of time: what `model.events` must hold."""
        manifests = {version: found for version in self.registered() if (found := self.readable(version))}
        notes = self.notes
        asked = [record for record in self.history(CHALLENGER) if record.kind is ModelEventKind.AWAITING_APPROVAL]
        return timeline.events(self.model, manifests, notes.rejections(), self.history(), notes.refusals(), asked=asked)

    def stamp(self) -> tuple[int, ...]:
        """As long as it is the same so are `events`, but for files that were damaged and mended: listings only."""
        moves = (self._generation(CHAMPION), self._generation(CHALLENGER))
        return (len(self.registered()), *moves, self.notes.count(REJECTIONS), self.notes.count(REFUSALS))

    def _require_first(self, name: str, trigger_id: str, generation: int) -> None:
        """ConflictError where a request was promoted up to a generation; later ones conflict by their number."""
        for number in range(generation, 0, -1):
            record = self.move(name, number)
            if record.trigger_id == trigger_id and record.kind is ModelEventKind.PROMOTED:
                raise ConflictError(
                    f"{trigger_id} was promoted already, as {record.version} in generation {number}",
                    mend="promote by hand what is to be champion again",
                )

    def _generation(self, name: str) -> int:
        return max(numbers(self.store.names(f"aliases/{check_name(name, 'alias')}")), default=0)
