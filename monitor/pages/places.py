"""Where a drift is: the segments that moved, as rows of a table and, where two streams are a place, on a map."""

from __future__ import annotations

from collections.abc import Sequence
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
    """A cell of the map: its range, and what moved most in it (None where nothing is told)."""

    label: str
    west: float
    east: float
    south: float
    north: float
    moved: SegmentMoved | None


@dataclass(frozen=True, slots=True)
class Places:
    """The segments that were told of, most moved first, and the map's cells (none without a place)."""

    segments: list[SegmentMoved]
    cells: list[Cell]
    axes: tuple[str, str] = ("", "")


def places_of(segments: Sequence[SegmentMoved], profile: Profile | None) -> Places | None:
    """The segments with the map of the profile they are from; None where nothing is told."""
    if not segments:
        return None
    found = next((one for one in profile.segmentations if len(one.streams) == 2), None) if profile else None
    if profile is None or found is None:
        return Places(list(segments), [])
    return Places(list(segments), _cells(found, profile, segments), (found.streams[0], found.streams[1]))


def segments_in(detail: dict[str, Any]) -> list[SegmentMoved]:
    """The segments an event's detail holds; none where it has none, or in another form."""
    try:
        return msgspec.convert(detail.get("segments", []), type=list[SegmentMoved])
    except msgspec.ValidationError:
        return []


def _cells(found: Segmentation, profile: Profile, segments: Sequence[SegmentMoved]) -> list[Cell]:
    edges = {stream.name: stream.edges for stream in profile.streams}
    x, y = (edges.get(name) for name in found.streams)
    if x is None or y is None or not len(x) or not len(y):
        return []
    top: dict[str, SegmentMoved] = {}
    for segment in segments:
        if segment.segmentation == found.name:
            top.setdefault(segment.segment, segment)
    labels = iter(found.labels)
    across = [float(x[0]), *found.across, float(x[-1])]
    cells = []
    for strip, ups in enumerate(found.ups):
        bounds = [float(y[0]), *ups, float(y[-1])]
        for at in range(len(ups) + 1):
            label = next(labels, "")
            cells.append(Cell(label, across[strip], across[strip + 1], bounds[at], bounds[at + 1], top.get(label)))
    return cells


def drawn(places: Places) -> Markup:
    """The map: cells of equal numbers of reference rows, darker where more moved."""
    cells = places.cells
    west, east = min(c.west for c in cells), max(c.east for c in cells)
    south, north = min(c.south for c in cells), max(c.north for c in cells)
    ratio = min(max((north - south) / max(east - west, 1e-12), LOWEST), TALLEST)
    height = (WIDTH - LEFT - RIGHT) * ratio + TOP + BOTTOM
    x, y = Axis(west, east, LEFT, WIDTH - RIGHT), Axis(south, north, height - BOTTOM, TOP)
    highest = max((c.moved.js for c in cells if c.moved and _moved(c)), default=0.0)
    moved = sum(_moved(cell) for cell in cells)
    parts = [tag("title", f"map of {places.axes[0]} and {places.axes[1]}: {moved} of {len(cells)} cells moved")]
    for cell in cells:
        strength = 0.25 + 0.75 * cell.moved.js / highest if cell.moved and _moved(cell) and highest else 0.35
        size = {
            "width": max(x.at(cell.east) - x.at(cell.west), 1),
            "height": max(y.at(cell.south) - y.at(cell.north), 1),
        }
        kind = "cell moved" if _moved(cell) else "cell"
        place = {"x": x.at(cell.west), "y": y.at(cell.north)}
        parts.append(tag("rect", tag("title", _told(cell)), class_=kind, fill_opacity=strength, **place, **size))
    floor = height - BOTTOM
    for value in (west, east):
        parts.append(svg_text(value_text(value, 4), x.at(value), floor + 15, "start" if value == west else "end"))
    for value in (south, north):
        parts.append(svg_text(value_text(value, 4), LEFT - 6, y.at(value) + (4 if value == south else 10), "end"))
    parts.append(svg_text(places.axes[0], (LEFT + WIDTH - RIGHT) / 2, floor + 32, "middle"))
    parts.append(svg_text(places.axes[1], LEFT, TOP - 8, "start"))
    return tag("svg", *parts, class_="map", viewBox=f"0 0 {WIDTH:g} {height:.0f}", role="img")


def _moved(cell: Cell) -> bool:
    return cell.moved is not None and cell.moved.p_value <= LEVEL


def _told(cell: Cell) -> str:
    if cell.moved is None:
        return f"{cell.label}: not among the segments that moved most"
    return f"{cell.label}: {segment_text(cell.moved)}"


def segment_text(segment: SegmentMoved) -> str:
    """What moved in a segment, in words."""
    rows = (
        f"{count_text(segment.rows, 'row')}, {share_text(segment.share)} ({share_text(segment.reference_share)} then)"
    )
    return f"{segment.stream}, {p_is(segment.p_value)}, JS {value_text(segment.js)}; {rows}"
