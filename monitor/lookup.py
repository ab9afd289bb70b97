"""Which bins values fall in, from tables in place of searches: what counting spends its time on.

A step function that never falls maps the values and the edges of a stream to cells. Of all edges, only those in a
value's own cell have to be compared with it: whatever the function's rounding, the bins are those of
`np.searchsorted` (`.binning.bin_numbers`). All streams are looked up at once, since a call of numpy costs as much as
some thousand values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from longshore.profile import Floats, Ints

CELLS = 2_048
"""Tables of 8 KB: those of all streams stay in the second-level cache, whatever decoding does between two batches."""

TAIL = 0.02
"""The share of edges on either side that lie in the table's first and last cell: the cells are as wide as the middle
needs, however far out the last edge is."""

MOST_COMPARED = 4
MOST_CROWDED = 0.15
"""The share of edges, and so roughly of values, whose cells may hold more edges than are compared with every value."""

FARTHEST = 2.0**40
"""Cells between 0 and a stream: one farther out would lose its places to rounding, and is searched."""

MOST_CELLS_A_UNIT = 1e300
"""More would overflow somewhere: such streams are searched."""

LEAST_EDGES = 16
"""Fewer are searched as fast."""


class Table:
    """The cells of one stream with ascending `edges`; `compared` is 0 where a search is better.

    Attributes:
        compared: how many edges every value is compared with, from the first of its cell on.
        offset: in cells; that of a value is value · per_unit + offset, cut to whole ones.
        per_unit: cells in a unit of the stream.
        held: int64[CELLS], the edges in each cell.

    """

    def __init__(self, edges: Floats) -> None:
        self.compared, self.offset, self.per_unit = 0, 0.0, 0.0
        self.held = np.zeros(CELLS, dtype=np.int64)
        if len(edges) < LEAST_EDGES:
            return
        low, high = float(edges[int(len(edges) * TAIL)]), float(edges[int(len(edges) * (1 - TAIL))])
        width = (high - low) / (CELLS - 2)
        if not MOST_CELLS_A_UNIT**-1 < width < math.inf or abs(low) > FARTHEST * width:
            return
        self.per_unit, self.offset = 1 / width, 1 - low / width
        with np.errstate(over="ignore", invalid="ignore"):
            self.held = np.bincount(cells_of(edges, self.per_unit, self.offset), minlength=CELLS)
        for compared in range(1, MOST_COMPARED + 1):
            if self.held[self.held > compared].sum() <= MOST_CROWDED * len(edges):
                self.compared = compared
                return


class Lookup:
    """The bins of several streams' values, each stream's counted from a first bin of its own.

    `tables` are the streams' own, those with more comparisons first; `starts` their first bins.
    """

    def __init__(self, tables: Sequence[Table], edges: Sequence[Floats], starts: Sequence[int]) -> None:
        self._searched = [(i, edges[i], starts[i]) for i, table in enumerate(tables) if not table.compared]
        tables = [table for table in tables if table.compared]
        self._tabled = len(tables)
        self._compared = [sum(t.compared > n for t in tables) for n in range(MOST_COMPARED)]
        self._offset = np.array([[table.offset] for table in tables]).reshape(-1, 1)
        self._per_unit = np.array([[table.per_unit] for table in tables]).reshape(-1, 1)
        self._first_cell = np.arange(len(tables)).reshape(-1, 1) * CELLS
        # By bin: its upper edge. Beyond a stream's last edge nothing is above.
        self._edges = np.full(
            max((start + len(e) + 1 for start, e in zip(starts, edges, strict=True)), default=0), np.inf
        )
        before = []
        for table, own, start in zip(tables, edges, starts, strict=False):
            self._edges[start : start + len(own)] = own
            before.append(start + np.cumsum(table.held) - table.held)
        held = np.array([table.held for table in tables], dtype=np.int64).ravel()
        # By cell: the bin below its edges, the one above them, and whether it has more than are compared.
        self._before = np.array(before, dtype=np.int64).ravel()
        self._after = self._before + held
        self._crowded = held > np.repeat([table.compared for table in tables], CELLS)
        self._halvings = int(held.max(initial=0)).bit_length()

    def bins(self, values: Floats) -> Ints:
        """For each stream's values, float64[streams, n], the number of edges below plus the first bin; int64.

        As `np.searchsorted(edges, values, side="left")`, and any bin of the stream for NaN. Call it with floating-point
        warnings off.
        """
        bins = np.empty(values.shape, dtype=np.int64)
        for i, edges, start in self._searched:
            bins[i] = np.searchsorted(edges, values[i], side="left")
            bins[i] += start
        if self._tabled:
            bins[: self._tabled] = self._look_up(values[: self._tabled])
        return bins

    def _look_up(self, values: Floats) -> Ints:
        cells = cells_of(values, self._per_unit, self._offset)
        cells += self._first_cell
        bins = self._before.take(cells)
        for streams in self._compared:
            bins[:streams] += values[:streams] > self._edges.take(bins[:streams])
        crowded = np.flatnonzero(self._crowded.take(cells))
        if len(crowded):
            cells, values = cells.ravel()[crowded], values.ravel()[crowded]
            ends = (table.take(cells) for table in (self._before, self._after))
            bins.ravel()[crowded] = self._search(values, *ends)
        return bins

    def _search(self, values: Floats, low: Ints, high: Ints) -> Ints:
        """Between the bins `low` and `high`, by halves."""
        for _ in range(self._halvings):
            middle = (low + high) >> 1
            above = values > self._edges.take(middle)
            low, high = np.where(above, middle + 1, low), np.where(above, high, middle)
        return low


def cells_of(values: Floats, per_unit: float | Floats, offset: float | Floats) -> Ints:
    """The cell of every value; never falls from one value to a larger one."""
    place = values * per_unit
    place += offset
    np.fmax(place, 0.0, out=place)  # NaN too
    np.minimum(place, CELLS - 1.0, out=place)
    return np.asarray(place, dtype=np.int64)
