"""What a stream's metrics are without drift, from its profile: quantiles at a window's size; the reference's bins."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from longshore.monitor.pages.wording import METRICS
from longshore.monitor.usual import usual_for
from longshore.profile import Ints, Profile, StreamProfile
from longshore.schema import Kind

Quantiles = tuple[float, float, float]
"""Median, 95 % and 99 %."""


class Usual:
    """A profile's quantiles by stream and metric; Wasserstein in σ where the stream has a spread."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.streams = {stream.name: stream for stream in profile.streams}
        self._positions = {stream.name: i for i, stream in enumerate(profile.streams)}
        self._known = [m for m in METRICS if m in profile.calibration.metrics]
        self._of_size = lru_cache(maxsize=512)(lambda rows: usual_for(profile.calibration, rows))

    def of(self, name: str, rows: int) -> dict[str, Quantiles]:
        """By metric; empty for a stream or a profile without any."""
        at = self._positions.get(name)
        if at is None or not self._known:
            return {}
        found = self._of_size(rows)[at]
        given = {metric: found[i] for i, metric in enumerate(self.profile.calibration.metrics)}
        std = self.streams[name].std
        if self.streams[name].kind is Kind.NUMERIC and std > 0:
            given["wasserstein"] = given["wasserstein"] / std
        return {metric: (float(q[0]), float(q[1]), float(q[2])) for metric, q in given.items() if metric in self._known}


def reference_bins(stream: StreamProfile) -> tuple[list[str], list[float], Ints]:
    """Labels, upper edges and the reference's counts of a stream's decile or category bins."""
    starts = np.flatnonzero(np.r_[True, np.diff(stream.coarse) != 0])
    counts = np.add.reduceat(stream.counts, starts)
    if stream.kind is Kind.NOMINAL:
        return [*stream.categories, "(unseen)", "(missing)"], [], counts
    edges = [float(stream.edges[at - 1]) for at in starts[1:-1]]
    return [*("" for _ in starts[:-1]), "(missing)"], edges, counts
