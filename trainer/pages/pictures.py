"""Pictures of columns as SVG text: histograms, bars, points, a matrix. Axes take any finite values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longshore.columns import Floats
from longshore.pages.markup import Markup, svg_text, tag
from longshore.pages.scales import Axis, linear_ticks, ticks_between
from longshore.pages.wording import count_text, value_text

BINS = 50
NAME_LENGTH = 24
LAYERS = 5
"""Points of one colour are drawn in so many strokes: where strokes lie on each other, many points look like many."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Where a plot lies in its picture, and its axes."""

    width: float
    height: float
    x: Axis
    y: Axis

    @classmethod
    def of(
        cls, xs: tuple[float, float], ys: tuple[float, float], width: float, height: float, *, left: float = 52
    ) -> Plot:
        """A plot of these ranges, with room for ticks and an axis' name below."""
        return cls(width, height, Axis(*xs, left, width - 12), Axis(*ys, height - 38, 14))

    def grid(self, x_name: str, y_name: str = "", wanted: int = 5) -> list[Markup]:
        """Lines at round values with their labels, and the axes' names."""
        parts = []
        for value, label in ticks_between(self.y.low, self.y.high, wanted):
            y = self.y.at(value)
            parts.append(tag("line", class_="grid", x1=self.x.start, x2=self.x.end, y1=y, y2=y))
            parts.append(svg_text(label, self.x.start - 6, y + 4, "end"))
        for value, label in ticks_between(self.x.low, self.x.high, wanted):
            x = self.x.at(value)
            parts.append(tag("line", class_="grid", x1=x, x2=x, y1=self.y.start, y2=self.y.end))
            parts.append(svg_text(label, x, self.y.start + 15, "middle"))
        parts.append(svg_text(short_name(x_name, 60), (self.x.start + self.x.end) / 2, self.height - 6, "middle"))
        if y_name:
            parts.append(svg_text(short_name(y_name, 60), self.x.start, 8, "start"))
        return parts

    def svg(self, kind: str, title: str, *parts: Markup) -> Markup:
        """The picture."""
        box = f"0 0 {self.width:g} {self.height:g}"
        return tag("svg", tag("title", title), *parts, class_=kind, viewBox=box, role="img")


def short_name(name: str, length: int = NAME_LENGTH) -> str:
    """A name as far as there is room."""
    return name if len(name) <= length else name[: length - 1] + "…"


def hundredths(value: float, sign: str = "") -> str:
    """A correlation, or the like: two decimals, and no minus before nothing."""
    return f"{round(value, 2) + 0.0:{sign}.2f}"


def reach(values: Floats) -> tuple[float, float]:
    """From the smallest to the largest finite value; 0 to 1 where there is none."""
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def histogram(values: Floats, name: str, *, width: float = 330, height: float = 150) -> Markup:
    """How often values come, in columns of equal width."""
    low, high, counts = binned(values)
    plot = Plot(width, height, Axis(low, high, 42, width - 12), Axis(0, max(counts) * 1.05 or 1.0, height - 20, 8))
    parts = []
    for value, label in linear_ticks(plot.y.high, 3):
        y = plot.y.at(value)
        parts.append(tag("line", class_="grid", x1=plot.x.start, x2=plot.x.end, y1=y, y2=y))
        parts.append(svg_text(label, plot.x.start - 6, y + 4, "end"))
    for value, label in ticks_between(low, high, 4):
        parts.append(svg_text(label, plot.x.at(value), height - 5, "middle"))
    summary = f"{name}: {count_text(sum(counts), 'value')} from {value_text(low)} to {value_text(high)}"
    return plot.svg("hist", summary, *parts, columns_path(counts, plot.x.start, plot.x.end, plot.y))


