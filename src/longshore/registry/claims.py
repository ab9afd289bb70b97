"""Who works on a retraining request: at most one holder at a time, and a killed one is followed after its expiry.

`claims/<trigger_id>/<n>.json` are exclusive numbered files; the highest number holds the claim until its wall-clock
`expires_at`. Taking, renewing and taking over all create the next number, so of two that try one wins. `outcome.json`
ends the request for good. Old numbers are removed, never the highest: so whoever created a number must see that it is
the highest before believing in it.

A holder that is suspended past its expiry learns at its next `renew` or `finish` that it lost; what it may not do
meanwhile is guarded by the exclusive steps of `catalog` (one version per trigger, one move per generation).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from longshore.errors import ConflictError
from longshore.registry.formats import ClaimRecord, OutcomeRecord, check_name, decode, encode, numbers
from longshore.registry.store import Store

KEPT_NUMBERS = 8

Clock = Callable[[], float]


class Claim:
    """Held by `owner` until the outcome, or until `ttl_s` passes without `renew`. `token` grows with each holder."""

    def __init__(self, store: Store, clock: Clock, *, trigger_id: str, owner: str, ttl_s: float, number: int) -> None:
        self.trigger_id = trigger_id
        self.owner = owner
        self.ttl_s = ttl_s
        self.token = number
        self._store = store
        self._clock = clock
        self._number = number

    def renew(self) -> None:
        """Hold it for another `ttl_s` from now.

        Raises:
            ConflictError: somebody took it over, or the request has an outcome.

        """
        self._extend(self.ttl_s)
        _trim(self._store, self.trigger_id, KEPT_NUMBERS)

    def release(self) -> None:
        """Let the next one in at once, without an outcome: the run was stopped, not finished."""
        self._extend(0.0)

    def finish(self, outcome: dict[str, Any]) -> None:
        """Write the outcome; the request is never claimed again. A second call by the same holder does nothing.

        Raises:
            ConflictError: somebody took it over.

        """
        if self._has_finished():
            return
        self._check_held()
        record = OutcomeRecord(trigger_id=self.trigger_id, owner=self.owner, token=self.token, outcome=outcome)
        try:
            self._store.create(_outcome_key(self.trigger_id), encode(record))
        except ConflictError:
            if not self._has_finished():
                raise self._lost() from None
        _trim(self._store, self.trigger_id, 1)

    def _has_finished(self) -> bool:
        found = _read_outcome(self._store, self.trigger_id)
        return found is not None and (found.token, found.owner) == (self.token, self.owner)

    def _extend(self, ttl_s: float) -> None:
        self._check_held()
        record = ClaimRecord(
            trigger_id=self.trigger_id, owner=self.owner, token=self.token, expires_at=self._clock() + ttl_s
        )
        if not _append(self._store, record, self._number + 1):
            raise self._lost()
        self._number += 1

    def _check_held(self) -> None:
        if _highest(self._store, self.trigger_id) != self._number or _read_outcome(self._store, self.trigger_id):
            raise self._lost()

    def _lost(self) -> ConflictError:
        return ConflictError(
            f"the claim of {self.owner} on {self.trigger_id} was taken over or the request is finished",
            mend="drop this run: its successor goes on",
        )


def take(store: Store, clock: Clock, trigger_id: str, owner: str, ttl_s: float) -> Claim | None:
    """Claim a request; None where somebody holds it or it is finished."""
    check_name(trigger_id, "trigger id")
    if _read_outcome(store, trigger_id) is not None:
        return None
    highest = _highest(store, trigger_id)
    if highest and _expiry(store, trigger_id, highest) > clock():
        return None
    number = highest + 1
    record = ClaimRecord(trigger_id=trigger_id, owner=owner, token=number, expires_at=clock() + ttl_s)
    if not _append(store, record, number):
        return None
    return Claim(store, clock, trigger_id=trigger_id, owner=owner, ttl_s=ttl_s, number=number)


def outcome(store: Store, trigger_id: str) -> dict[str, Any] | None:
    """How a request ended; None while it has not."""
    found = _read_outcome(store, check_name(trigger_id, "trigger id"))
    return None if found is None else found.outcome


def _append(store: Store, record: ClaimRecord, number: int) -> bool:
    """Whether this record now holds the claim."""
    try:
        store.create(_key(record.trigger_id, number), encode(record))
    except ConflictError:
        return False
    return _highest(store, record.trigger_id) == number and _read_outcome(store, record.trigger_id) is None


def _expiry(store: Store, trigger_id: str, number: int) -> float:
    key = _key(trigger_id, number)
    data = store.read(key)
    # Gone since it was listed: higher numbers exist, so somebody holds it.
    return float("inf") if data is None else decode(data, ClaimRecord, key).expires_at


def _read_outcome(store: Store, trigger_id: str) -> OutcomeRecord | None:
    data = store.read(_outcome_key(trigger_id))
    return None if data is None else decode(data, OutcomeRecord, _outcome_key(trigger_id))


def _trim(store: Store, trigger_id: str, keep: int) -> None:
    for number in numbers(store.names(f"claims/{trigger_id}"))[:-keep]:
        store.remove(_key(trigger_id, number))


def _highest(store: Store, trigger_id: str) -> int:
    return max(numbers(store.names(f"claims/{trigger_id}")), default=0)


def _key(trigger_id: str, number: int) -> str:
    return f"claims/{trigger_id}/{number}.json"


def _outcome_key(trigger_id: str) -> str:
    return f"claims/{trigger_id}/outcome.json"
