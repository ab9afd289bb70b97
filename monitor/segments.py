"""Where a drift is: the same streams within segments of the rows, categories of nominal streams and cells of a map.

Segments are chosen on the reference and frozen with it. For each, the deciles' counts of every stream are kept; a
window's are compared with them segment by segment. Pure; which rows are whose is decided here, too. Counting them in a
stream is `longshore.monitor.counts`'s work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from longshore.errors import DataError
from longshore.monitor.binning import bin_column
from longshore.monitor.frames import Column
from longshore.monitor.layout import side_by_side
from longshore.monitor.significance import jensen_shannon_by_stream
from longshore.profile import Floats, Ints, Profile, Segmentation
from longshore.schema import Kind

MOST_CATEGORIES = 16
"""Segments of one nominal stream, its most frequent categories; the rest are no segment."""

MOST_SEGMENTS = 64
"""Of all segmentations together: streams in their order, as long as there is room."""

CELLS = 4
"""A map's strips from west to east, and each strip's cells from south to north: equal numbers of reference rows."""

LEAST_ROWS = 25
"""A segment with fewer rows on either side is not judged."""

SHOWN = 20
"""So many of the segments' streams are reported, most moved first."""


@dataclass(frozen=True, slots=True)
class SegmentMoved:
    """One stream in one segment, against the same segment of the reference.

    Attributes:
        segmentation: the nominal stream's name, or "map".
        segment: the category, or the cell's ranges.
        stream: the stream that moved there.
        rows: the window's rows in the segment.
        share: their share of the window; `reference_share`: the segment's share of the reference.
        p_value: of the shares test, adjusted (Bonferroni) for all streams of all segments.
        js: Jensen-Shannon distance of the deciles within the segment.

    """

    segmentation: str
    segment: str
    stream: str
    rows: int
    share: float
    reference_share: float
    p_value: float
    js: float


def reference_segments(
    profile: Profile, columns: Sequence[Column], place: tuple[str, str] | None
) -> tuple[Segmentation, ...]:
    """The segments of a reference, with its counts.

    Raises:
        DataError: `place` names what is not a numeric column.

    """
    values = {column.name: column.values for column in columns}
    chosen = []
    if place is not None:
        if isinstance(place, str) or len(set(place)) != 2 or len(place) != 2:
            raise DataError(f"place is {place!r}", mend="name two columns, east and north")
        for name in place:
            if not any(column.name == name and column.kind is Kind.NUMERIC for column in columns):
                raise DataError(f"place names {name!r}, which is not a numeric column", mend="name two numeric columns")
        chosen.append(by_place(*place, *(values[name] for name in place)))
    room = MOST_SEGMENTS - sum(len(one.labels) for one in chosen)
    for column in (column for column in columns if column.kind is Kind.NOMINAL):
        segmentation = by_category(column.name, column.values.tolist())
        if 2 <= len(segmentation.labels) <= room:
            chosen.append(segmentation)
            room -= len(segmentation.labels)
    bins = [bin_column(stream, values[stream.name]) for stream in profile.streams]
    counts = _counted(profile, chosen, columns, bins)
    return tuple(replace(one, counts=of_one) for one, of_one in zip(chosen, counts, strict=True))


def window_segments(profile: Profile, columns: Sequence[Column], bins: Sequence[Ints]) -> list[SegmentMoved]:
    """What moved in which segment of a window, given its columns and their fine bins; the first `SHOWN`."""
    windows = _counted(profile, profile.segmentations, columns, bins)
    return judge_segments(profile, np.concatenate(windows), len(bins[0])) if windows else []


def counted_segments(profile: Profile, counts: Ints, rows: int) -> list[SegmentMoved]:
    """The same of a window's counts as panes hold them, int64[S·C]; nothing where they were not counted."""
    segments, deciles = shape(profile)
    if not segments or len(counts) != segments * deciles:
        return []
    return judge_segments(profile, counts.reshape(segments, deciles), rows)


