"""Test rows with what the served model says of them: its errors in figures and pictures, by segment, the largest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longshore.columns import Floats
from longshore.pages.document import legend
from longshore.pages.markup import svg_text, tag
from longshore.pages.scales import Axis
from longshore.pages.wording import count_text, share_text, value_text
from longshore.trainer.evaluate import mean_interval
from longshore.trainer.pages import maps
from longshore.trainer.pages.contents import Picture, Section, Table, interval_text
from longshore.trainer.pages.pictures import Plot, along, dots, histogram, reach, short_name
from longshore.trainer.rows import LabelledRows
from longshore.trainer.segments import Segments, segments
from longshore.trainer.split import group_codes

POINTS = 3_000
LARGEST = 10
WORST = 12
"""Segments in the report's table, the worst first."""


@dataclass(frozen=True, slots=True)
class Judged:
    """n test rows, and the served predictions for them, float64[n], all finite."""

    rows: LabelledRows
    prediction: Floats

    @property
    def error(self) -> Floats:
        """Prediction minus truth."""
        return self.prediction - self.rows.target

    @property
    def rmse(self) -> float:
        """Of all rows."""
        return float(np.sqrt(np.mean(self.error**2)))


@dataclass(frozen=True, slots=True)
class SegmentError:
    """A segment's RMSE and mean error, each with its 95 % interval."""

    name: str
    rows: int
    rmse: float
    rmse_interval: tuple[float, float]
    bias: float
    bias_interval: tuple[float, float]

    @property
    def one_sided(self) -> bool:
        """Whether its predictions are too high, or too low, on average, beyond chance."""
        low, high = self.bias_interval
        return low > 0 or high < 0


def by_segment(judged: Judged) -> tuple[list[SegmentError], Segments]:
    """Every segment with enough rows, the worst first; and what was left out."""
    parts, groups = segments(judged.rows), group_codes(judged.rows.columns.keys)
    found = []
    for part in parts.tested:
        error = judged.error[part.rows]
        low, high = mean_interval(error**2, groups[part.rows])
        root = (float(np.sqrt(max(low, 0.0))), float(np.sqrt(high)))
        bias = mean_interval(error, groups[part.rows])
        rmse = float(np.sqrt(np.mean(error**2)))
        found.append(SegmentError(part.name, len(part.rows), rmse, root, float(error.mean()), bias))
    return sorted(found, key=lambda each: -each.rmse), parts


def spread_texts(judged: Judged) -> list[str]:
    """How errors are distributed, in words."""
    half, most = (value_text(float(each)) for each in np.quantile(np.abs(judged.error), [0.5, 0.9]))
    told = [f"Half of the predictions are within {half} of the truth, nine in ten within {most}."]
    low, high = mean_interval(judged.error, group_codes(judged.rows.columns.keys))
    if low > 0 or high < 0:
        way = "high" if low > 0 else "low"
        told.append(f"On average they are too {way} by {value_text(abs(float(judged.error.mean())))}.")
    return told


def worst_section(judged: Judged, found: list[SegmentError], parts: Segments) -> Section:
    """Segments with the largest errors, the largest errors, and where they are."""
    told = []
    if found:
        worst = found[0]
        told.append(
            f"Worst segment: {worst.name}, RMSE {value_text(worst.rmse)} on {count_text(worst.rows, 'test row')}, "
            f"{worst.rmse / judged.rmse if judged.rmse else 1:.2f} times that of all rows."
        )
    if parts.insufficient_count:
        told.append(
            f"{count_text(parts.insufficient_count, 'segment')} with too few test rows to judge: "
            + ", ".join(f"{name} ({rows})" for name, rows in list(parts.insufficient.items())[:6])
            + (" and others." if parts.insufficient_count > 6 else ".")
        )
    return Section("Where it is worst", told, [*_segment_table(judged, found[:WORST]), _largest(judged)], _maps(judged))


def _segment_table(judged: Judged, found: list[SegmentError]) -> list[Table]:
    if not found:
        return []
    rows = [
        (
            each.name,
            f"{each.rows:,}",
            value_text(each.rmse),
            interval_text(each.rmse_interval),
            f"{each.rmse / judged.rmse:.2f}" if judged.rmse else "–",
            f"{value_text(each.bias)}{' !' if each.one_sided else ''}",
            interval_text(each.bias_interval),
        )
        for each in found
    ]
    heads = ("segment", "test rows", "RMSE", "95 % interval", "of all rows'", "mean error", "95 % interval")
    caption = "Segments with the largest RMSE. Mean error: prediction minus truth, ! where it is beyond chance."
    return [Table(caption, heads, rows)]


