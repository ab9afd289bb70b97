"""From columns to counts: every stream of a profile binned and summed by pane, a chunk of rows at a time.

Only integers leave here, so that chunks, panes and members add up to the same in any order. The bins and fixed-point
values are `longshore.monitor.binning`'s to the bit; a table finds the bin where there it is searched for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from longshore.columns import fill_whole
from longshore.errors import ConfigurationError
from longshore.monitor.binning import SUM_CHUNK, SUM_LIMIT
from longshore.monitor.derived import ratio
from longshore.monitor.frames import LARGEST, usable
from longshore.monitor.lookup import Lookup, Table
from longshore.monitor.models import PREDICTION, Watched
from longshore.monitor.sample import Codes, Numbers, narrow
from longshore.monitor.scored import ScoredColumns
from longshore.monitor.segments import members, shape
from longshore.profile import Floats, Ints, Segmentation, StreamProfile
from longshore.schema import Kind, Schema

_NONE = np.zeros(0, dtype=np.int64)

CHUNK = SUM_CHUNK
"""Rows counted at once: a float64 holds the sums of their fixed-point values exactly."""

MOST_PANES = 32
"""Panes counted at once: bounds the memory where event time jumps about."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What `records` rows add to a pane: counts int64[T], fixed-point sums int64[T], segments' deciles int64[S·C]."""

    pane: int
    records: int
    counts: Ints
    sums: Ints
    segments: Ints


@dataclass(frozen=True, slots=True, eq=False)
class _Texts:
    """A nominal stream: the bins of what is known, None (*missing*) too; the bin of all else; its place in `texts`."""

    known: dict[str | None, int]
    unseen: int
    item: int

    @classmethod
    def of(cls, stream: StreamProfile, start: int, item: int) -> _Texts:
        """Of a stream whose first bin is `start`."""
        unseen = start + len(stream.categories)
        return cls({name: start + i for i, name in enumerate(stream.categories)} | {None: unseen + 1}, unseen, item)

    def find(self, columns: ScoredColumns, bins: Ints) -> None:
        """Write the bin of every value into a contiguous int64[n]."""
        texts = columns.texts[self.item]
        try:
            found = list(map(self.known.__getitem__, texts))  # as nearly always: half of what `get` takes
        except KeyError:
            found = list(map(self.known.get, texts, repeat(self.unseen)))
        fill_whole(bins, found)


