"""Faults of the data from the monitor's events: what lasts, since when, and what there was before. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from longshore.pages.wording import listed
from longshore.records import DriftEvent

KINDS = ("quality", "quality_over")
"""The events that tell of faults: they are of no episode of drift."""

REMEMBERED = 20
"""Quality episodes kept, the newest."""


@dataclass(slots=True)
class Trouble:
    """One quality episode.

    Attributes:
        id: as the events have it.
        began: start of the first window with a fault (event time, ms).
        ended: end of the window that ended it; None while it lasts.
        faults: those that last, as the last event tells them (`quality.faults.Fault`, with `since`).
        holds: whether retraining waits.
        seen: the newest sentence of every fault there was, by kind and stream.

    """

    id: str
    began: int
    ended: int | None = None
    faults: list[dict[str, Any]] = field(default_factory=list)
    holds: bool = False
    seen: dict[tuple[str, str], str] = field(default_factory=dict)


class Quality:
    """Takes in events in the topic's order."""

    def __init__(self) -> None:
        self.found: deque[Trouble] = deque(maxlen=REMEMBERED)

    @property
    def now(self) -> Trouble | None:
        """The quality episode that lasts."""
        last = self.found[-1] if self.found else None
        return last if last is not None and last.ended is None else None

    def add(self, event: DriftEvent) -> None:
        """Take in the next event; one of another kind changes nothing."""
        if event.kind not in KINDS:
            return
        known = self.found[-1] if self.found and self.found[-1].id == event.episode else None
        if known is None:
            known = Trouble(event.episode, event.window.start)
            self.found.append(known)
        known.faults = list(_faults(event.detail.get("faults")))
        known.holds = event.detail.get("quarantine") is True
        for fault in known.faults:
            known.seen[fault["kind"], fault["stream"]] = fault["text"]
        if event.kind == "quality_over":
            known.ended = event.window.end

    def to_dict(self) -> dict[str, Any]:
        """What lasts, as plain values."""
        now = self.now
        return {
            "episode": now.id if now else None,
            "since": now.began if now else None,
            "quarantine": now.holds if now else False,
            "faults": now.faults if now else [],
        }


def step_text(event: DriftEvent) -> str:
    """What `quarantined` says in the story of an episode of drift."""
    names = [f"{fault['kind']} ({fault['stream']})" for fault in _faults(event.detail.get("faults"))]
    return f"Quarantined: the data have faults, {listed(names, 5) or 'told before'}; retraining waits for their end"


def faults_text(event: DriftEvent) -> str:
    """What a change of the faults says: those that last, or that they are over."""
    faults = list(_faults(event.detail.get("faults")))
    held = "; retraining waits for their end" if event.detail.get("quarantine") is True else ""
    if event.kind == "quality_over":
        return f"The data's faults are over: {event.detail.get('reason', 'no reason given')}"
    return "; ".join(str(fault["text"]) for fault in faults) + held


def _faults(given: Any) -> Iterable[dict[str, Any]]:
    """The faults of an event's detail that have what is shown of them."""
    for fault in given if isinstance(given, list) else []:
        if isinstance(fault, dict) and {"kind", "stream", "text"} <= fault.keys():
            yield fault