def _largest(judged: Judged) -> Table:
    order = np.argsort(-np.abs(judged.error), kind="stable")[:LARGEST]
    columns, schema = judged.rows.columns, judged.rows.columns.schema
    shown = [field.name for field in schema.numeric]
    places = [shown.index(name) for name in schema.place or ()]
    rows = [
        (
            columns.keys[i],
            *(value_text(float(columns.numeric[i, place]), 5) for place in places),
            *(values[i] or "–" for values in columns.nominal[:2]),
            value_text(float(judged.rows.target[i])),
            value_text(float(judged.prediction[i])),
            value_text(float(judged.error[i])),
        )
        for i in order.tolist()
    ]
    heads = (
        schema.key,
        *(schema.place or ()),
        *(field.name for field in schema.nominal[:2]),
        "truth",
        "prediction",
        "error",
    )
    share = float(np.sum(judged.error[order] ** 2) / max(np.sum(judged.error**2), 1e-300))
    caption = f"The {len(rows)} largest errors: {share_text(share)} of all squared error."
    return Table(caption, heads, rows)


def result_pictures(judged: Judged) -> list[Picture]:
    """Predictions against truths, and how often which error comes."""
    name = judged.rows.columns.schema.target
    chosen = maps.sample(judged.rows.columns, POINTS)
    both = reach(np.concatenate([judged.rows.target, judged.prediction]))
    plot = Plot.of(both, both, 420, 400)
    x, y = along(plot.x, judged.rows.target[chosen]), along(plot.y, judged.prediction[chosen])
    ends = {"x1": plot.x.start, "y1": plot.y.start, "x2": plot.x.end, "y2": plot.y.end}
    exact = tag("line", tag("title", "where a prediction is exact"), class_="diagonal", **ends)
    title = f"{len(chosen):,} test rows: predictions against truths"
    cloud = plot.svg("dots square", title, *plot.grid(f"true {name}", "predicted"), *dots(x, y), exact)
    clipped = _ordinary(judged.error)
    drawn = histogram(clipped, "errors", width=420, height=250)
    beyond = len(judged.error) - len(clipped)
    heading = "Errors (prediction minus truth)" + (
        f", {count_text(beyond, 'row')} beyond the picture" if beyond else ""
    )
    return [Picture(f"Predicted against true, {len(chosen):,} test rows", cloud), Picture(heading, drawn)]


def _ordinary(error: Floats) -> Floats:
    """Without the furthest two in a thousand, which would press the others together."""
    limit = float(np.quantile(np.abs(error), 0.998))
    return error[np.abs(error) <= limit]


def _maps(judged: Judged) -> list[Picture]:
    place, schema = maps.place_of(judged.rows.columns), judged.rows.columns.schema
    if place is None or schema.place is None:
        return []
    chosen = maps.sample(judged.rows.columns, 2 * POINTS)
    x, y = (axis[chosen] for axis in place)
    drawn = maps.error_map(x, y, judged.error[chosen], judged.rmse, schema.place)
    return [Picture("Errors on the map", drawn, legend(maps.error_keys(judged.rmse)))]


def segment_picture(judged: Judged, found: list[SegmentError]) -> Picture | None:
    """The worst segments' RMSE with its interval beside that of all rows; None without segments."""
    shown = found[:WORST]
    if not shown:
        return None
    row, names, width = 24.0, 330.0, 630.0
    high = max([each.rmse_interval[1] for each in shown if np.isfinite(each.rmse_interval[1])], default=0.0)
    x = Axis(0, max(high, judged.rmse) * 1.04, names, width - 14)
    parts = []
    for at, each in enumerate(shown):
        y = 10 + at * row
        parts.append(svg_text(short_name(each.name, 53), names - 10, y + 4, "end", "ink"))
        low, up = (x.at(end) for end in each.rmse_interval)
        parts.append(tag("line", class_="whisker", x1=low, x2=up, y1=y, y2=y))
        told = f"{each.name}: {value_text(each.rmse)}, {interval_text(each.rmse_interval)}"
        parts.append(tag("circle", tag("title", told), class_="half", cx=x.at(each.rmse), cy=y, r=4.5))
    floor = len(shown) * row + 4
    whole = x.at(judged.rmse)
    parts.append(tag("line", tag("title", "all rows"), class_="diagonal", x1=whole, x2=whole, y1=0, y2=floor))
    parts.append(svg_text(f"all rows {value_text(judged.rmse)}", whole, floor + 14, "middle"))
    drawn = tag(
        "svg",
        tag("title", "RMSE by segment"),
        *parts,
        class_="map",
        viewBox=f"0 0 {width:g} {floor + 22:g}",
        role="img",
    )
    return Picture("RMSE by segment, with its 95 % interval", drawn)
