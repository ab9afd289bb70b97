"""Retraining by the calendar: one request for a slot (a day or a week, UTC), however many trainers ask for it.

The slot's request is fixed in the registry by exclusive creation: whoever is first decides which champion it is about,
and with that its trigger id. Whoever fixed it sends it; if it was killed in between, another trainer sends the same one
a minute later. Sent twice, it is served once: its claim and outcome are in the registry. A champion made in the slot
needs no other one.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from longshore.errors import LongshoreError
from longshore.records import RetrainRequest, Window
from longshore.registry import Registry
from longshore.registry.formats import Slot
from longshore.slots import slot_of

CAUSE = "schedule"
TICK_S = 10.0
RESEND_S = 60.0
"""A slot's request that nobody claimed for so long was perhaps never sent."""

log = structlog.get_logger()


def request(slot: Slot) -> RetrainRequest:
    """The slot's request: about the newest labelled rows, whenever they happened."""
    return RetrainRequest(
        trigger_id=slot.trigger_id,
        cause=CAUSE,
        model_version=slot.model_version,
        window=Window(0, slot.time, 0),
        streams=[],
        episode=slot.name,
    )


def trigger_id(model_version: str, slot: str, attempt: int = 1) -> str:
    """As the monitor's: a hash of model version, cause, when, and attempt."""
    parts = (model_version, CAUSE, slot, str(attempt))
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


@dataclass(slots=True)
class Scheduler:
    """Asks for a retraining once in every slot; any number of replicas may run one each.

    `send` puts a request where trainers read it, `clock` gives s since epoch.
    """

    registry: Registry
    schedule: str
    send: Callable[[RetrainRequest], None]
    clock: Callable[[], float]
    _sent: str = field(default="")

    def tick(self) -> None:
        """Fix the present slot's request where it is due, and see that it was sent.

        Raises:
            UnavailableError: the registry or Kafka cannot be reached; the next tick tries again.

        """
        now = self.clock()
        name = slot_of(self.schedule, datetime.fromtimestamp(now, UTC))
        slot, ours = self.registry.slot(name), False
        if slot is None:
            champion = self.registry.alias()
            if champion is None or slot_of(self.schedule, datetime.fromtimestamp(champion.time / 1_000, UTC)) == name:
                return
            version = champion.version
            made = Slot(name=name, model_version=version, trigger_id=trigger_id(version, name), time=round(now * 1_000))
            slot, ours = self.registry.fix_slot(made)
        overdue = now - slot.time / 1_000 > RESEND_S and not self.registry.taken_on(slot.trigger_id)
        if slot.trigger_id != self._sent and (ours or overdue):
            self.send(request(slot))
            self._sent = slot.trigger_id
            log.info("retraining by schedule", slot=name, trigger_id=slot.trigger_id, model_version=slot.model_version)

    def follow(self, stop: threading.Event) -> None:
        """Tick until `stop`: the body of a thread."""
        while not stop.is_set():
            try:
                self.tick()
            except LongshoreError as error:
                log.warning("schedule not kept yet", schedule=self.schedule, error=str(error))
            stop.wait(TICK_S)