def binned(values: Floats) -> tuple[float, float, list[int]]:
    """The range and the counts of equal bins; one bin where values do not differ beyond rounding.

    Whole numbers that are few have a bin each: fifty bins of 52 ages would show two ages in some of them.
    """
    known = values[np.isfinite(values)]
    low, high = reach(values)
    scale = max(abs(low), abs(high))
    if not len(known) or high / (scale or 1) - low / (scale or 1) <= 1e-9:
        return low, high, [len(known)]
    if high - low <= 2 * BINS and np.array_equal(known, np.round(known)):
        return low - 0.5, high + 0.5, np.bincount((known - low).astype(np.intp)).tolist()
    return low, high, np.histogram(known / scale, BINS, (low / scale, high / scale))[0].tolist()


def columns_path(counts: Sequence[int], left: float, right: float, y: Axis) -> Markup:
    """Columns side by side as one shape."""
    slot = (right - left) / len(counts)
    gap = min(slot * 0.08, 1.0)
    shapes = []
    for at, count in enumerate(counts):
        if count:
            start, top = left + at * slot + gap / 2, min(y.at(count), y.start - 0.6)
            shapes.append(f"M{start:.1f} {y.start:.1f}V{top:.1f}h{slot - gap:.2f}V{y.start:.1f}Z")
    return tag("path", class_="columns", d="".join(shapes))


def dots(x: Floats, y: Floats, kind: str = "", size: float = 2.4) -> list[Markup]:
    """Points at coordinates as strokes without length; every point in one of a few layers."""
    found = []
    for layer in range(min(LAYERS, len(x))):
        pairs = zip(x[layer::LAYERS].tolist(), y[layer::LAYERS].tolist(), strict=True)
        path = "".join(f"M{a:.0f} {b:.0f}h.1" for a, b in pairs)
        found.append(tag("path", class_=kind or None, stroke_width=size, d=path))
    return found


def along(axis: Axis, values: Floats) -> Floats:
    """Coordinates of many values; as `Axis.at`, what lies outside is drawn at the ends."""
    span = axis.high / 2 - axis.low / 2
    part = (values / 2 - axis.low / 2) / span if span > 0 else np.full(len(values), 0.5)
    return axis.start + np.clip(part, 0.0, 1.0) * (axis.end - axis.start)


def signed_bars(entries: Sequence[tuple[str, float, str]], title: str) -> Markup:
    """A row for each (name, value in −1 … 1, words): to the right where positive, to the left where negative."""
    row, names = 22.0, 170.0
    lowest = min([value for _, value, _ in entries], default=0.0)
    x = Axis(min(lowest, 0.0), 1, names + (44 if lowest < 0 else 0), 500)
    parts = []
    for at, (name, value, told) in enumerate(entries):
        y, (start, end) = at * row + 3, sorted((x.at(0), x.at(value)))
        kind = "minus" if value < 0 else "plus"
        parts.append(svg_text(short_name(name), names - 8, y + 12, "end", "ink"))
        words = tag("title", f"{name}: {told}")
        parts.append(tag("rect", words, class_=kind, x=start, y=y, width=max(end - start, 0.8), height=row - 7))
        beside = (end + 5, "start") if value >= 0 else (start - 5, "end")
        parts.append(svg_text(told, beside[0], y + 12, beside[1]))
    zero = x.at(0)
    parts.append(tag("line", class_="axis", x1=zero, x2=zero, y1=0, y2=len(entries) * row))
    box = f"0 0 560 {len(entries) * row + 2:g}"
    return tag("svg", tag("title", title), *parts, class_="beside", viewBox=box, role="img")


def bars(entries: Sequence[tuple[str, float, str]], title: str) -> Markup:
    """A row for each (name, value from 0 up, words)."""
    row, names = 22.0, 170.0
    x = Axis(0, max([value for _, value, _ in entries], default=1), names, 430)
    parts = []
    for at, (name, value, told) in enumerate(entries):
        y = at * row + 3
        parts.append(svg_text(short_name(name), names - 8, y + 12, "end", "ink"))
        width = max(x.at(value) - x.start, 0.8)
        words = tag("title", f"{name}: {told}")
        parts.append(tag("rect", words, class_="columns", x=x.start, y=y, width=width, height=row - 7))
        parts.append(svg_text(told, x.start + width + 5, y + 12, "start"))
    box = f"0 0 560 {len(entries) * row + 2:g}"
    return tag("svg", tag("title", title), *parts, class_="beside", viewBox=box, role="img")


