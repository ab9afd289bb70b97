"""Rows as points on a map: the target by colour, another column by size; or where a model errs, and which way."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from longshore.columns import Columns, Floats
from longshore.pages.markup import Markup
from longshore.pages.wording import value_text
from longshore.trainer.pages.pictures import Plot, along, dots, reach
from longshore.trainer.split import Indexes, positions

COLOURS = 7
SIZES = (2.0, 3.5, 5.5, 8.0, 11.0)
"""Diameters of points; a point's area goes by its value, up to the largest."""
LARGEST_QUANTILE = 0.99
PLAIN = 3.0
WIDTH = 640.0
TALLEST, LOWEST = 1.3, 0.5
"""Of a map's height over its width."""

Key = tuple[str, str]
"""A colour's class and what it stands for."""


def sample(columns: Columns, most: int) -> Indexes:
    """At most so many rows, in order: those whose ids hash lowest, so that the next set shows the same ones again."""
    if len(columns) <= most:
        return np.arange(len(columns), dtype=np.intp)
    place = positions(columns.record_ids, b"picture")
    return np.sort(np.argpartition(place, most)[:most])


def place_of(columns: Columns) -> tuple[Floats, Floats] | None:
    """East and north, where the schema has a place."""
    if columns.schema.place is None:
        return None
    names = [field.name for field in columns.schema.numeric]
    x, y = (columns.numeric[:, names.index(name)] for name in columns.schema.place)
    return x, y


def target_map(x: Floats, y: Floats, target: Floats, size: Floats | None, names: tuple[str, str]) -> Markup:
    """Points coloured by the target's sevenths; larger where `size` is."""
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & np.isfinite(target))
    x, y, target = x[known], y[known], target[known]
    colour = np.searchsorted(colour_edges(target), target, side="right")
    step = np.zeros(len(known), dtype=np.intp) if size is None else _size_steps(size[known])
    sizes = (PLAIN,) if size is None else SIZES
    plot = _plot(x, y)
    across, up = along(plot.x, x), along(plot.y, y)
    parts = []
    # Large points first: small ones stay visible on them.
    for at in reversed(range(len(sizes))):
        for each in range(COLOURS):
            inside = (colour == each) & (step == at)
            parts += dots(across[inside], up[inside], f"c{each}", sizes[at])
    title = f"map of {names[0]} and {names[1]}, {len(known):,} points coloured by the target"
    return plot.svg("map dots", title, *plot.grid(*names), *parts)


def colour_edges(target: Floats) -> Floats:
    """Where colours change: the target's sevenths, fewer where values coincide."""
    known = target[np.isfinite(target)]
    return np.unique(np.quantile(known, np.arange(1, COLOURS) / COLOURS)) if len(known) else np.empty(0)


def colour_keys(target: Floats) -> list[Key]:
    """What the colours stand for; one where the target does not vary."""
    edges = colour_edges(target)
    if len(edges) < 2:
        return [(f"c{len(edges)}", value_text(float(target[0])))] if len(target) and not len(edges) else _two(edges)
    texts = [value_text(float(edge)) for edge in edges]
    middle = [(f"c{at + 1}", f"to {text}") for at, text in enumerate(texts[1:])]
    return [("c0", f"below {texts[0]}"), *middle, (f"c{len(edges)}", f"from {texts[-1]}")]


def _two(edges: Floats) -> list[Key]:
    return (
        [(f"c{at}", f"{word} {value_text(float(edges[0]))}") for at, word in enumerate(("below", "from"))]
        if len(edges)
        else []
    )


def size_told(size: Floats) -> str:
    """What points' sizes stand for, in words; empty where there is nothing to tell."""
    known = size[np.isfinite(size) & (size > 0)]
    if not len(known):
        return ""
    largest = float(np.quantile(known, LARGEST_QUANTILE))
    levels = [largest * (one / SIZES[-1]) ** 2 for one in SIZES]
    return f"about {', '.join(value_text(each) for each in levels[:-1])} and from {value_text(largest)} on"


def error_map(x: Floats, y: Floats, error: Floats, scale: float, names: tuple[str, str]) -> Markup:
    """Points where predictions are too high or too low; `scale` is what counts as an ordinary error."""
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    x, y, error = x[known], y[known], error[known]
    plot = _plot(x, y)
    across, up = along(plot.x, x), along(plot.y, y)
    size = np.abs(error) / (scale or 1.0)
    parts = dots(across[size < 0.5], up[size < 0.5], "near", 2.2)
    for low, high, width, strong in ((0.5, 1.0, 3.0, ""), (1.0, 2.0, 5.0, ""), (2.0, math.inf, 8.0, " strong")):
        for kind, way in (("below", error < 0), ("above", error >= 0)):
            inside = way & (size >= low) & (size < high)
            parts += dots(across[inside], up[inside], kind + strong, width)
    title = f"map of {names[0]} and {names[1]}: where predictions are too high and where too low"
    return plot.svg("map dots", title, *plot.grid(*names), *parts)


def error_keys(scale: float) -> list[Key]:
    """What the error map's colours stand for."""
    return [
        ("above", "predicted too high"),
        ("below", "predicted too low"),
        ("near", f"within ±{value_text(scale / 2)}; points grow at {value_text(scale)} and {value_text(2 * scale)}"),
    ]


def _plot(x: Floats, y: Floats) -> Plot:
    xs, ys = reach(x), reach(y)
    across, up = (high / 2 - low / 2 for low, high in (xs, ys))
    ratio = min(max(up / max(across, 1e-12), LOWEST), TALLEST)
    return Plot.of(xs, ys, WIDTH, (WIDTH - 64) * ratio + 52)


def _size_steps(size: Floats) -> Indexes:
    known = size[np.isfinite(size) & (size > 0)]
    if not len(known):
        return np.zeros(len(size), dtype=np.intp)
    wanted = SIZES[-1] * np.sqrt(np.clip(np.nan_to_num(size), 0, None) / float(np.quantile(known, LARGEST_QUANTILE)))
    between = np.array([(a + b) / 2 for a, b in pairwise(SIZES)])
    return np.searchsorted(between, wanted).astype(np.intp)
