"""Figures of repeated runs: medians, spreads, ratios of interleaved rounds, percentiles, a rate between two marks."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WARM_SHARE = 0.1
"""Of a run's records: joining a group, filling queues and a JVM's compiling are over by then."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, and the smallest and largest."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def to_dict(self) -> dict[str, Any]:
        return {"median": self.median, "low": self.low, "high": self.high, "rounds": self.rounds}


def ratios(values: Sequence[float | None], base: Sequence[float | None]) -> Spread | None:
    """Round by round: what disturbs the machine for a minute disturbs both sides of a ratio. None: no common round."""
    pairs = [(value, one) for value, one in zip(values, base, strict=False) if value and one]
    return Spread.of([value / one for value, one in pairs]) if pairs else None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank: no value is invented)."""
    ordered = sorted(values)
    rank = int(np.ceil(share * len(ordered)))
    return float(ordered[max(rank, 1) - 1])


def steady_rate(times_ms: Any, warm_share: float = WARM_SHARE) -> float:
    """Records a second from the moment `warm_share` of them was there to the last, by the times they were appended."""
    ordered = np.sort(np.asarray(times_ms))
    first = int(len(ordered) * warm_share)
    counted = int((ordered > ordered[first]).sum())
    return counted / max((ordered[-1] - ordered[first]) / 1_000, 0.001)


def rate_between(ordered_ms: Any, first: int, last: int) -> float:
    """Records a second while number `first` to `last` were appended, by the sorted times of all."""
    last = min(last, len(ordered_ms)) - 1
    return float((last - first) / max((ordered_ms[last] - ordered_ms[first]) / 1_000, 0.001))