def heat(names: Sequence[str], values: Sequence[Sequence[float | None]], title: str) -> Markup:
    """A square of correlations: stronger colour is further from 0, and the figure stands in it."""
    side, left, top = 58.0, 170.0, 8.0
    parts = []
    for i, name in enumerate(names):
        y = top + i * side * 0.56
        parts.append(svg_text(short_name(name), left - 8, y + 20, "end", "ink"))
        for j, value in enumerate(values[i][: i + 1]):
            x = left + j * side
            told = "–" if value is None else hundredths(value)
            kind = "minus" if value is not None and value < 0 else "plus"
            words = tag("title", f"{name} and {names[j]}: {told}")
            shade = 0.6 * abs(value or 0.0)
            size = {"width": side - 2, "height": side * 0.56 - 2}
            parts.append(tag("rect", words, class_=kind, fill_opacity=shade, x=x, y=y, **size))
            parts.append(svg_text(told, x + side / 2 - 1, y + 19, "middle", "ink"))
    floor = top + len(names) * side * 0.56
    for j, name in enumerate(names):
        at = left + j * side + side / 2
        turned = f"rotate(-35 {at:.1f} {floor + 12:.1f})"
        parts.append(tag("text", short_name(name, 18), x=at, y=floor + 12, text_anchor="end", transform=turned))
    box = f"0 0 {left + len(names) * side + 4:g} {floor + 90:g}"
    return tag("svg", tag("title", title), *parts, class_="matrix", viewBox=box, role="img")


def scatter_matrix(names: Sequence[str], columns: Sequence[Floats]) -> Markup:
    """Each column against each in the lower half, and its histogram where it meets itself."""
    side, left, gap = 178.0, 62.0, 12.0
    parts = []
    for i, name in enumerate(names):
        top = 4 + i * side
        y = Axis(*reach(columns[i]), top + side - gap, top)
        for j in range(i + 1):
            x = Axis(*reach(columns[j]), left + j * side, left + (j + 1) * side - gap)
            frame = {"x": x.start, "y": y.end, "width": x.end - x.start, "height": y.start - y.end}
            parts.append(tag("rect", class_="frame", **frame))
            if i == j:
                counts = binned(columns[i])[2]
                parts.append(columns_path(counts, x.start, x.end, Axis(0, max(counts) * 1.2 or 1.0, y.start, y.end)))
                parts.append(svg_text(short_name(name), x.start + 5, y.end + 14, "start", "ink"))
                continue
            both = np.flatnonzero(np.isfinite(columns[i]) & np.isfinite(columns[j]))
            parts += dots(along(x, columns[j][both]), along(y, columns[i][both]), size=2.0)
        if i:
            parts += [
                svg_text(label, left - 6, y.at(value) + 4, "end") for value, label in ticks_between(y.low, y.high, 3)
            ]
        x = Axis(*reach(columns[i]), left + i * side, left + (i + 1) * side - gap)
        floor = 4 + len(names) * side
        parts += [svg_text(label, x.at(value), floor + 6, "middle") for value, label in ticks_between(x.low, x.high, 3)]
        parts.append(svg_text(short_name(name), (x.start + x.end) / 2, floor + 24, "middle", "ink"))
    box = f"0 0 {left + len(names) * side:g} {4 + len(names) * side + 30:g}"
    title = f"scatter matrix of {', '.join(names)}"
    return tag("svg", tag("title", title), *parts, class_="scatters dots", viewBox=box, role="img")