class _Segments:
    """The deciles of all streams by segment, of rows whose fine bins are known.

    A row in no segment of a segmentation is counted in a last one, which is left out.
    """

    def __init__(self, watched: Watched, order: list[str]) -> None:
        """`order` names the streams as their bins are given, the numeric ones first."""
        profile, starts = watched.profile, watched.layout.starts
        self.segments, self._deciles = shape(profile)
        first = np.cumsum([0, *(int(stream.coarse[-1]) + 1 for stream in profile.streams)])
        self._decile_of = np.concatenate([at + s.coarse for at, s in zip(first[:-1], profile.streams, strict=True)])
        self._by_bin: list[tuple[int, int, Ints]] = []
        self._by_place: list[tuple[int, _Cells, list[int]]] = []
        at = 0
        for one in profile.segmentations:
            if len(one.streams) == 1:
                (name,) = one.streams
                k = [stream.name for stream in profile.streams].index(name)
                found = np.r_[members(one, {name: profile.streams[k].categories}), -1, -1]
                table = np.where(found >= 0, at + found, self.segments)
                self._by_bin.append((order.index(name), int(starts[k]), table))
            else:
                self._by_place.append((at, _Cells(one), [order.index(name) for name in one.streams]))
            at += len(one.labels)

    def count(self, bins: Ints, values: Floats, gone: Ints, each: Ints, panes: int) -> Ints:
        """Counts int64[panes, S·C] of fine bins int64[streams, n] and numeric values float64[…, n]; see `_numbers`."""
        total = (self.segments + 1) * self._deciles
        counts = np.zeros((panes, total), dtype=np.int64)
        deciles = self._decile_of.take(bins)
        if panes > 1:
            deciles += each * total
        for of_rows in self._rows(bins, values, gone):
            flat = deciles + of_rows * self._deciles
            counts += np.bincount(flat.ravel(), minlength=panes * total).reshape(counts.shape)
        return counts[:, : self.segments * self._deciles]

    def _rows(self, bins: Ints, values: Floats, gone: Ints) -> Iterator[Ints]:
        """Each row's segment, by segmentation."""
        n = bins.shape[1]
        for row, start, table in self._by_bin:
            yield table.take(bins[row] - start)
        for at, cells, (x, y) in self._by_place:
            found = cells.of(values[x], values[y])
            found += at
            for k in (x, y):
                found[gone[gone // n == k] % n] = self.segments
            yield found


class _Cells:
    """A map's cells: `segments.members` by comparisons, since a strip has few edges."""

    def __init__(self, map_: Segmentation) -> None:
        most = max(map(len, map_.ups), default=0)
        self._across = list(map_.across)
        self._first = np.cumsum([0, *(len(up) + 1 for up in map_.ups[:-1])])
        # By strip: its edges northwards, and none above the last.
        self._ups = [np.array([up[i] if i < len(up) else np.inf for up in map_.ups]) for i in range(most)]

    def of(self, x: Floats, y: Floats) -> Ints:
        """The cell of every place, int64[n]."""
        strips = np.zeros(len(x), dtype=np.int64)
        for edge in self._across:
            strips += x > edge
        found = np.asarray(self._first.take(strips), dtype=np.int64)
        for edges in self._ups:
            found += y > edges.take(strips)
        return found


class StreamCounter:
    """Counts the streams of one profile.

    Raises:
        ConfigurationError: the profile has a stream that the schema does not have, or has as another kind.

    """

    def __init__(self, watched: Watched, schema: Schema) -> None:
        self._total = watched.layout.total
        rows, items = _rows(schema), {field.name: i for i, field in enumerate(schema.nominal)}
        numeric: list[tuple[Table, int, StreamProfile]] = []
        self._texts: list[_Texts] = []
        for stream, start in zip(watched.profile.streams, watched.layout.starts.tolist(), strict=True):
            if stream.name not in (rows if stream.kind is Kind.NUMERIC else items):
                raise ConfigurationError(
                    f"the profile {watched.name} has the {stream.kind.value} stream {stream.name!r}, the schema "
                    f"{schema.name} does not",
                    mend="give the monitor the schema file that the model was trained with, or train a new version",
                )
            if stream.kind is Kind.NUMERIC:
                numeric.append((Table(stream.edges), start, stream))
            else:
                self._texts.append(_Texts.of(stream, start, items[stream.name]))
        numeric.sort(key=lambda found: -found[0].compared)
        streams = [stream for _, _, stream in numeric]
        starts = [start for _, start, _ in numeric]
        self._lookup = Lookup([table for table, _, _ in numeric], [stream.edges for stream in streams], starts)
        self._as_profile = np.argsort(starts)
        self._first_codes = np.array([stream.unseen - len(stream.known) + 1 for stream in self._texts], dtype=np.int64)
        self._missing = np.array([start + len(s.counts) - 1 for s, start in zip(streams, starts, strict=True)])
        self._scales = np.array([[stream.scale] for stream in streams]).reshape(-1, 1)
        # Fixed-point values up to here are neither clipped nor those of numbers too large to be any.
        self._plain = np.array([[min(SUM_LIMIT, LARGEST * stream.scale)] for stream in streams]).reshape(-1, 1)
        found = [rows[stream.name] for stream in streams]
        self._rows = [row for row, _ in found]
        self._ratios = [i for i, (_, over) in enumerate(found) if over is not None]
        self._over = [over for _, over in found if over is not None]
        nominal = [stream.name for stream in watched.profile.streams if stream.kind is Kind.NOMINAL]
        self._segments = _Segments(watched, [stream.name for stream in streams] + nominal)

    def codes(self, columns: ScoredColumns) -> Ints:
        """The bins of the nominal streams' values, in the profile's order, int64[streams, n]."""
        found = np.empty((len(self._texts), len(columns)), dtype=np.int64)
        for bins, stream in zip(found, self._texts, strict=True):
            stream.find(columns, bins)
        return found

    def count(self, columns: ScoredColumns, rows: Ints, panes: Ints, codes: Ints | None = None) -> Iterator[Delta]:
        """What the records at positions `rows` add to their `panes`; a pane may come more than once.

        `codes` are the columns' own, where they are known.
        """
        texts = self.codes(columns) if codes is None else codes
        numeric = len(self._rows)
        for chosen, numbers, each in _chunks(rows, panes):
            values, gone, bins, whole = self._numbers(columns.values[:, chosen])
            bins = np.concatenate([bins, texts[:, chosen]])
            flat = bins if len(numbers) == 1 else bins + each * self._total
            # Whole numbers, and so few that a float64 holds their sums exactly.
            sums = self._by_pane(flat[:numeric], len(numbers), whole.ravel()).astype(np.int64)
            counts = self._by_pane(flat, len(numbers))
            segments = self._segments.count(bins, values, gone, each, len(numbers))
            records = np.bincount(each, minlength=len(numbers))
            yield from map(Delta, numbers, records.tolist(), counts, sums, segments)

    def rows(self, columns: ScoredColumns, codes: Ints, at: Ints) -> tuple[Numbers, Codes]:
        """The rows at positions `at` as a sample holds them, given the `codes` of the columns."""
        columns_at = columns.values[:, at]
        values = columns_at.take(self._rows, axis=0)
        if self._ratios:
            values[self._ratios] = ratio(values[self._ratios], columns_at.take(self._over, axis=0))
        return narrow(values[self._as_profile].T), (codes[:, at].T - self._first_codes).astype(np.uint16)

    def _numbers(self, columns: Floats) -> tuple[Floats, Ints, Ints, Floats]:
        """The numeric streams' values; where one is missing; their bins; their fixed-point values.

        Each is [streams, n], but for the places in the flattened array of what is missing, int64[m]: their values
        are 0, also as fixed point.
        """
        values = columns.take(self._rows, axis=0)
        with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
            if self._ratios:
                values[self._ratios] = _quotients(values[self._ratios], columns.take(self._over, axis=0))
            whole = np.multiply(values, self._scales)
            plain = np.abs(whole) <= self._plain
            gone = _NONE if plain.all() else self._mend(values, whole, np.flatnonzero(~plain))
            bins = self._lookup.bins(values)
            np.rint(whole, out=whole)
        if len(gone):
            bins.ravel()[gone] = self._missing[gone // values.shape[1]]
        return values, gone, bins, whole

    def _mend(self, values: Floats, whole: Floats, odd: Ints) -> Ints:
        """What `binning.fixed_point` does to the values at the places `odd`; which of them are missing."""
        flat_values, flat_whole = values.ravel(), whole.ravel()  # views
        there = usable(flat_values[odd])
        flat_whole[odd] = np.where(there, np.clip(flat_whole[odd], -SUM_LIMIT, SUM_LIMIT), 0.0)
        gone = odd[~there]
        flat_values[gone] = 0.0
        return gone

    def _by_pane(self, flat: Ints, panes: int, weights: Floats | None = None) -> Any:
        """The counts of bins in each pane, or the sums of their weights, [panes, T]."""
        return np.bincount(flat.ravel(), weights=weights, minlength=panes * self._total).reshape(panes, self._total)


def _quotients(numerators: Floats, denominators: Floats) -> Floats:
    """`derived.ratio`, but that what is not usable need not be NaN: whoever takes it looks for that anyway.

    A quotient looks usable and is not only where a part is too large, which one look at the largest tells.
    """
    if all(np.fmax.reduce(np.abs(side), axis=None) <= LARGEST for side in (numerators, denominators)):
        return np.asarray(numerators / denominators)
    return ratio(numerators, denominators)


def _rows(schema: Schema) -> dict[str, tuple[int, int | None]]:
    """For every numeric stream the schema has: its row of `ScoredColumns.values`, or the two it is the ratio of."""
    fields = {field.name: i for i, field in enumerate(schema.numeric)}
    ratios: dict[str, tuple[int, int | None]]
    ratios = {d.name: (fields[d.numerator], fields[d.denominator]) for d in schema.derived}
    return {name: (i, None) for name, i in fields.items()} | ratios | {PREDICTION: (len(fields), None)}


def _chunks(rows: Ints, panes: Ints) -> Iterator[tuple[Ints | slice, list[int], Ints]]:
    """Rows to count at once, the panes they are of, and which of those each row is of."""
    if (panes[1:] < panes[:-1]).any():
        order = np.argsort(panes, kind="stable")
        rows, panes = rows[order], panes[order]
    adjoining = bool((np.diff(rows) == 1).all())
    at = 0
    while at < len(rows):
        here = panes[at : at + CHUNK]
        first = np.r_[True, here[1:] != here[:-1]]
        each = np.cumsum(first) - 1
        each = each[: np.searchsorted(each, MOST_PANES)]
        end = at + len(each)
        # A slice is a view; positions are a copy.
        chosen = slice(int(rows[at]), int(rows[at]) + len(each)) if adjoining else rows[at:end]
        yield chosen, here[first][:MOST_PANES].tolist(), each
        at = end
