"""Verdicts in the order they came, thinned: neighbours become the worst of them, so that a page stays small.

However long the stream, at most `2 × POINTS` are held.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from longshore.monitor.pages.contents import Moment
from longshore.monitor.pages.wording import METRICS
from longshore.records import DriftEvent, Moved

POINTS = 160

Values = dict[str, float]
"""A stream's metrics, and `p`."""


@dataclass(frozen=True, slots=True)
class Point:
    """A moment with every stream's values; `rows`: records of one window, for what is usual at that size."""

    moment: Moment
    rows: int
    streams: dict[str, Values]


class History:
    """All verdicts in at most `2 × limit` points."""

    def __init__(self, limit: int = POINTS) -> None:
        self._limit = limit
        self._each = 1
        self.windows = 0
        self.records = 0
        self.over = 0
        self.expected_alerts = 0.0
        self.points: list[Point] = []

    def add(self, event: DriftEvent) -> None:
        """Take in a verdict."""
        point = _point(event)
        self.windows += 1
        self.records += point.rows
        self.over += point.moment.over
        run_length = number(event.detail, "run_length")
        self.expected_alerts += point.rows / run_length if run_length else 0.0
        last = self.points[-1] if self.points else None
        if last is not None and last.moment.windows < self._each and _same_era(last, point):
            self.points[-1] = _worst(last, point)
        else:
            self.points.append(point)
        if len(self.points) >= 2 * self._limit:
            self._each *= 2
            self.points = _paired(self.points)


def number(detail: dict[str, Any], key: str) -> float | None:
    """A number of an event's detail, None where there is none."""
    value = detail.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def over_limit(event: DriftEvent) -> bool:
    """Whether a verdict is over its limit."""
    return bool(event.detail.get("alert", any(stream.alert for stream in event.streams)))


def values_of(stream: Moved) -> Values:
    """A stream's metrics as they are shown: Wasserstein in σ where there is one."""
    values = {metric: float(getattr(stream, metric)) for metric in METRICS} | {"p": stream.p_value}
    if stream.wasserstein_sigma is not None:
        values["wasserstein"] = stream.wasserstein_sigma
    return values


def _point(event: DriftEvent) -> Point:
    moment = Moment(
        start=event.window.start,
        end=event.window.end,
        records=event.window.records,
        windows=1,
        index=event.window_index,
        generation=event.generation,
        version=event.model_version,
        p_value=event.p_value,
        limit=number(event.detail, "limit") or event.thresholds.get("alpha"),
        over=over_limit(event),
        top=event.streams[0].name if event.streams else "",
    )
    return Point(moment, event.window.records, {stream.name: values_of(stream) for stream in event.streams})


def _same_era(first: Point, second: Point) -> bool:
    return first.moment.generation == second.moment.generation


def _paired(points: list[Point]) -> list[Point]:
    paired: list[Point] = []
    for point in points:
        last = paired[-1] if paired else None
        if last is not None and last.moment.windows < 2 * point.moment.windows and _same_era(last, point):
            paired[-1] = _worst(last, point)
        else:
            paired.append(point)
    return paired


def _worst(first: Point, second: Point) -> Point:
    """Both as one: the smallest p-values, the largest distances."""
    low = min((first.moment, second.moment), key=lambda moment: (not moment.over, moment.p_value))
    moment = replace(
        low,
        start=first.moment.start,
        end=second.moment.end,
        records=first.moment.records + second.moment.records,
        windows=first.moment.windows + second.moment.windows,
    )
    streams = {
        name: {
            metric: (min if metric == "p" else max)(value, second.streams.get(name, {}).get(metric, value))
            for metric, value in values.items()
        }
        for name, values in first.streams.items()
    }
    return Point(moment, min(first.rows, second.rows), second.streams | streams)
