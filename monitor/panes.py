"""Counting: predictions of a partition to integer deltas of panes. Pure; the shell polls, commits and keeps time.

Adding integers is exact in any order, so panes can be counted by any number of members and in any pieces. What is late
is decided here, by the partition's own content and order alone, so that it does not depend on who counted when.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from longshore.monitor.counts import StreamCounter
from longshore.monitor.estimate import Asked, chosen
from longshore.monitor.identities import Hashes, IdSketch
from longshore.monitor.messages import NEVER, Counted, LabelsSeen, PaneDelta, pack_narrow, pack_small
from longshore.monitor.models import Profiles, Watched
from longshore.monitor.sample import Growing, Sample, grow, priorities_of, rows_of_a_pane, shape_of
from longshore.monitor.scored import ScoredColumns, ScoredDecoder, joined
from longshore.monitor.segments import shape
from longshore.profile import Ints
from longshore.records import UNREADABLE
from longshore.schema import Schema

FUTURE_MS = 3_600_000
"""An event time this far ahead of its own scoring is a wrong clock: it must not push the watermark."""

PANE_BITS = 48
PANE_MASK = (1 << PANE_BITS) - 1
"""Room for any pane's number: event times end with the year 9999. What is above tells whose the pane is."""

MOST_COUNTERS = 16
"""Versions whose tables are kept (some 300 KB each); more are about at once only while topics are replayed."""


class Labelled(msgspec.Struct, frozen=True, gc=False):
    """What counting reads of a label."""

    event_time: int


@dataclass(slots=True)
class Pane:
    """One pane's growing counts, int64[T], fixed-point sums, int64[T], segments' deciles, int64[S·C], and some rows.

    `ids` holds the records' hashed ids, in pieces.
    """

    watched: Watched
    records: int
    counts: Ints
    sums: Ints
    segments: Ints
    ids: list[Hashes] = field(default_factory=list)
    sample: Growing | None = None

    def sketch(self) -> str:
        """The ids' sketch as text; empty where none were kept."""
        return IdSketch.of(np.concatenate(self.ids)).to_text() if self.ids else ""


@dataclass(slots=True)
class Tally:
    """What one partition has counted since its last commit. `watermark` goes on from the commit before.

    `aside` has what is in no pane as late, future and unreadable records by pane (`messages.Counted`); of the records
    `asked` the errors are to be expected.
    """

    watermark: int = NEVER
    first_offset: int = -1
    last_offset: int = -1
    late: int = 0
    future: int = 0
    unreadable: int = 0
    panes: dict[tuple[int, str, str], Pane] = field(default_factory=dict)
    aside: dict[int, list[int]] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)

    def after_commit(self) -> Tally:
        """An empty tally that goes on from this one."""
        return Tally(watermark=self.watermark)

    def put_aside(self, panes: Ints, kind: int) -> None:
        """Records that belong in no pane (0: late, 1: future, 2: unreadable), by the pane they are told with."""
        for pane, number in zip(*(part.tolist() for part in np.unique(panes, return_counts=True)), strict=True):
            if pane >= 0:  # not before the partition's first record
                self.aside.setdefault(pane, [0, 0, 0])[kind] += number

    def message(self, partition: int, partitions: int) -> Counted:
        """The delta for `drift.panes`; panes in order, so that equal tallies give equal bytes."""
        expected = self.asked.totals()
        deltas = [
            PaneDelta(
                pane, version, route, held.records, held.watched.name,
                pack_narrow(held.counts, held.sums), pack_small(held.segments), held.sketch(),
                held.sample.sample().to_text() if held.sample else "", expected.get((pane, version, route), ()),
            )
            for (pane, version, route), held in sorted(self.panes.items())
        ]  # fmt: skip
        return Counted(
            partition=partition,
            partitions=partitions,
            first_offset=self.first_offset,
            last_offset=self.last_offset,
            watermark=self.watermark,
            panes=deltas,
            late=self.late,
            future=self.future,
            unreadable=self.unreadable,
            aside=[(pane, late, future, bad) for pane, (late, future, bad) in sorted(self.aside.items())],
        )


