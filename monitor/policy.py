"""What an episode may ask for: the policy of retraining, its budget, and whether anything is sent at all. Pure.

| what opened the episode | `drift` | `harm` |
|---|---|---|
| inputs or predictions moved | request | request only where labels say that the error grew |
| errors grew (`concept`) | request | request |
| labels moved (`label`) | request | request only where labels say that the error grew |
"""

from __future__ import annotations

from dataclasses import dataclass

from longshore.slots import DAY_MS

CONCEPT = "concept"
"""The cause of an episode that errors opened."""

LABEL = "label"
"""That of one opened by labels that are distributed otherwise than the training target was."""

OF_LABELS = (CONCEPT, LABEL)
"""Causes that calm inputs do not end."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of asking.

    Attributes:
        name: `drift` or `harm`.
        budget: at most so many requests …
        budget_days: … in so many days of event time; 0 requests: no limit.
        dry_run: requests are told as `would_request`, and not sent.

    """

    name: str = "drift"
    budget: int = 0
    budget_days: float = 30.0
    dry_run: bool = False

    def allows(self, cause: str, *, harm: bool) -> bool:
        """Whether an episode of this cause may ask; `harm`: whether the error has grown."""
        return harm or not self.needs_harm(cause)

    def needs_harm(self, cause: str) -> bool:
        """Whether an episode of this cause may ask only once the error has grown."""
        return self.name == "harm" and cause != CONCEPT

    def within_days(self, asked: list[int], now: int) -> list[int]:
        """Those of the requests' times (ms) that count against the budget at event time `now`."""
        return [at for at in asked if at > now - self.budget_days * DAY_MS]

    def spent(self, asked: list[int], now: int) -> bool:
        """Whether the budget allows no request at `now`."""
        return bool(self.budget) and len(self.within_days(asked, now)) >= self.budget
