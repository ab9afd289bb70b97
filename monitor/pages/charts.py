"""Pictures over time: the family's p-value with its limit, a metric with its usual line, a spark. SVG text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from longshore.monitor.pages.contents import Band, Line, Moment
from longshore.pages.markup import Markup, svg_text, tag
from longshore.pages.scales import Axis, evidence, evidence_ticks, linear_ticks, ticks_between, time_ticks
from longshore.pages.wording import count_text, p_is, p_text, time_text, value_text

DEEPEST = 16.0
"""−log₁₀ p at which the axis ends, unless the limit needs more: a p-value beyond is drawn there."""

DOTS = 130
"""Moments up to which each has a dot."""

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a chart's plot lies in its picture, and the time axis they share."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    moments: Sequence[Moment]
    bands: Sequence[Band]
    eras: Sequence[tuple[int, str]]

    @property
    def x(self) -> Axis:
        """Event time."""
        low, high = self.moments[0].start, self.moments[-1].end
        return Axis(low, max(high, low + 1), self.left, self.width - self.right)

    def y(self, high: float) -> Axis:
        """Values from 0 to `high`."""
        return Axis(0.0, high, self.height - self.bottom, self.top)

    @property
    def floor(self) -> float:
        """The coordinate of the plot's lower end."""
        return self.height - self.bottom

    def level(self, kind: str, y: float) -> Markup:
        """A line across the plot."""
        return tag("line", class_=kind, x1=self.left, x2=self.width - self.right, y1=y, y2=y)

    def svg(self, kind: str, *parts: Markup) -> Markup:
        """The picture."""
        return tag("svg", *parts, class_=kind, viewBox=f"0 0 {self.width:g} {self.height:g}", role="img")


def evidence_chart(moments: Sequence[Moment], bands: Sequence[Band], eras: Sequence[tuple[int, str]]) -> Markup:
    """The smallest adjusted p-value of each window: upwards is rarer; the limit, alerts, episodes and eras."""
    frame = Frame(1_000, 300, 58, 14, 30, 34, moments, bands, eras)
    limits = [evidence(m.limit) for m in moments if m.limit]
    deepest = max([DEEPEST, *(1.5 * e for e in limits)])
    high = min(deepest, max([2.0, *(evidence(m.p_value) for m in moments), *(1.3 * e for e in limits)]) * 1.06)
    y = frame.y(high)
    parts = [tag("title", _summary(moments, bands)), *_bands(frame)]
    for value, label in evidence_ticks(high):
        parts.append(frame.level("grid", y.at(value)))
        parts.append(svg_text(label, frame.left - 7, y.at(value) + 4, "end"))
    parts += [*time_axis(frame), *_eras(frame)]
    parts += _stepped([m.limit and evidence(m.limit) for m in moments], frame, y)
    parts += _lines([evidence(m.p_value) for m in moments], frame, y, "line")
    parts += [_dot(m, frame.x.at(m.end), y) for m in moments if m.over or len(moments) <= DOTS]
    parts += [_alert(band, frame) for band in bands if band.alerted is not None]
    return frame.svg("evidence", *parts)


def _dot(moment: Moment, x: float, y: Axis) -> Markup:
    deep = evidence(moment.p_value) > y.high
    words = _moment_text(moment)
    at = y.at(evidence(moment.p_value))
    title = tag("title", words + (" (beyond the axis)" if deep else ""))
    if deep:
        shape = f"M{x - 4.5:.1f} {at + 7:.1f}L{x:.1f} {at - 1:.1f}L{x + 4.5:.1f} {at + 7:.1f}Z"
        return tag("path", title, class_="dot over" if moment.over else "dot", d=shape)
    return tag("circle", title, class_="dot over" if moment.over else "dot", cx=x, cy=at, r=3.6 if moment.over else 2.6)


def _moment_text(moment: Moment) -> str:
    windows = f"the worst of {moment.windows} windows" if moment.windows > 1 else f"window {moment.index}"
    limit = f", limit {p_text(moment.limit)}" if moment.limit else ""
    return (
        f"{time_text(moment.end)}, {windows} of {count_text(moment.records, 'record')}: "
        f"{p_is(moment.p_value)}{limit}; most moved {moment.top or '–'}"
    )