class PaneCounter:
    """Turns prediction values into tallies for one schema."""

    def __init__(
        self,
        schema: Schema,
        profiles: Profiles,
        *,
        pane_ms: int,
        lateness_ms: int,
        sample_rows: int = 0,
        estimate: float = 1.0,
    ) -> None:
        """`estimate`: of what share of records the error is asked for, where a version has a loss regressor."""
        self._schema = schema
        self._decoder = ScoredDecoder(schema)
        self._labels = msgspec.json.Decoder(Labelled)
        self._profiles = profiles
        self._counters: dict[str, StreamCounter] = {}
        self._pane_ms = pane_ms
        self._lateness_ms = lateness_ms
        self._sample_rows = sample_rows
        self._estimate = estimate

    def count(self, tally: Tally, values: Sequence[bytes | None], offsets: Sequence[int]) -> None:
        """Add n predictions of one partition, in offset order, to its tally; of `offsets` the first and last count.

        Raises:
            ConfigurationError: a version's profile has a stream that the schema does not have.

        """
        self.count_all([(tally, values, offsets)])

    def count_all(self, parts: Sequence[tuple[Tally, Sequence[bytes | None], Sequence[int]]]) -> None:
        """The same for several partitions: together, since numpy's calls cost as much as hundreds of rows.

        Raises:
            ConfigurationError: see `count`.

        """
        pieces, ends = [], [0]
        for tally, values, offsets in parts:
            if tally.first_offset < 0:
                tally.first_offset = offsets[0]
            tally.last_offset = offsets[-1]
            found = self._decoder.pieces(values)
            pieces += found
            readable = sum(map(len, found))
            ends.append(ends[-1] + readable)
            tally.unreadable += len(values) - readable
        columns, tallies = joined(pieces), [tally for tally, _, _ in parts]
        bounds = map(slice, ends, ends[1:])
        on_time = [
            self._on_time(tally, columns.times[at], columns.scored_at[at])
            for tally, at in zip(tallies, bounds, strict=True)
        ]
        owners = np.repeat(np.arange(len(parts)), np.diff(ends))
        for named, rows in _groups(columns, np.flatnonzero(np.concatenate(on_time))).items():
            self._count_group(tallies, owners, named, columns, rows)

    def count_labels(self, partition: int, values: Iterable[bytes | None]) -> LabelsSeen:
        """How many labels belong to each pane, by the event time of the record they label."""
        seen: dict[int, int] = {}
        for value in values:
            try:
                pane = self._labels.decode(value or b"").event_time // self._pane_ms
            except UNREADABLE:
                continue
            seen[pane] = seen.get(pane, 0) + 1
        return LabelsSeen(partition, sorted(seen.items()))

    def _on_time(self, tally: Tally, times: Ints, scored_at: Ints) -> npt.NDArray[np.bool_]:
        """Which are neither ahead of their clock nor behind the watermark as it stood just before; both are counted."""
        future = times > scored_at + FUTURE_MS
        highest = max(tally.watermark, int(times.max(initial=NEVER)))
        if len(times) and not future.any() and self._closes(int(times.min())) > highest:
            tally.watermark = highest  # as nearly always: not even the oldest is late at the end
            return np.ones(len(times), dtype=np.bool_)
        seen = np.maximum.accumulate(np.r_[tally.watermark, np.where(future, NEVER, times)])
        late: npt.NDArray[np.bool_] = ~future & (self._closes(times) <= seen[:-1])
        tally.watermark = int(seen[-1])
        tally.future += int(future.sum())
        tally.late += int(late.sum())
        stood = seen[:-1] // self._pane_ms
        tally.put_aside(stood[late], 0)
        tally.put_aside(stood[future], 1)
        return ~(future | late)

    def _closes(self, time: Any) -> Any:
        """The watermark from which on a record of that event time is late."""
        return (time // self._pane_ms + 1) * self._pane_ms + self._lateness_ms

    def _count_group(
        self, tallies: Sequence[Tally], owners: Ints, named: tuple[str, str], columns: ScoredColumns, rows: Ints
    ) -> None:
        """Rows of one version and route; `owners` tells of every row whose it is."""
        version, route = named
        watched = self._profiles.of(version)
        fit = columns.good[rows] if watched is not None else np.zeros(len(rows), dtype=np.bool_)
        if not fit.all():
            aside = np.bincount(owners[rows[~fit]], minlength=len(tallies))
            for owner, (tally, more) in enumerate(zip(tallies, aside.tolist(), strict=True)):
                tally.unreadable += more
                tally.put_aside(columns.times[rows[~fit & (owners[rows] == owner)]] // self._pane_ms, 2)
            rows = rows[fit]
        if watched is None or not len(rows):
            return
        panes = owners[rows] << PANE_BITS | columns.times[rows] // self._pane_ms
        counter = self._counter(watched)
        codes = counter.codes(columns)
        for delta in counter.count(columns, rows, panes, codes):
            owner, pane = divmod(delta.pane, 1 << PANE_BITS)
            held = self._pane(tallies[owner], (pane, version, route), watched)
            held.records += delta.records
            held.counts += delta.counts
            held.sums += delta.sums
            held.segments += delta.segments
        for at, ids in _runs(panes, columns.ids[rows]):
            owner, pane = divmod(at, 1 << PANE_BITS)
            tallies[owner].panes[pane, version, route].ids.append(ids)
        if watched.loss is not None:
            asked = chosen(columns.ids[rows], self._estimate)
            for owner in np.unique(owners[rows[asked]]).tolist():
                own = asked[owners[rows[asked]] == owner]
                tallies[owner].asked.put(named, watched.loss, panes[own] & PANE_MASK, columns, rows[own])
        if self._sample_rows:
            order, keys, ends = _stretches(panes)
            places = rows[order]
            samples = [tallies[key >> PANE_BITS].panes[key & PANE_MASK, version, route].sample for key in keys]
            words = priorities_of(columns.times, columns.values, codes)[places]
            grow([one for one in samples if one], ends, words, lambda near: counter.rows(columns, codes, places[near]))

    def _pane(self, tally: Tally, key: tuple[int, str, str], watched: Watched) -> Pane:
        held = tally.panes.get(key)
        if held is None:
            held = tally.panes[key] = _empty(watched)
            if self._sample_rows:
                most = rows_of_a_pane(watched.profile, self._sample_rows)
                held.sample = Growing(most, Sample.nothing(shape_of(watched.profile)))
        return held

    def _counter(self, watched: Watched) -> StreamCounter:
        if watched.name not in self._counters:
            if len(self._counters) >= MOST_COUNTERS:
                self._counters.clear()
            self._counters[watched.name] = StreamCounter(watched, self._schema)
        return self._counters[watched.name]


def _groups(columns: ScoredColumns, rows: Ints) -> dict[tuple[str, str], Ints]:
    """The positions `rows` by (version, route)."""
    names = [name for name, _ in columns.named]
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    if len(numbers) <= 1:
        return dict.fromkeys(numbers, rows)
    of_row = np.repeat([numbers[name] for name in names], [count for _, count in columns.named])[rows]
    return {name: rows[of_row == i] for name, i in numbers.items()}


def _stretches(panes: Ints) -> tuple[Ints | slice, list[int], list[int]]:
    """An order in which rows of one pane are neighbours; these panes, and where the rows of each end."""
    order: Ints | slice = slice(None)
    if (panes[1:] < panes[:-1]).any():
        order = np.argsort(panes, kind="stable")
        panes = panes[order]
    last = np.flatnonzero(np.r_[panes[1:] != panes[:-1], True])
    return order, panes[last].tolist(), (last + 1).tolist()


def _runs(panes: Ints, ids: Hashes) -> Iterator[tuple[int, Hashes]]:
    """The ids of records in a row that are of one pane, with that pane; a pane may come more than once."""
    if not len(panes):
        return
    starts = np.flatnonzero(np.r_[True, panes[1:] != panes[:-1]])
    yield from zip(panes[starts].tolist(), np.split(ids, starts[1:]), strict=True)


def _empty(watched: Watched) -> Pane:
    total, segments = watched.layout.total, math.prod(shape(watched.profile))
    return Pane(watched, 0, np.zeros(total, np.int64), np.zeros(total, np.int64), np.zeros(segments, np.int64))
