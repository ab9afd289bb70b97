"""The states of an instance's transactions and what moves them, as a table; what is not in it is a bug and raises.

```
            begin                commit                committed
   READY ──────────► OPEN ────────────────► COMMITTING ───────────► READY
     │                │ abort                  │ abort
     │                ├────────► ABORTING ◄────┤
     │                │             │ aborted ──────────────────────► READY
     │ replace        │ replace     │ replace  │ replace
     └────────────────┴─────────────┴──────────┴──► REPLACING ──────► READY
   any state ── end ──► ENDED                            replaced
```
"""

from __future__ import annotations

from enum import StrEnum

from confluent_kafka import KafkaError

from longshore.kafka.client import FENCED


class State(StrEnum):
    """Where an instance's transactions are."""

    READY = "ready"
    OPEN = "open"
    COMMITTING = "committing"
    ABORTING = "aborting"
    REPLACING = "replacing"
    ENDED = "ended"


class Event(StrEnum):
    """What moves them."""

    BEGIN = "begin"
    COMMIT = "commit"
    COMMITTED = "committed"
    ABORT = "abort"
    ABORTED = "aborted"
    REPLACE = "replace"
    REPLACED = "replaced"
    END = "end"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.READY, Event.BEGIN): State.OPEN,
    (State.OPEN, Event.COMMIT): State.COMMITTING,
    (State.COMMITTING, Event.COMMITTED): State.READY,
    (State.OPEN, Event.ABORT): State.ABORTING,
    (State.COMMITTING, Event.ABORT): State.ABORTING,
    (State.ABORTING, Event.ABORTED): State.READY,
    (State.READY, Event.REPLACE): State.REPLACING,
    (State.OPEN, Event.REPLACE): State.REPLACING,
    (State.COMMITTING, Event.REPLACE): State.REPLACING,
    (State.ABORTING, Event.REPLACE): State.REPLACING,
    (State.REPLACING, Event.REPLACED): State.READY,
    **{(state, Event.END): State.ENDED for state in State},
}


def remedy(error: KafkaError) -> Event:
    """What a failed call asks for: END (fenced), ABORT (a definite failure) or REPLACE (nobody knows)."""
    if error.code() in FENCED:
        return Event.END
    return Event.ABORT if error.txn_requires_abort() else Event.REPLACE
