"""Counting: predictions of a partition to integer deltas of panes. Pure; the shell polls, commits and keeps time.

Adding integers is exact in any order, so panes can be counted by any number of members and in any pieces. What is late
is decided here, by the partition's own content and order alone, so that it does not depend on who counted when.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from longshore.codec import Codec
from longshore.columns import Columns
from longshore.monitor.binning import bin_numbers, bin_texts, fixed_sums
from longshore.monitor.messages import Counted, LabelsSeen, PaneDelta, pack
from longshore.monitor.models import PREDICTION, Profiles, Watched
from longshore.profile import Floats, Ints
from longshore.records import UNREADABLE
from longshore.schema import Kind, Schema

FUTURE_MS = 3_600_000
"""An event time this far ahead of its own scoring is a wrong clock: it must not push the watermark."""

NEVER = -1
"""The watermark of a partition from which nothing was read yet."""


class Scored(msgspec.Struct, frozen=True, gc=False):
    """What counting reads of a prediction; `record` is its input, verbatim."""

    event_time: int
    scored_at: int
    prediction: float
    model_version: str
    route: str
    record: msgspec.Raw


class Labelled(msgspec.Struct, frozen=True, gc=False):
    """What counting reads of a label."""

    event_time: int


@dataclass(slots=True)
class Pane:
    """One pane's growing counts, int64[T], and fixed-point sums, int64[T]."""

    watched: Watched
    records: int
    counts: Ints
    sums: Ints


@dataclass(slots=True)
class Tally:
    """What one partition has counted since its last commit. `watermark` goes on from the commit before."""

    watermark: int = NEVER
    first_offset: int = -1
    last_offset: int = -1
    late: int = 0
    future: int = 0
    unreadable: int = 0
    panes: dict[tuple[int, str, str], Pane] = field(default_factory=dict)

    def after_commit(self) -> Tally:
        """An empty tally that goes on from this one."""
        return Tally(watermark=self.watermark)

    def message(self, partition: int, partitions: int) -> Counted:
        """The delta for `drift.panes`; panes in order, so that equal tallies give equal bytes."""
        deltas = [
            PaneDelta(pane, version, route, p.records, p.watched.name, pack(p.counts, p.sums))
            for (pane, version, route), p in sorted(self.panes.items())
        ]
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
        )


class PaneCounter:
    """Turns prediction values into tallies for one schema."""

    def __init__(self, schema: Schema, profiles: Profiles, *, pane_ms: int, lateness_ms: int) -> None:
        self._schema = schema
        self._codec = Codec(schema)
        self._decoder = msgspec.json.Decoder(Scored)
        self._labels = msgspec.json.Decoder(Labelled)
        self._profiles = profiles
        self._pane_ms = pane_ms
        self._lateness_ms = lateness_ms

    def count(self, tally: Tally, values: Sequence[bytes | None], offsets: Sequence[int]) -> None:
        """Add n predictions of one partition, in offset order, to its tally."""
        if tally.first_offset < 0:
            tally.first_offset = offsets[0]
        tally.last_offset = offsets[-1]
        rows = [row for value in values if (row := self._decode(value)) is not None]
        tally.unreadable += len(values) - len(rows)
        on_time = self._on_time(tally, rows)
        groups: dict[tuple[str, str], list[Scored]] = {}
        for row in on_time:
            groups.setdefault((row.model_version, row.route), []).append(row)
        for (version, route), members in groups.items():
            self._count_group(tally, version, route, members)

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

    def _decode(self, value: bytes | None) -> Scored | None:
        try:
            return self._decoder.decode(value or b"")
        except UNREADABLE:
            return None

    def _on_time(self, tally: Tally, rows: list[Scored]) -> list[Scored]:
        """Drop what is ahead of its clock or behind the watermark as it stood just before; both are counted."""
        times = np.array([row.event_time for row in rows], dtype=np.int64)
        scored = np.array([row.scored_at for row in rows], dtype=np.int64)
        future = times > scored + FUTURE_MS
        seen = np.maximum.accumulate(np.r_[tally.watermark, np.where(future, NEVER, times)])
        ends = (times // self._pane_ms + 1) * self._pane_ms
        late = ~future & (ends + self._lateness_ms <= seen[:-1])
        tally.watermark = int(seen[-1])
        tally.future += int(future.sum())
        tally.late += int(late.sum())
        kept = ~(future | late)
        return rows if kept.all() else [row for row, keep in zip(rows, kept, strict=True) if keep]

    def _count_group(self, tally: Tally, version: str, route: str, rows: list[Scored]) -> None:
        watched = self._profiles.of(version)
        decoded = self._codec.decode([bytes(row.record) for row in rows])
        tally.unreadable += len(decoded.rejects)
        if watched is None:
            tally.unreadable += len(decoded.positions)
            return
        if not decoded.positions:
            return
        kept = [rows[i] for i in decoded.positions]
        predictions = np.array([row.prediction for row in kept], dtype=np.float64)
        bins, values = _bins(watched, self._schema, decoded.columns, predictions)
        panes = np.array([row.event_time for row in kept], dtype=np.int64) // self._pane_ms
        for pane in np.unique(panes):
            chosen = panes == pane
            held = tally.panes.setdefault((int(pane), version, route), _empty(watched))
            held.records += int(chosen.sum())
            _add(held, bins[:, chosen], [None if v is None else v[chosen] for v in values])


def _empty(watched: Watched) -> Pane:
    total = watched.layout.total
    return Pane(watched, 0, np.zeros(total, np.int64), np.zeros(total, np.int64))


def _bins(watched: Watched, schema: Schema, columns: Columns, predictions: Floats) -> tuple[Ints, list[Floats | None]]:
    """The bin of every record in each stream of the profile, int64[streams, n], and the numeric streams' values."""
    numeric = {f.name: columns.numeric[:, i] for i, f in enumerate(schema.numeric)} | {PREDICTION: predictions}
    nominal = {f.name: columns.nominal[i] for i, f in enumerate(schema.nominal)}
    bins: list[Ints] = []
    values: list[Floats | None] = []
    for stream in watched.profile.streams:
        if stream.kind is Kind.NUMERIC:
            column = numeric[stream.name]
            bins.append(bin_numbers(stream, column))
            values.append(column)
        else:
            bins.append(bin_texts(stream, nominal[stream.name]))
            values.append(None)
    return np.stack(bins), values


def _add(pane: Pane, bins: Ints, values: list[Floats | None]) -> None:
    layout = pane.watched.layout
    pane.counts += np.bincount((bins + layout.starts[:, None]).ravel(), minlength=layout.total)
    for stream, start, size, row, column in zip(
        pane.watched.profile.streams, layout.starts, layout.sizes, bins, values, strict=True
    ):
        if column is not None:
            pane.sums[start : start + size] += fixed_sums(column, row, int(size), stream.scale)
