"""Shifts of windows: the issue's two, and the grid of 'Failing Loudly' (Rabanser et al. 2019) on tabular rows.

Noise in the reference's standard deviations keeps the paper's steps of ten; knock-out removes rows of the commonest
class; reweighting draws rows of one class more often. Each works on rows drawn from the undrifted pool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.drift.data import DERIVED, NOMINAL, with_ratio

SHARES = (0.1, 0.5, 1.0)
NOISE = {"small": 0.01, "medium": 0.1, "large": 1.0}
COMMONEST = "<1H OCEAN"
REWEIGHTED = "NEAR BAY"
PROMISED = {
    ("median_income + 0.2 σ", 1_000): 0.95,
    ("median_income + 0.2 σ", 250): 0.65,
    ("people per household × 1.15", 1_000): 0.95,
    ("people per household × 1.15", 250): 0.90,
}
"""The power that issue 5 asks for."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Undrifted rows to draw from, and the reference's standard deviations."""

    rows: pd.DataFrame
    std: dict[str, float]
    random: np.random.Generator

    @classmethod
    def of(cls, reference: pd.DataFrame, rows: pd.DataFrame, seed: list[int]) -> Pool:
        """The undrifted `rows` beside a reference."""
        std = reference.select_dtypes("number").std(ddof=0)
        return cls(rows, {str(name): float(value) for name, value in std.items()}, np.random.default_rng(seed))

    def draw(self, n: int, weights: Any = None) -> pd.DataFrame:
        """`n` rows without replacement, by weight if given."""
        p = None if weights is None else weights / weights.sum()
        return self.rows.iloc[self.random.choice(len(self.rows), n, replace=False, p=p)].reset_index(drop=True)


Shift = Callable[[Pool, int], pd.DataFrame]


def shifts() -> dict[str, Shift]:
    """Every cell's shift by name."""
    cells: dict[str, Shift] = {
        "median_income + 0.2 σ": lambda pool, n: moved(pool, n, "median_income", 0.2),
        "people per household × 1.15": _crowded,
    }
    for size, sigma in NOISE.items():
        for share in SHARES:
            cells[f"noise {size} ({sigma:g} σ), {share:.0%} of rows"] = _noise(sigma, share)
    for share in SHARES:
        cells[f"knock-out of {share:.0%} of {COMMONEST}"] = _knocked_out(share)
    for share in SHARES:
        cells[f"{REWEIGHTED} × {1 + share:g}"] = _reweighted(1 + share)
    return cells


def moved(pool: Pool, n: int, name: str, sigmas: float) -> pd.DataFrame:
    """One stream moved by so many of the reference's standard deviations."""
    rows = pool.draw(n)
    return rows.assign(**{name: rows[name] + sigmas * pool.std[name]})


def relabelled(pool: Pool, n: int, name: str, share: float) -> pd.DataFrame:
    """A nominal stream with that share of its rows drawn anew, all categories alike."""
    rows = pool.draw(n)
    values = rows[name].to_numpy().copy()
    chosen = pool.random.random(n) < share
    values[chosen] = pool.random.choice(pool.rows[name].unique(), int(chosen.sum()))
    return rows.assign(**{name: values})


def _crowded(pool: Pool, n: int) -> pd.DataFrame:
    rows = pool.draw(n)
    return with_ratio(rows.assign(population=rows["population"] * 1.15))


def _noise(sigma: float, share: float) -> Shift:
    def shift(pool: Pool, n: int) -> pd.DataFrame:
        rows = pool.draw(n)
        chosen = pool.random.random(n) < share
        numeric = [name for name in pool.std if name != DERIVED]
        noise = {name: pool.random.standard_normal(n) * sigma * pool.std[name] * chosen for name in numeric}
        noisy = rows.assign(**{name: rows[name] + noise[name] for name in numeric})
        return with_ratio(noisy) if DERIVED in rows else noisy

    return shift


def _knocked_out(share: float) -> Shift:
    def shift(pool: Pool, n: int) -> pd.DataFrame:
        weights = np.where(pool.rows[NOMINAL].to_numpy() == COMMONEST, 1 - share, 1.0)
        return pool.draw(n, weights)

    return shift


def _reweighted(factor: float) -> Shift:
    def shift(pool: Pool, n: int) -> pd.DataFrame:
        return pool.draw(n, np.where(pool.rows[NOMINAL].to_numpy() == REWEIGHTED, factor, 1.0))

    return shift
