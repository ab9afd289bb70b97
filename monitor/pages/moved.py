"""Which range of a stream moved: each bin's part of the PSI, neighbours that moved alike as one range, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longshore.pages.wording import edge_texts
from longshore.profile import Floats

MISSING, UNSEEN = "(missing)", "(unseen)"

WORTH = 0.08
"""Of a stream's PSI: a bin with less is not told of."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin: its name, its shares of both sides (`now` is None where it is not known), its part (q−p)·ln(q/p)."""

    name: str
    then: float
    now: float | None
    term: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """A stream's bins. `edges` are a numeric stream's; `source` says when `now` is, in words."""

    bins: list[Bin]
    edges: list[float]
    source: str = ""

    @property
    def known(self) -> bool:
        """Whether the present shares are known."""
        return any(each.now is not None for each in self.bins)


@dataclass(frozen=True, slots=True)
class Range:
    """Neighbouring bins that moved alike: their name, shares, and part of the stream's PSI, 0…1."""

    name: str
    then: float
    now: float
    part: float

    def to_dict(self) -> dict[str, float | str]:
        """Plain values for JSON."""
        return {"range": self.name, "reference": self.then, "current": self.now, "psi_share": self.part}


def distribution(
    labels: Sequence[str],
    edges: Sequence[float],
    then: Sequence[float],
    now: Sequence[float] | None,
    *,
    rows: tuple[float, float],
    source: str = "",
) -> Distribution:
    """Bins from their labels, upper edges (numeric) and counts or shares; `rows` of both sides, for the half counts."""
    p = _shares(then)
    names = bin_names(labels, edges)
    if now is None:
        return Distribution([Bin(n, float(a), None, 0.0) for n, a in zip(names, p, strict=True)], list(edges), source)
    q = _shares(now)
    terms = _terms(p, q, rows)
    bins = [Bin(n, float(a), float(b), float(t)) for n, a, b, t in zip(names, p, q, terms, strict=True)]
    return Distribution(bins, list(edges), source)


def _shares(given: Sequence[float]) -> Floats:
    values = np.asarray(given, dtype=np.float64)
    return np.asarray(values / max(float(values.sum()), 1e-300))


def _terms(p: Floats, q: Floats, rows: tuple[float, float]) -> Floats:
    """(q−p)·ln(q/p) with half a count in every bin, as `longshore.monitor.distances` has it."""
    m, n = (max(float(side), 1.0) for side in rows)
    p, q = ((side * size + 0.5) / (size + len(side) / 2) for side, size in ((p, m), (q, n)))
    return np.asarray((q - p) * np.log(q / p))


def bin_names(labels: Sequence[str], edges: Sequence[float]) -> list[str]:
    """Each bin as a range of values in words; a category's own name, and what the two last bins are."""
    if not edges:
        told = {UNSEEN: "unseen categories", MISSING: "missing", "(any)": "any value"}
        return [told.get(label, label) for label in labels]
    texts = edge_texts(edges)
    ends = zip([None, *edges], [*edges, None], [None, *texts], [*texts, None], strict=True)
    return [*(_between(low, high, words) for low, high, *words in ends), "missing"][: len(labels)]


def _between(low: float | None, high: float | None, texts: Sequence[str | None]) -> str:
    if low is None and high is None:
        return "any value"
    if low is None:
        return f"up to {texts[1]}"
    if high is None:
        return f"above {texts[0]}"
    if math.nextafter(low, math.inf) >= high:  # a value of its own: many records have it
        return f"exactly {texts[1]}"
    return f"{texts[0]} to {texts[1]}"


def moved_ranges(found: Distribution, limit: int = 3) -> list[Range]:
    """The ranges with the largest parts of the PSI, largest first; empty where nothing moved or `now` is not known."""
    total = sum(each.term for each in found.bins)
    if total <= 0 or not found.known:
        return []
    ranges = [_range(found, run, total) for run in _runs(found, total)]
    return sorted(ranges, key=lambda each: -each.part)[:limit]


def _runs(found: Distribution, total: float) -> list[list[int]]:
    """Positions of bins worth telling of; numeric neighbours that moved the same way together."""
    runs: list[list[int]] = []
    ordered = len(found.edges)
    for at, each in enumerate(found.bins):
        if each.term < WORTH * total or each.now is None:
            continue
        last = runs[-1][-1] if runs else -2
        alike = _grew(found.bins[last]) == _grew(each) if runs else False
        if at == last + 1 and at <= ordered and alike:
            runs[-1].append(at)
        else:
            runs.append([at])
    return runs


def _grew(each: Bin) -> bool:
    return each.now is not None and each.now > each.then


def _range(found: Distribution, run: list[int], total: float) -> Range:
    bins = [found.bins[at] for at in run]
    name = bins[0].name
    if len(run) > 1:
        edges: list[float | None] = [None, *found.edges, None]
        texts: list[str | None] = [None, *edge_texts(found.edges), None]
        first, last = run[0], run[-1] + 1
        name = _between(edges[first], edges[last], [texts[first], texts[last]])
    then, now = sum(each.then for each in bins), sum(each.now or 0.0 for each in bins)
    return Range(name, then, now, sum(each.term for each in bins) / total)