def _alert(band: Band, frame: Frame) -> Markup:
    x = frame.x.at(band.alerted or 0)
    anchor = "end" if x > frame.width - 70 else "start"
    return tag(
        "g",
        tag("title", f"alert, {band.cause} drift, episode {band.id}, {time_text(band.alerted)}"),
        tag("line", class_="alert", x1=x, x2=x, y1=frame.top, y2=frame.floor),
        tag("path", class_="alert-mark", d=f"M{x - 6:.1f} {frame.top - 10:.1f}h12l-6 10z"),
        svg_text("alert", x + (9 if anchor == "start" else -9), frame.top - 3, anchor, "alert-text"),
    )


def metric_chart(
    line: Line, moments: Sequence[Moment], bands: Sequence[Band], eras: Sequence[tuple[int, str]]
) -> Markup:
    """One metric over time with the line that 95 % of windows without drift stay below."""
    frame = Frame(330, 128, 44, 6, 8, 20, moments, bands, eras)
    known = [value for value in (*line.values, *line.usual) if value is not None]
    high = max([*known, line.reading.floor or 0.0, line.reading.fixed or 0.0, 1e-12]) * 1.08
    y = frame.y(high)
    last = value_text(line.reading.value)
    title = f"{line.reading.title} over time: last {last}, highest {value_text(max(_known(line.values), default=0.0))}"
    parts = [tag("title", title), *_bands(frame)]
    for value, label in linear_ticks(high):
        parts.append(frame.level("grid", y.at(value)))
        parts.append(svg_text(label, frame.left - 5, y.at(value) + 4, "end"))
    parts += [*time_axis(frame, wanted=3), *_eras(frame, named=False)]
    for kind, level in (("floor", line.reading.floor), ("limit", line.reading.fixed)):
        if level is not None:
            parts.append(frame.level(kind, y.at(level)))
    parts += _lines(line.usual, frame, y, "usual")
    parts += _lines(line.values, frame, y, "line")
    for band in bands:
        if band.alerted is not None:
            x = frame.x.at(band.alerted)
            parts.append(tag("line", class_="alert", x1=x, x2=x, y1=frame.top, y2=frame.floor))
    return frame.svg("metric", *parts)


def figure_chart(
    line: Line,
    intervals: Sequence[tuple[float, float] | None],
    moments: Sequence[Moment],
    bands: Sequence[Band],
    eras: Sequence[tuple[int, str]],
    *,
    from_zero: bool,
) -> Markup:
    """A figure with its intervals over time beside what it was on held-out rows; it may be negative."""
    frame = Frame(330, 150, 50, 6, 8, 20, moments, bands, eras)
    known = [*_known(line.values), *_known(line.usual), *(end for pair in intervals if pair for end in pair)]
    known += [0.0] if from_zero else []
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low if from_zero and low == 0 else low - room, high + room
    y = Axis(low, high, frame.floor, frame.top)
    title = f"{line.reading.title} over time with its intervals of 95 %: last {value_text(line.reading.value)}"
    parts = [tag("title", title), *_bands(frame)]
    for value, label in ticks_between(low, high, 3):
        parts.append(frame.level("grid", y.at(value)))
        parts.append(svg_text(label, frame.left - 5, y.at(value) + 4, "end"))
    parts += [*time_axis(frame, wanted=3), *_eras(frame, named=False), *_ribbons(intervals, frame, y)]
    parts += _lines(line.usual, frame, y, "usual") + _lines(line.values, frame, y, "line")
    return frame.svg("metric", *parts)


def _ribbons(intervals: Sequence[tuple[float, float] | None], frame: Frame, y: Axis) -> list[Markup]:
    """The stretches between both ends of intervals; an upright line for one that stands alone."""
    lows = _stretches([pair[0] if pair else None for pair in intervals], frame)
    highs = _stretches([pair[1] if pair else None for pair in intervals], frame)
    parts = []
    for below, above in zip(lows, highs, strict=True):
        points = [(frame.x.at(m.end), y.at(value)) for m, value in (*above, *reversed(below))]
        if len(below) == 1:
            x = points[0][0]
            points = [(x - 2, points[0][1]), (x + 2, points[0][1]), (x + 2, points[1][1]), (x - 2, points[1][1])]
        parts.append(tag("polygon", class_="interval", points=" ".join(f"{x:.1f},{v:.1f}" for x, v in points)))
    return parts


