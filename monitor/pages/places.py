"""Where a drift is, or the error: the segments told of and, where two streams are a place, the cells of a map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from longshore.monitor.segments import SegmentMoved
from longshore.pages.markup import Markup, svg_text, tag
from longshore.pages.scales import Axis
from longshore.pages.wording import count_text, p_is, share_text, value_text
from longshore.profile import Profile, Segmentation

LEVEL = 0.05
"""An adjusted p-value at or below marks a segment as moved."""

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 420.0, 52.0, 10.0, 24.0, 40.0
TALLEST, LOWEST = 1.3, 0.6
"""Of a map's height over its width."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the map: its range, what is told of it, and how strongly it is marked, 0 (not) … 1."""

    west: float
    east: float
    south: float
    north: float
    told: str
    strength: float


@dataclass(frozen=True, slots=True)
class Map:
    """The cells of two streams that are a place. `marks`: what a marked cell did."""

    cells: list[Cell]
    axes: tuple[str, str]
    marks: str


@dataclass(frozen=True, slots=True)
class Places:
    """The segments that were told of, most moved first, and the map (None without a place)."""

    segments: list[SegmentMoved]
    map: Map | None = None


def places_of(segments: Sequence[SegmentMoved], profile: Profile | None) -> Places | None:
    """The segments with the map of the profile they are from; None where nothing is told."""
    if not segments:
        return None
    top: dict[tuple[str, str], SegmentMoved] = {}
    for segment in segments:
        top.setdefault((segment.segmentation, segment.segment), segment)
    highest = max((segment.js for segment in top.values() if segment.p_value <= LEVEL), default=0.0)

    def told(segmentation: str, label: str) -> tuple[str, float]:
        moved = top.get((segmentation, label))
        if moved is None:
            return "not among the segments that moved most", 0.0
        strong = moved.p_value <= LEVEL and highest > 0
        return segment_text(moved), moved.js / highest if strong else 0.0

    return Places(list(segments), map_of(profile, told, "moved"))


def map_of(profile: Profile | None, told: Callable[[str, str], tuple[str, float]], marks: str) -> Map | None:
    """The profile's map; `told` gives what is told of a segmentation's segment, and its strength, 0 … 1."""
    found = next((one for one in profile.segmentations if len(one.streams) == 2), None) if profile else None
    if profile is None or found is None or not (cells := _cells(found, profile, told)):
        return None
    return Map(cells, (found.streams[0], found.streams[1]), marks)


def segments_in(detail: dict[str, Any]) -> list[SegmentMoved]:
    """The segments an event's detail holds; none where it has none, or in another form."""
    try:
        return msgspec.convert(detail.get("segments", []), type=list[SegmentMoved])
    except msgspec.ValidationError:
        return []


def _cells(found: Segmentation, profile: Profile, told: Callable[[str, str], tuple[str, float]]) -> list[Cell]:
    edges = {stream.name: stream.edges for stream in profile.streams}
    x, y = (edges.get(name) for name in found.streams)
    if x is None or y is None or not len(x) or not len(y):
        return []
    labels = iter(found.labels)
    across = [float(x[0]), *found.across, float(x[-1])]
    cells = []
    for strip, ups in enumerate(found.ups):
        bounds = [float(y[0]), *ups, float(y[-1])]
        for at in range(len(ups) + 1):
            label = next(labels, "")
            text, strength = told(found.name, label)
            sides = across[strip], across[strip + 1], bounds[at], bounds[at + 1]
            cells.append(Cell(*sides, f"{label}: {text}", strength))
    return cells


def drawn(map_: Map) -> Markup:
    """The map: cells of equal numbers of reference rows, darker where they are marked more strongly."""
    cells = map_.cells
    west, east = min(c.west for c in cells), max(c.east for c in cells)
    south, north = min(c.south for c in cells), max(c.north for c in cells)
    ratio = min(max((north - south) / max(east - west, 1e-12), LOWEST), TALLEST)
    height = (WIDTH - LEFT - RIGHT) * ratio + TOP + BOTTOM
    x, y = Axis(west, east, LEFT, WIDTH - RIGHT), Axis(south, north, height - BOTTOM, TOP)
    marked = sum(cell.strength > 0 for cell in cells)
    parts = [tag("title", f"map of {map_.axes[0]} and {map_.axes[1]}: {marked} of {len(cells)} cells {map_.marks}")]
    for cell in cells:
        strength = 0.25 + 0.75 * cell.strength if cell.strength else 0.35
        size = {
            "width": max(x.at(cell.east) - x.at(cell.west), 1),
            "height": max(y.at(cell.south) - y.at(cell.north), 1),
        }
        kind = "cell moved" if cell.strength else "cell"
        place = {"x": x.at(cell.west), "y": y.at(cell.north)}
        parts.append(tag("rect", tag("title", cell.told), class_=kind, fill_opacity=strength, **place, **size))
    floor = height - BOTTOM
    for value in (west, east):
        parts.append(svg_text(value_text(value, 4), x.at(value), floor + 15, "start" if value == west else "end"))
    for value in (south, north):
        parts.append(svg_text(value_text(value, 4), LEFT - 6, y.at(value) + (4 if value == south else 10), "end"))
    parts.append(svg_text(map_.axes[0], (LEFT + WIDTH - RIGHT) / 2, floor + 32, "middle"))
    parts.append(svg_text(map_.axes[1], LEFT, TOP - 8, "start"))
    return tag("svg", *parts, class_="map", viewBox=f"0 0 {WIDTH:g} {height:.0f}", role="img")


def segment_text(segment: SegmentMoved) -> str:
    """What moved in a segment, in words."""
    rows = (
        f"{count_text(segment.rows, 'row')}, {share_text(segment.share)} ({share_text(segment.reference_share)} then)"
    )
    return f"{segment.stream}, {p_is(segment.p_value)}, JS {value_text(segment.js)}; {rows}"