def _counted(
    profile: Profile, segmentations: Sequence[Segmentation], columns: Sequence[Column], bins: Sequence[Ints]
) -> list[Ints]:
    """Each segmentation's deciles' counts of some rows, given their columns and fine bins by stream."""
    values = {column.name: column.values for column in columns}
    cells, total = side_by_side([stream.coarse for stream in profile.streams], bins), int(_deciles(profile).sum())
    return [count(members(one, values), len(one.labels), cells, total) for one in segmentations]


def shape(profile: Profile) -> tuple[int, int]:
    """S, segments of all segmentations together, and C, decile bins of all streams side by side."""
    return sum(len(one.labels) for one in profile.segmentations), int(_deciles(profile).sum())


def _deciles(profile: Profile) -> Ints:
    """How many decile bins each stream has, int64[streams]."""
    return np.array([int(stream.coarse[-1]) + 1 for stream in profile.streams])


def by_category(name: str, values: Sequence[str | None]) -> Segmentation:
    """The most frequent categories of a nominal stream; counts are still zero."""
    counts = Counter(sorted(value for value in values if value is not None))
    chosen = [label for label, _ in counts.most_common(MOST_CATEGORIES)]
    return Segmentation(name, (name,), tuple(chosen), (), (), np.zeros((0, 0), np.int64))


def by_place(x_name: str, y_name: str, x: Floats, y: Floats) -> Segmentation:
    """Strips of equal numbers of rows from west to east, each cut into cells of equal numbers from south to north."""
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    parts = np.arange(1, CELLS) / CELLS
    across = np.unique(np.quantile(x, parts)) if len(x) else np.zeros(0)
    strips = np.searchsorted(across, x, side="left")
    ups = [np.unique(np.quantile(y[strips == i], parts)) if (strips == i).any() else np.zeros(0)
           for i in range(len(across) + 1)]  # fmt: skip
    labels = []
    for i, up in enumerate(ups):
        west = _range(x_name, across, i)
        labels += [f"{west}, {_range(y_name, up, j)}" for j in range(len(up) + 1)]
    return Segmentation(
        "map", (x_name, y_name), tuple(labels), tuple(map(float, across)), tuple(tuple(map(float, up)) for up in ups),
        np.zeros((0, 0), np.int64),
    )  # fmt: skip


def _range(name: str, edges: Floats, i: int) -> str:
    low = f"{edges[i - 1]:.6g} < " if i else ""
    high = f" ≤ {edges[i]:.6g}" if i < len(edges) else ""
    return f"{low}{name}{high}"


def members(segmentation: Segmentation, values: Mapping[str, Any]) -> Ints:
    """Each row's segment, int64[n], −1 for none, given the columns by name (float64[n], or strings with None)."""
    if len(segmentation.streams) == 1:
        known: dict[Any, int] = {label: i for i, label in enumerate(segmentation.labels)}
        return np.array([known.get(value, -1) for value in values[segmentation.streams[0]]], dtype=np.int64)
    x, y = (np.asarray(values[name], dtype=np.float64) for name in segmentation.streams)
    strip = np.searchsorted(np.asarray(segmentation.across), x, side="left")
    found = np.full(len(x), -1, dtype=np.int64)
    first = 0
    for i, up in enumerate(segmentation.ups):
        inside = strip == i
        found[inside] = first + np.searchsorted(np.asarray(up), y[inside], side="left")
        first += len(up) + 1
    found[~(np.isfinite(x) & np.isfinite(y))] = -1
    return found


def places(profile: Profile, values: Mapping[str, Any], rows: int) -> Ints:
    """Each row's place among all segments, int64[rows, segmentations], −1 for none; `values` as for `members`.

    A segmentation of a stream that `values` lacks has no members.
    """
    found = np.full((rows, len(profile.segmentations)), -1, dtype=np.int64)
    at = 0
    for k, one in enumerate(profile.segmentations):
        if all(name in values for name in one.streams):
            inside = members(one, values)
            found[:, k] = np.where(inside >= 0, at + inside, -1)
        at += len(one.labels)
    return found