def spark(values: Sequence[float | None], limit: float | None) -> Markup:
    """The last p-values of a stream in a small picture; the line is the limit."""
    width, height = 120.0, 24.0
    heights = [evidence(value) if value is not None else None for value in values]
    edge = evidence(limit) if limit else 2.0
    y = Axis(0, max(2 * edge, 2.0), height - 2, 2)
    x = Axis(0, max(len(values) - 1, 1), 2, width - 2)
    points = [(x.at(at), y.at(value)) for at, value in enumerate(heights) if value is not None]
    parts = [tag("title", f"p-values over time, the last {p_text(values[-1]) if values and values[-1] else '–'}")]
    parts.append(tag("line", class_="limit", x1=0, x2=width, y1=y.at(edge), y2=y.at(edge)))
    parts.append(_polyline(points, "line"))
    return tag("svg", *parts, class_="spark", viewBox=f"0 0 {width:.0f} {height:.0f}", role="img")


def _bands(frame: Frame) -> list[Markup]:
    parts = []
    for band in frame.bands:
        start, end = frame.x.at(band.began), frame.x.at(frame.moments[-1].end if band.ended is None else band.ended)
        title = tag("title", f"episode {band.id}: {band.cause} drift, {', '.join(band.streams[:3])}")
        size = {"width": max(end - start, 2), "height": frame.floor - frame.top}
        parts.append(tag("rect", title, class_="band", x=start, y=frame.top, **size))
    return parts


def _eras(frame: Frame, *, named: bool = True) -> list[Markup]:
    parts, last = [], -1e9
    for at, version in frame.eras:
        x = frame.x.at(at)
        parts.append(tag("line", class_="era", x1=x, x2=x, y1=frame.top, y2=frame.floor))
        if named and x - last > 60:
            anchor = "end" if x > frame.width - 80 else "start"
            parts.append(
                svg_text(f"model {version}", x + (4 if anchor == "start" else -4), frame.top + 11, anchor, "era")
            )
            last = x
    return parts


def time_axis(frame: Frame, wanted: int = 7) -> list[Markup]:
    """The lower end of a plot, with its moments in UTC."""
    parts = [frame.level("axis", frame.floor)]
    last = -1e9
    for at, label in time_ticks(frame.moments[0].start, frame.moments[-1].end, wanted):
        x = frame.x.at(at)
        half = 3.2 * len(label)
        if x - half < last or x + half > frame.width:
            continue
        last = x + half + 8
        parts.append(tag("line", class_="axis", x1=x, x2=x, y1=frame.floor, y2=frame.floor + 4))
        parts.append(svg_text(label, x, frame.floor + 16, "middle"))
    return parts


def _stretches(values: Sequence[float | None], frame: Frame) -> list[list[tuple[Moment, float]]]:
    """Neighbouring known values of one era: lines do not cross from one model to the next."""
    pairs = zip(frame.moments, values, strict=True)
    grouped = itertools.groupby(pairs, key=lambda pair: (pair[0].generation, pair[1] is None))
    return [[(m, v) for m, v in group if v is not None] for (_, unknown), group in grouped if not unknown]


def _lines(values: Sequence[float | None], frame: Frame, y: Axis, kind: str) -> list[Markup]:
    return [
        _polyline([(frame.x.at(m.end), y.at(v)) for m, v in stretch], kind) for stretch in _stretches(values, frame)
    ]


def _stepped(limits: Sequence[float | None], frame: Frame, y: Axis) -> list[Markup]:
    """The limit of each window over that window's own time."""
    parts = []
    for stretch in _stretches(limits, frame):
        points = [(frame.x.at(end), y.at(limit)) for m, limit in stretch for end in (m.start, m.end)]
        parts.append(_polyline(points, "limit"))
    return parts


def _polyline(points: Points, kind: str) -> Markup:
    if len(points) == 1:
        return tag("circle", class_=f"{kind} single", cx=points[0][0], cy=points[0][1], r=1.6)
    return tag("polyline", class_=kind, points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points))


def _summary(moments: Sequence[Moment], bands: Sequence[Band]) -> str:
    over = sum(moment.over for moment in moments)
    return (
        f"p-value of each window over time, rarer upwards: {count_text(len(moments), 'point')}, "
        f"{over} over the limit, {count_text(len(bands), 'episode')}"
    )


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]
