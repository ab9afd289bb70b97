"""From panes to windows: merges deltas, closes panes behind the watermark, and fills windows of one model's era.

An era begins with the first closed pane that holds champion records of a newer generation's version. It is decided by
the panes' content and not by when the promotion was heard of, so the same records give the same windows. The old
version's records are judged no further, and its window in progress is dropped: no window mixes two models.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np

from longshore.errors import FormatError
from longshore.monitor.aside import NO_ASIDE, added, taken
from longshore.monitor.estimate import NOTHING as NO_ESTIMATE
from longshore.monitor.estimate import added as both_estimates
from longshore.monitor.identities import IdSketch
from longshore.monitor.identities import both as both_ids
from longshore.monitor.messages import PaneDelta, pack, pack_small, unpack, unpack_small
from longshore.monitor.models import Profiles, Watched
from longshore.monitor.sample import Sample, both, rows_of_a_pane, shape_of
from longshore.monitor.window_parts import Ahead, Era, EraBegun, Filled, Open, WindowState
from longshore.profile import Ints
from longshore.records import Route


class Windows:
    """The open panes and the window in progress."""

    def __init__(
        self, profiles: Profiles, window_records: int, state: WindowState | None = None, *, sample_rows: int = 0
    ) -> None:
        self._profiles = profiles
        self._window_records = window_records
        self._sample_rows = sample_rows
        self.state = state or WindowState()
        self._open: dict[int, dict[str, Open]] = {}
        self._counts: Ints | None = None
        self._sums: Ints | None = None
        self._segments = unpack_small(self.state.segments)
        self._ids = IdSketch.from_text(self.state.ids) if self.state.ids else None
        self._sample: Sample | None = None
        if self.state.bins:
            self._counts, self._sums = unpack(self.state.bins)
            if sample_rows:
                self._sample = self._read_sample(self.state.sample, self._watched(self.state.era.version))

    def know(self, version: str, generation: int) -> None:
        """A version was made champion at this generation."""
        self.state.generations[version] = max(generation, self.state.generations.get(version, 0))

    def add(self, delta: PaneDelta, offset: int) -> None:
        """Merge a delta; one for a pane already closed is tallied aside."""
        if delta.route != Route.CHAMPION.value:
            return
        if delta.pane < self.state.closed_before:
            self.state.late += delta.records
            return
        counts, sums = unpack(delta.bins)
        watched = self._watched(delta.version)
        if delta.layout != watched.name or len(counts) != watched.layout.total:
            raise FormatError(
                f"panes of {delta.version} were counted with profile {delta.layout}, the registry holds {watched.name}",
                mend="point both monitor roles at one registry",
            )
        segments, ids = unpack_small(delta.segments), IdSketch.from_text(delta.ids) if delta.ids else None
        sample = self._read_sample(delta.sample, watched)
        versions = self._open.setdefault(delta.pane, {})
        held = versions.get(delta.version)
        if held is None:
            estimate = both_estimates(NO_ESTIMATE, delta.estimate)
            versions[delta.version] = Open(offset, delta.records, counts, sums, segments, ids, sample, estimate)
        else:
            held.records += delta.records
            held.counts = held.counts + counts
            held.sums = held.sums + sums
            held.segments = _together(held.segments, segments)
            held.ids = both_ids(held.ids, ids)
            held.estimate = both_estimates(held.estimate, delta.estimate)
            held.sample = both(held.sample, sample, rows_of_a_pane(watched.profile, self._sample_rows))

    def close_before(self, pane: int) -> Iterator[EraBegun | Filled]:
        """Close every pane below `pane`, oldest first, and tell what comes of it.

        A pane with a version whose promotion was not heard of yet waits for it, and all later panes with it.
        """
        for at in sorted(self._open):
            if at >= pane:
                break
            versions = self._open[at]
            if any(version not in self.state.generations for version in versions):
                self.state.closed_before = max(self.state.closed_before, at)
                return
            self.state.closed_before = at + 1
            del self._open[at]
            yield from self._close(at, versions)
        self.state.closed_before = max(self.state.closed_before, pane)

    def ahead(self) -> Ahead | None:
        """The next window with what is in the open panes, oldest first; None while they do not fill it.

        Nor is there one where a pane comes first that will begin a newer era, or waits for its model's promotion.
        """
        state = self.state
        first, records, panes = state.first_pane, state.records, []
        for at in sorted(self._open):
            versions = self._open[at]
            if max(state.generations.get(version, math.inf) for version in versions) > state.era.generation:
                return None
            held = versions.get(state.era.version)
            if held is None:
                continue
            first = at if first < 0 else first
            records += held.records
            panes.append(held)
            if records >= self._window_records:
                return Ahead(first, at + 1, records, panes)
        return None

    def filled_with(self, ahead: Ahead) -> Filled:
        """That window as if its panes were closed; nothing here changes by it."""
        counts, sums = [held.counts for held in ahead.panes], [held.sums for held in ahead.panes]
        segments = [held.segments for held in ahead.panes]
        if self._counts is not None and self._sums is not None:
            counts, sums, segments = [self._counts, *counts], [self._sums, *sums], [self._segments, *segments]
        return Filled(
            era=self.state.era,
            index=self.state.index,
            first_pane=ahead.first_pane,
            end_pane=ahead.end_pane,
            records=ahead.records,
            watched=self._watched(self.state.era.version),
            counts=np.sum(counts, axis=0),
            sums=np.sum(sums, axis=0),
            segments=functools.reduce(_together, segments),
            sample=functools.reduce(both, (held.sample for held in ahead.panes), self._sample),
            estimate=functools.reduce(both_estimates, (held.estimate for held in ahead.panes), self.state.estimate),
        )

    def oldest_offset(self) -> int | None:
        """The panes-topic offset from which the open panes can be rebuilt; None when none is open."""
        offsets = [held.offset for versions in self._open.values() for held in versions.values()]
        return min(offsets, default=None)

    def saved(self) -> WindowState:
        """The state for a snapshot, with the window in progress."""
        counts, sums = self._counts, self._sums
        self.state.bins = "" if counts is None or sums is None else pack(counts, sums)
        self.state.segments = pack_small(self._segments)
        self.state.ids = self._ids.to_text() if self._ids is not None else ""
        self.state.sample = "" if self._sample is None else self._sample.to_text()
        return self.state

    def _close(self, pane: int, versions: dict[str, Open]) -> Iterator[EraBegun | Filled]:
        state = self.state
        newest = max(versions, key=lambda version: state.generations[version])
        era = Era(newest, state.generations[newest])
        if era.generation > state.era.generation:
            before, state.era = state.era, era
            state.index = 0
            self._start_window()
            yield EraBegun(before, era, pane)
        state.aside = added(state.aside, taken(state.pending, pane))
        held = versions.get(state.era.version)
        if held is None:
            return
        self._grow(pane, held)
        if state.records >= self._window_records:
            yield self._filled()

    def _grow(self, pane: int, held: Open) -> None:
        state = self.state
        if self._counts is None or self._sums is None:
            state.first_pane = pane
            self._counts, self._sums = np.zeros_like(held.counts), np.zeros_like(held.sums)
            self._segments = np.zeros_like(held.segments)
            self._ids = held.ids
        else:
            self._ids = both_ids(self._ids, held.ids)
        self._segments = _together(self._segments, held.segments)
        self._sample = both(self._sample, held.sample)
        state.estimate = both_estimates(state.estimate, held.estimate)
        self._counts, self._sums = self._counts + held.counts, self._sums + held.sums
        state.records += held.records
        state.end_pane = pane + 1

    def _filled(self) -> Filled:
        state = self.state
        assert self._counts is not None  # noqa: S101  (only a grown window is full)
        assert self._sums is not None  # noqa: S101
        filled = Filled(
            era=state.era,
            index=state.index,
            first_pane=state.first_pane,
            end_pane=state.end_pane,
            records=state.records,
            watched=self._watched(state.era.version),
            counts=self._counts,
            sums=self._sums,
            segments=self._segments,
            ids=self._ids,
            aside=state.aside,
            sample=self._sample,
            estimate=state.estimate,
        )
        state.index += 1
        self._start_window()
        return filled

    def _start_window(self) -> None:
        self._counts = self._sums = self._ids = None
        self._segments = np.zeros(0, np.int64)
        self._sample = None
        self.state.records, self.state.first_pane, self.state.end_pane = 0, -1, -1
        self.state.aside, self.state.estimate = NO_ASIDE, NO_ESTIMATE

    def _read_sample(self, text: str, watched: Watched) -> Sample | None:
        return Sample.from_text(text, shape_of(watched.profile)) if self._sample_rows else None

    def _watched(self, version: str) -> Watched:
        watched = self._profiles.of(version)
        if watched is None:
            raise FormatError(
                f"panes name version {version}, which the registry does not hold",
                mend="point both monitor roles at one registry",
            )
        return watched


def _together(one: Ints, other: Ints) -> Ints:
    """The sum of two counts of segments; none where either was counted without them."""
    return one + other if len(one) == len(other) else np.zeros(0, np.int64)
