"""Parts of the rows that a model is judged on apart: categories, classes of a stratum, cells of the map.

Decides which parts there are; whether a challenger may be worse on one is `longshore.trainer.comparison`'s question.
Edges are quantiles of the rows at hand (or the stratum's own), so a segment's name says its limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from longshore.columns import Columns, Floats
from longshore.trainer.housing import STRATUM_EDGES, stratum_column
from longshore.trainer.rows import LabelledRows
from longshore.trainer.split import Indexes
from longshore.trainer.strata import quantile_edges

MIN_ROWS = 100
"""Below this a segment's interval says too little: it is told as insufficient and decides nothing."""
MOST = 60
"""Segments tested, the largest first: each one more weakens the correction for all."""
CELL_QUANTILES = (0.25, 0.5, 0.75)
"""The map's cells: 4 × 4, by quantiles of either coordinate."""
NAMED = 40
"""Insufficient segments named; an id by mistake has thousands."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A named part of the rows, by their positions."""

    name: str
    rows: Indexes


@dataclass(frozen=True, slots=True)
class Segments:
    """`tested` have enough rows; `insufficient` ({name: rows}) do not; `left_out` would, but are beyond the cap."""

    tested: tuple[Segment, ...]
    insufficient: dict[str, int]
    insufficient_count: int
    left_out: int

    def told(self) -> dict[str, Any]:
        """What is not tested, for a report."""
        return {
            "insufficient": self.insufficient,
            "insufficient_count": self.insufficient_count,
            "left_out": self.left_out,
        }


def segments(rows: LabelledRows, *, min_rows: int = MIN_ROWS, most: int = MOST) -> Segments:
    """Every category, every class of the stratum (the target's where the schema has none), every cell of the map."""
    found = [segment for segment in _all(rows) if len(segment.rows)]
    large = sorted((s for s in found if len(s.rows) >= min_rows), key=lambda s: -len(s.rows))
    small = sorted((s for s in found if len(s.rows) < min_rows), key=lambda s: -len(s.rows))
    return Segments(
        tested=tuple(large[:most]),
        insufficient={segment.name: len(segment.rows) for segment in small[:NAMED]},
        insufficient_count=len(small),
        left_out=max(len(large) - most, 0),
    )


def _all(rows: LabelledRows) -> Iterator[Segment]:
    columns = rows.columns
    for field, words in zip(columns.schema.nominal, columns.nominal, strict=True):
        yield from _categories(field.name, words)
    name, values, edges = stratified(rows)
    classes = _classes(values, edges)
    for number in range(len(edges) + 1):
        yield Segment(_between(name, edges, number), np.flatnonzero(classes == number))
    yield from _cells(columns)


def stratified(rows: LabelledRows) -> tuple[str, Floats, Floats]:
    """The name and values of what is stratified by, and its edges: the schema's stratum, else the target in fifths."""
    schema = rows.columns.schema
    name = stratum_column(schema)
    if name is None:
        return schema.target, rows.target, quantile_edges(rows.target)
    return name, _numeric(rows.columns, name), np.array(STRATUM_EDGES)


def _categories(name: str, values: list[str | None]) -> Iterator[Segment]:
    known, codes = np.unique(np.array([value or "" for value in values], dtype=object), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    for value, part in zip(known, np.split(order, np.cumsum(np.bincount(codes))[:-1]), strict=True):
        yield Segment(f"{name} = {value}" if value else f"{name} missing", part.astype(np.intp))


def _cells(columns: Columns) -> Iterator[Segment]:
    if columns.schema.place is None or not len(columns):
        return
    sides = []
    for name in columns.schema.place:
        values = _numeric(columns, name)
        known = values[np.isfinite(values)]
        edges = np.unique(np.quantile(known, CELL_QUANTILES)) if len(known) else np.empty(0)
        sides.append((name, edges, _classes(values, edges)))
    (east, east_edges, column), (north, north_edges, row) = sides
    for i in range(len(east_edges) + 1):
        for j in range(len(north_edges) + 1):
            name = f"{_between(east, east_edges, i)}, {_between(north, north_edges, j)}"
            yield Segment(name, np.flatnonzero((column == i) & (row == j)))


def _classes(values: Floats, edges: Floats) -> Indexes:
    """The class (−∞, e₁] = 0, (e₁, e₂] = 1, … of each value; −1 for NaN."""
    return np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), -1).astype(np.intp)


def _between(name: str, edges: Floats, number: int) -> str:
    if not len(edges):
        return f"{name} of any value"
    if number == 0:
        return f"{name} up to {edges[0]:.6g}"
    if number == len(edges):
        return f"{name} above {edges[-1]:.6g}"
    return f"{name} {edges[number - 1]:.6g} to {edges[number]:.6g}"


def _numeric(columns: Columns, name: str) -> Floats:
    values: Floats = columns.numeric[:, [field.name for field in columns.schema.numeric].index(name)]
    return values
