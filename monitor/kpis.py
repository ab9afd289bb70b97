"""A user's KPIs, of each window of labels or measured by others: whether they keep their bounds, since when not. Pure.

A KPI that is not defined in a window (a division by zero, no published interval) neither breaches nor keeps its bound.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from longshore.expressions import Expression
from longshore.kpi_settings import FIGURES, THEN
from longshore.records import KpiValue


@dataclass(frozen=True, slots=True)
class Kpi:
    """An expression (None: its values are measured by others), and its bounds.

    `windows` or values in a row beyond one are told, as many within end it.
    """

    expression: Expression | None
    at_most: float | None = None
    at_least: float | None = None
    windows: int = 3

    @classmethod
    def of(cls, text: str | None, at_most: float | None = None, at_least: float | None = None, windows: int = 3) -> Kpi:
        """From its text (ValueError: it is none)."""
        expression = None if text is None else Expression(text, (*FIGURES, *THEN))
        return cls(expression, at_most, at_least, windows)

    def breached(self, value: float) -> bool:
        """Whether a value is beyond a bound."""
        over = self.at_most is not None and value > self.at_most
        return over or (self.at_least is not None and value < self.at_least)


class KpiState(msgspec.Struct):
    """Of one KPI: windows in a row that breached, or kept, its bound; the episode that lasts, empty for none.

    `value`: the last one.
    """

    breached: int = 0
    kept: int = 0
    episode: str = ""
    value: float | None = None


class KpiWatch:
    """Takes the figures of one window of labels after another, and values as they were measured."""

    def __init__(self, kpis: Mapping[str, Kpi], state: dict[str, KpiState] | None = None) -> None:
        self._kpis = kpis
        self.state = {name: known for name, known in (state or {}).items() if name in kpis}

    def take(self, detail: Mapping[str, Any], version: str, start: int) -> tuple[dict[str, Any], list[Any]]:
        """A `performance` event's detail to what is added to it, and changes to tell as (kind, episode, detail).

        `kpi`: a bound is breached for its number of windows; `kpi_over`: it is kept for as many. `start`: the window's.
        """
        named = named_figures(detail)
        found, changes = {}, []
        for name, kpi in self._kpis.items():
            if kpi.expression is not None:
                value = kpi.expression.value(named)
                found[name], told = self._judged(name, kpi, value, f"kpi|{name}|{version}|{start}")
                changes += told
        return ({"kpis": found} if found else {}), changes

    def measured(self, seen: KpiValue, at: int) -> list[Any]:
        """Take in a value that was measured, and tell changes like `take`; of a KPI that comes otherwise, nothing.

        `at` tells values of the same time apart.
        """
        kpi = self._kpis.get(seen.name)
        if kpi is None or kpi.expression is not None:
            return []
        _, changes = self._judged(seen.name, kpi, seen.value, f"kpi|{seen.name}|{seen.time}|{at}")
        return [(kind, episode, detail | {"since": seen.time}) for kind, episode, detail in changes]

    def _judged(self, name: str, kpi: Kpi, value: float | None, digest: str) -> tuple[dict[str, Any], list[Any]]:
        """A value beside its bounds, and the change to tell, where there is one."""
        breached = value is not None and kpi.breached(value)
        found = {"value": value, "at_most": kpi.at_most, "at_least": kpi.at_least, "breached": breached}
        if value is None:
            return found, []
        change = self._count(name, kpi, value, breached=breached, digest=digest)
        text = kpi.expression.text if kpi.expression is not None else ""
        said = {"name": name, "expression": text, "windows": kpi.windows}
        return found, [] if change is None else [(*change, said | found)]

    def _count(self, name: str, kpi: Kpi, value: float, *, breached: bool, digest: str) -> tuple[str, str] | None:
        """Kind and episode of what changed by a value; None of nothing."""
        state = self.state.setdefault(name, KpiState())
        state.value = value
        state.breached, state.kept = (state.breached + 1, 0) if breached else (0, state.kept + 1)
        if not state.episode and state.breached >= kpi.windows:
            state.episode = hashlib.sha256(digest.encode()).hexdigest()[:16]
            return "kpi", state.episode
        if state.episode and state.kept >= kpi.windows:
            over, state.episode = state.episode, ""
            return "kpi_over", over
        return None


def named_figures(detail: Mapping[str, Any]) -> dict[str, float | None]:
    """What expressions may name, of a `performance` event's detail; None where it is not defined."""
    classes = detail.get("classification") or {}
    now = (detail.get("figures") or {}) | (classes.get("now") or {})
    then = (detail.get("validation") or {}) | (classes.get("then") or {})
    return {name: now.get(name) for name in FIGURES} | {f"{name}_then": then.get(name) for name in FIGURES}