def count(rows_in: Ints, segments: int, cells: Ints, total: int) -> Ints:
    """Deciles' counts by segment, int64[segments, total]: `cells` int64[n, streams] are the rows' flat decile bins."""
    inside = rows_in >= 0
    flat = rows_in[inside][:, None] * total + cells[inside]
    return np.bincount(flat.ravel(), minlength=segments * total).reshape(segments, total)


def judge_segments(profile: Profile, counts: Ints, rows: int) -> list[SegmentMoved]:
    """The streams in segments with rows enough, most moved first; the first `SHOWN`.

    `counts` are int64[S, C] (`shape`), of a window of `rows`. A stream that makes the segments is not judged within
    its own.
    """
    sizes = _deciles(profile)
    starts = np.r_[0, np.cumsum(sizes)[:-1]]
    reference = np.concatenate([one.counts for one in profile.segmentations])
    m, n = (side[:, : sizes[0]].sum(axis=1) for side in (reference, counts))
    names = [stream.name for stream in profile.streams]
    segments = [(one, label) for one in profile.segmentations for label in one.labels]
    judged = np.array([[name not in one.streams for name in names] for one, _ in segments])
    judged &= (np.minimum(m, n) >= LEAST_ROWS)[:, None]
    p_values = np.where(judged, likelihood_ratio_p(reference, counts, starts), 1.0)
    js = jensen_shannon_by_stream(reference, counts, sizes)
    family = int(judged.sum())
    ranked = np.lexsort((-js.ravel(), p_values.ravel(), ~judged.ravel()))[: min(SHOWN, family)]
    found = []
    for i, k in zip(*np.unravel_index(ranked, judged.shape), strict=True):
        one, label = segments[i]
        found.append(
            SegmentMoved(
                segmentation=one.name,
                segment=label,
                stream=names[k],
                rows=int(n[i]),
                share=int(n[i]) / rows,
                reference_share=int(m[i]) / profile.rows,
                p_value=min(1.0, float(p_values[i, k]) * family),
                js=float(js[i, k]),
            )
        )
    return found


def likelihood_ratio_p(reference: Ints, current: Ints, starts: Ints) -> Floats:
    """The p-values of G = 2ΣO·ln(O/E) of two rows of counts, with Williams' (1976) correction for few rows.

    Both are int64[…, C], the streams' bins side by side from `starts` on; gives float64[…, streams]. Bins that are
    empty on both sides are left out.
    """
    p, q = reference.astype(np.float64), current.astype(np.float64)
    m, n = np.add.reduceat(p, starts, axis=-1), np.add.reduceat(q, starts, axis=-1)
    bins, total = p + q, m + n
    of_cells = np.add.reduceat(special.xlogy(p, p) + special.xlogy(q, q) - special.xlogy(bins, bins), starts, axis=-1)
    of_sides = special.xlogy(m, m) + special.xlogy(n, n) - special.xlogy(total, total)
    df = np.add.reduceat(bins > 0, starts, axis=-1, dtype=np.int64) - 1
    judged = (df > 0) & (m > 0) & (n > 0)
    m, n, df = np.where(judged, m, 1.0), np.where(judged, n, 1.0), np.where(judged, df, 1)
    by_bin = np.add.reduceat(np.divide(1.0, bins, out=np.zeros_like(bins), where=bins > 0), starts, axis=-1)
    correction = 1.0 + (total / m + total / n - 1.0) * (total * by_bin - 1.0) / (6.0 * np.maximum(total, 1.0) * df)
    statistic = np.maximum(0.0, 2.0 * (of_cells - of_sides)) / np.where(judged, correction, 1.0)
    return np.where(judged, special.chdtrc(df, statistic), 1.0)
