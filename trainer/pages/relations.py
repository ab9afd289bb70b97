"""How columns go together: correlations over rows that have both, and how much of a target categories tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from longshore.columns import Floats


def correlation(x: Floats, y: Floats) -> float | None:
    """Pearson's r over the rows where both are finite; None below three of them, or where one does not vary."""
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 3:
        return None
    a, b = _centred(x[both]), _centred(y[both])
    size = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.clip(np.sum(a * b) / size, -1.0, 1.0)) if size > 0 else None


def matrix(columns: Sequence[Floats]) -> list[list[float | None]]:
    """The correlation of each with each."""
    found: list[list[float | None]] = [[None] * len(columns) for _ in columns]
    for i, x in enumerate(columns):
        for j, y in enumerate(columns[: i + 1]):
            found[i][j] = found[j][i] = correlation(x, y)
    return found


def correlation_ratio(words: Sequence[str | None], target: Floats) -> float | None:
    """η, 0 … 1: the root of the share of the target's variance that lies between categories (missing is one).

    None where the target does not vary. With few rows a category the ratio is high by chance.
    """
    if len(target) < 3:
        return None
    codes = np.unique(np.array([word or "" for word in words], dtype=object).astype(str), return_inverse=True)[1]
    away = _centred(target)
    total = float(np.sum(away**2))
    counts, sums = np.bincount(codes), np.bincount(codes, weights=away)
    return float(np.sqrt(min(np.sum(sums**2 / counts) / total, 1.0))) if total > 0 else None


def ratio(above: Floats, below: Floats) -> Floats:
    """The quotient, NaN where it is no number."""
    with np.errstate(all="ignore"):
        found = above / below
    return np.where(np.isfinite(found), found, np.nan)


def _centred(values: Floats) -> Floats:
    """Away from the mean, in units of the largest: sums of squares then neither overflow nor vanish.

    What is left of rounding where all are equal is nothing.
    """
    scale = float(np.abs(values).max(initial=0.0))
    if scale == 0:
        return np.zeros(len(values))
    away = values / scale
    away = away - away.mean()
    reach = float(np.abs(away).max(initial=0.0))
    return away / reach if reach > 1e-12 else np.zeros(len(values))
