"""Whether the model in use has become old: a request once it has been in use for so many days of event time. Pure.

A model's age counts from the first pane of its era. It is divided into slots of `days`; from the end of the first on,
each slot may have one request, when fresh labels suffice and nothing holds it back: a quarantine, a request that is
out, the budget. A slot that passed so is not made up for. The trigger id is a function of the version and of the pane
in which the slot begins, so a replay asks with the same one. The state machine of episodes is not moved by it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from longshore.monitor.episode_state import EpisodeState, Phase, Rules
from longshore.records import RetrainRequest, Window
from longshore.slots import DAY_MS

AGE = "age"
"""The cause of a request that only a model's age makes."""


class AgeState(msgspec.Struct):
    """What is remembered of the era in use.

    `first_pane`: its first one, −1 while none was seen; `labels`: of records since then, `labels_base` of them at the
    last request, `ahead` by pane of records that no final window has yet, up to `judged_to`; `asked`: the number of the
    last slot that asked, `told`: what its slot was held back by, told once.
    """

    version: str = ""
    first_pane: int = -1
    labels: int = 0
    labels_base: int = 0
    asked: int = 0
    slot: int = 0
    told: list[str] = []
    ahead: dict[int, int] = {}
    judged_to: int = 0


@dataclass(frozen=True, slots=True)
class Aged:
    """Something to tell: an event's kind and detail, and the request that goes with it."""

    kind: str
    detail: dict[str, Any] = field(default_factory=dict)
    request: RetrainRequest | None = None


class Ageing:
    """Goes from window to window of the era in use; `days` 0: a model is never too old."""

    def __init__(self, rules: Rules, days: float, pane_ms: int, state: AgeState | None = None) -> None:
        self._rules = rules
        self._pane_ms = pane_ms
        self._panes = max(1, round(days * DAY_MS / pane_ms)) if days else 0
        self.state = state or AgeState()

    def begin(self, version: str, pane: int) -> None:
        """A newer model's era begins with this pane."""
        ahead = {at: number for at, number in self.state.ahead.items() if at >= pane}
        self.state = AgeState(version, pane, ahead=ahead, judged_to=pane)

    def on_labels(self, seen: list[tuple[int, int]]) -> None:
        """Labels arrived, as pairs (pane, number): those of the era's records count, before or after its beginning."""
        state = self.state
        for pane, number in seen if self._panes else ():
            if pane >= state.judged_to:
                state.ahead[pane] = state.ahead.get(pane, 0) + number
            elif state.first_pane >= 0 and pane >= state.first_pane:
                state.labels += number

    def on_window(self, version: str, end_pane: int, episodes: EpisodeState, *, held: bool) -> list[Aged]:
        """A final window of the era was judged, up to `end_pane`; `held`: a quarantine lasts."""
        state = self.state
        if state.first_pane < 0:  # a snapshot from before ages were counted
            state.version, state.first_pane = version, end_pane
        state.judged_to = end_pane
        state.labels += sum(number for pane, number in state.ahead.items() if state.first_pane <= pane < end_pane)
        state.ahead = {pane: number for pane, number in state.ahead.items() if pane >= end_pane}
        slot = (end_pane - state.first_pane) // self._panes if self._panes else 0
        if slot <= state.asked:
            return []
        if slot != state.slot:
            state.slot, state.told = slot, []
        return self._ask(slot, end_pane, episodes, held=held)

    def _ask(self, slot: int, end_pane: int, episodes: EpisodeState, *, held: bool) -> list[Aged]:
        """The slot's request, or what holds it back, each told once."""
        state, policy, rules = self.state, self._rules.policy, self._rules
        fresh = state.labels - state.labels_base
        detail = self._detail(slot, end_pane) | {"fresh_labels": fresh}
        if episodes.phase is Phase.RETRAINING:
            return []  # an episode's request is out, and brings a new model as well
        if held:
            return self._once("quarantined", detail)
        if fresh < rules.min_fresh_labels:
            return self._once("awaiting_labels", detail | {"needed": rules.min_fresh_labels})
        if policy.spent(episodes.asked, episodes.now):
            spent = len(policy.within_days(episodes.asked, episodes.now))
            return self._once(
                "over_budget", detail | {"requests": spent, "budget": policy.budget, "days": policy.budget_days}
            )
        request = self._request(slot, end_pane, fresh)
        state.asked, state.labels_base = slot, state.labels
        detail |= {"trigger_id": request.trigger_id, "attempt": request.attempt}
        if policy.dry_run:
            return [Aged("would_request", detail | {"evidence": request.evidence})]
        episodes.asked = [*policy.within_days(episodes.asked, episodes.now), episodes.now]
        return [Aged("retraining", detail, request)]

    def _once(self, kind: str, detail: dict[str, Any]) -> list[Aged]:
        if kind in self.state.told:
            return []
        self.state.told = [*self.state.told, kind]
        return [Aged(kind, detail)]

    def _detail(self, slot: int, end_pane: int) -> dict[str, Any]:
        state, day = self.state, DAY_MS / self._pane_ms
        return {
            "since": state.first_pane * self._pane_ms,
            "age_days": round((end_pane - state.first_pane) / day, 3),
            "max_age_days": round(self._panes / day, 6),
            "slot": slot,
        }

    def _request(self, slot: int, end_pane: int, fresh: int) -> RetrainRequest:
        state, begun = self.state, self.state.first_pane + slot * self._panes
        parts = (state.version, AGE, str(begun), "1")
        return RetrainRequest(
            trigger_id=hashlib.sha256("|".join(parts).encode()).hexdigest()[:16],
            cause=AGE,
            model_version=state.version,
            window=Window(state.first_pane * self._pane_ms, end_pane * self._pane_ms, 0),
            streams=[],
            episode=f"{AGE}-{begun}",
            evidence={"policy": self._rules.policy.name} | self._detail(slot, end_pane) | {"fresh_labels": fresh},
        )
