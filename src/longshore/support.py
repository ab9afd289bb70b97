"""Where a model has been: the entities it was trained with as points, and how far from them a row is.

Shared by whoever fits a loss regressor and whoever asks it, so that both see the same. Pure. A row's *novelty* is the
distance to its nearest points over how far these are from their own neighbours, in logarithms (after the local outlier
factor, Breunig et al. 2000): being far from anybody is no novelty where everybody is. What was usual around a row,
its neighbours' errors, are looked up at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from longshore.columns import Floats

Marks = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

NEAREST = 5
"""Points that are looked at around a row."""

AROUND = (8, 32, 100)
"""Points over which errors are averaged around each of them."""

LEAST_POINTS = 120
"""Fewer points make no neighbourhood."""

FLOOR = 0.1
"""Of the median spacing: distances below it are as good as none."""


@dataclass(frozen=True, slots=True)
class Space:
    """Columns in which distance means something: (x − centre) / scale; with `curved`, asinh of that (heavy tails)."""

    columns: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    curved: bool

    @classmethod
    def of(cls, columns: tuple[str, ...], values: Floats, *, curved: bool) -> Space:
        """From the values float64[n, columns] of rows: the median, and a robust standard deviation (or the plain one).

        A map (not `curved`) has one scale for all its columns.
        """
        values = np.where(np.isfinite(values), values, np.nan)
        values = np.where(np.isnan(values).all(axis=0), 0.0, values)
        low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
        scale = (
            (high - low) / 1.349 if curved else np.full(len(columns), np.sqrt(np.nanmean(np.nanvar(values, axis=0))))
        )
        scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
        centre = np.where(np.isfinite(middle), middle, 0.0)
        return cls(columns, tuple(centre.tolist()), tuple(scale.tolist()), curved)

    def points(self, values: Floats) -> Floats:
        """The rows' places float64[n, columns]; what is missing or infinite is taken to be in the middle."""
        with np.errstate(invalid="ignore", over="ignore"):
            found = (values - np.array(self.centre)) / np.array(self.scale)
        found = np.where(np.isfinite(found), found, 0.0)
        return np.arcsinh(found) if self.curved else found


@dataclass(frozen=True, slots=True)
class Look:
    """What is around n rows: log distance and novelty, float64[n]; mean errors of neighbourhoods, float64[n, k]."""

    distance: Floats
    novelty: Floats
    around: Floats


class Known:
    """Points, float64[m, columns], with an error each, float64[m]."""

    def __init__(self, points: Floats, errors: Floats) -> None:
        self.points, self.errors = points, errors
        self._tree: Any = cKDTree(points)
        most = min(max(AROUND), len(points))
        found: Any = self._tree.query(points, k=most)
        apart, self._near = np.asarray(found[0]), np.asarray(found[1], dtype=np.intp)
        spacing = apart[:, min(NEAREST, most - 1)]
        self._floor = FLOOR * float(np.median(spacing)) or 1e-9
        self._spacing = spacing
        self._around = np.column_stack([self.errors[self._near[:, :k]].mean(axis=1) for k in AROUND])

    def look(self, points: Floats) -> Look:
        """Around rows that are not among the points."""
        apart, near = self._tree.query(points, k=NEAREST)
        return self._found(apart[:, -1], near, self._around[near].mean(axis=1))

    def look_without(self, points: Floats, own: Places) -> Look:
        """Around rows each of which leaves the point `own` out, as if that had never been there."""
        apart, near = self._tree.query(points, k=NEAREST + 1)
        mine = near == own[:, np.newaxis]
        mine[~mine.any(axis=1), -1] = True
        keep = ~mine
        apart, near = (values[keep].reshape(len(points), NEAREST) for values in (apart, near))
        around = np.column_stack([self._without(near, own, i, k) for i, k in enumerate(AROUND)])
        return self._found(apart[:, -1], near, around)

    def _without(self, near: Places, own: Places, column: int, k: int) -> Floats:
        """The mean over a row's neighbours of what is around them, each without the row's own error."""
        k = min(k, self._near.shape[1])
        there = (self._near[:, :k][near] == own[:, np.newaxis, np.newaxis]).any(axis=2)
        total = self._around[near, column] * k - there * self.errors[own][:, np.newaxis]
        return np.asarray((total / np.maximum(k - there, 1)).mean(axis=1))

    def _found(self, furthest: Floats, near: Places, around: Floats) -> Look:
        distance = np.log(furthest + self._floor)
        return Look(distance, distance - np.log(self._spacing[near].mean(axis=1) + self._floor), around)


def blocks(points: Floats, depth: int, seed: int) -> Places:
    """Cut points into 2^depth regions of equal size by medians along random directions; each one's number, [n]."""
    random = np.random.default_rng(seed)
    found = np.zeros(len(points), dtype=np.intp)
    parts = [np.arange(len(points))]
    for _ in range(depth):
        halves: list[Any] = []
        for part in parts:
            way = random.normal(size=points.shape[1])
            order = part[np.argsort(points[part] @ way, kind="stable")]
            halves += [order[: len(order) // 2], order[len(order) // 2 :]]
        parts = halves
    for number, part in enumerate(parts):
        found[part] = number
    return found
