"""From joined labels to integer deltas: how far predictions were off, by pane, segment and bin. Pure.

Only integers leave here, so that batches, members and orders add up to the same. What the sums mean is
`longshore.monitor.performance`'s matter, what they prove `longshore.monitor.loss_test`'s.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longshore.error_profile import SEGMENT_TOTALS, TOTALS
from longshore.monitor.class_figures import class_counts
from longshore.monitor.groups import ERRORS, Grouped, Scheme, group_totals, row_totals
from longshore.monitor.label_bins import count_labels, labels_together
from longshore.monitor.messages import ErrorDelta, pack_counts, pack_small, unpack_counts, unpack_small
from longshore.monitor.models import PREDICTION, Watched
from longshore.monitor.scored import ScoredColumns
from longshore.monitor.segments import places
from longshore.profile import Floats, Ints, Profile
from longshore.schema import Schema

RESOLUTION = 10
"""Fixed point resolves the spread to 1/2¹⁰: a mean square is off by less than a ten-millionth of the variance."""

LIMIT = 2**24
"""Fixed-point values are clipped here, some 16,000 spreads away: the squares of `CHUNK` of them add up in an int64."""

CHUNK = 16_384

FOURTH_SHIFT, FOURTH_LIMIT = 10, 2**23
"""A fourth power is the square of round(error² / 2¹⁰), clipped to 2²³: beyond some 90 spreads it grows no more."""

MOST = 2**62
"""Sums end here. min(a + b, MOST) of what is not negative is the same in any order, too."""


@dataclass(frozen=True, slots=True)
class Scales:
    """Fixed point: errors are round(e · error), labels round((y − centre) · label), both clipped to ±`LIMIT`."""

    error: float
    label: float
    centre: float


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """n predictions of one version and route with their labels.

    Attributes:
        version: the model version.
        route: the route.
        panes: int64[n], of the prediction's event time.
        predictions: float64[n].
        labels: float64[n]; a row whose label or prediction is not finite is not counted.
        low: float64[n], lower end of the published interval, NaN where none was published.
        high: float64[n], its upper end.
        segments: int64[n, segmentations], see `segments_of`.

    """

    version: str
    route: str
    panes: Ints
    predictions: Floats
    labels: Floats
    low: Floats
    high: Floats
    segments: Ints


def segments_of(watched: Watched, schema: Schema, columns: ScoredColumns, rows: Ints) -> Ints:
    """Each row's place among all of the profile's segments, int64[n, segmentations]; −1 where it is in none.

    `rows` are positions in `columns`. A joiner keeps this beside each prediction, as it does not keep the features.
    """
    numeric = {field.name: i for i, field in enumerate(schema.numeric)}
    nominal = {field.name: i for i, field in enumerate(schema.nominal)}
    wanted = {name for one in watched.profile.segmentations for name in one.streams}
    values: dict[str, Any] = {}
    for name in sorted(wanted):
        if name in nominal:
            texts = columns.texts[nominal[name]]
            values[name] = [texts[row] for row in rows.tolist()]
        elif name in numeric:
            values[name] = columns.values[numeric[name]].take(rows)
    return places(watched.profile, values, len(rows))


def scales_of(profile: Profile) -> Scales:
    """The profile's own, or, where it has no errors, by the spread of its predictions."""
    if (errors := profile.errors) is not None:
        return Scales(errors.scale, errors.label_scale, errors.label_centre)
    of_prediction = next((stream for stream in profile.streams if stream.name == PREDICTION), None)
    if of_prediction is None:
        return Scales(1.0, 1.0, 0.0)
    scale = scale_for(of_prediction.std)
    return Scales(scale, scale, of_prediction.mean)


def scale_for(spread: float) -> float:
    """The power of two that resolves a spread to 2^−`RESOLUTION` of it."""
    if not (np.isfinite(spread) and spread > 0):
        return 2.0**RESOLUTION
    return float(2.0 ** np.clip(np.floor(RESOLUTION - np.log2(spread)), -1_000, 1_000))


def fixed(values: Floats, scale: float) -> Ints:
    """Round(value · scale), int64[n], clipped to ±`LIMIT`."""
    return np.rint(np.clip(values * scale, -LIMIT, LIMIT)).astype(np.int64)


def count_errors(
    watched: Watched, joined: Joined, scheme: Scheme | None = None, grouped: Grouped | None = None
) -> list[ErrorDelta]:
    """What the rows add to their panes, panes in order; exact, and the same however the rows are divided.

    With their groups by a scheme, sums by group as well.
    """
    good = np.isfinite(joined.predictions) & np.isfinite(joined.labels)
    rows = np.flatnonzero(good)
    rows = rows[np.argsort(joined.panes[rows], kind="stable")]
    groups = len(scheme.groups(watched.profile)) if scheme is not None else 0
    pieces = [_count(watched, joined, rows[at : at + CHUNK], groups, grouped) for at in range(0, len(rows), CHUNK)]
    return merge(delta for piece in pieces for delta in piece)


def _count(watched: Watched, joined: Joined, rows: Ints, groups: int, grouped: Grouped | None) -> list[ErrorDelta]:
    """At most `CHUNK` rows in order of their panes."""
    profile = watched.profile
    panes, at, each = np.unique(joined.panes[rows], return_index=True, return_inverse=True)
    totals, errors = _totals(scales_of(profile), joined.predictions[rows], joined.labels[rows])
    by_pane = np.add.reduceat(totals, at, axis=0)
    low, high, labels = joined.low[rows], joined.high[rows], joined.labels[rows]
    published = np.isfinite(low) & np.isfinite(high)
    covered = published & (low <= labels) & (labels <= high)
    intervals = np.add.reduceat(np.column_stack([covered, published]).astype(np.int64), at, axis=0)
    bins = error_bins(profile, joined.predictions[rows] - joined.labels[rows], each, len(panes))
    segments = segment_totals(profile, joined.segments[rows], errors, each, len(panes))
    two = profile.errors is not None and len(profile.errors.classes) > 0
    classes = class_counts(joined.predictions[rows], labels, each, len(panes)) if two else None
    of_labels = count_labels(profile.target, labels, each, len(panes))
    by_group = None
    if grouped is not None:
        of_rows = Grouped(grouped.grouping, grouped.places[rows])
        both = (joined.predictions[rows], labels) if two else None
        by_group = group_totals(of_rows, groups, row_totals(totals[:, :ERRORS], both), each, len(panes))
    found = []
    for i, pane in enumerate(panes.tolist()):
        key = (pane, joined.version, joined.route, watched.name)
        packed = (
            "" if bins is None else pack_small(bins[i]),
            "" if segments is None else pack_counts(segments[i].ravel()),
            "" if classes is None else pack_small(classes[i]),
            of_labels[i],
            "" if by_group is None else pack_counts(by_group[i].ravel()),
            "" if grouped is None else grouped.grouping,
        )
        found.append(_delta(key, [*by_pane[i].tolist(), *intervals[i].tolist()], packed))
    return found


def _delta(key: tuple[int, str, str, str], values: Sequence[int], packed: Sequence[str]) -> ErrorDelta:
    """A delta of its pane, version, route and layout, its `numbers`, and its packed bins, segments, …, groups."""
    n, error, absolute, squared, fourth, label, label_squared, covered, intervals = values
    sums = (n, error, absolute, squared, fourth, label, label_squared, covered, intervals)
    return ErrorDelta(*key, *sums, *packed)


def _totals(scales: Scales, predictions: Floats, labels: Floats) -> tuple[Ints, Ints]:
    """Int64[n, TOTALS] to add up, and the errors, int64[n]."""
    errors, y = fixed(predictions - labels, scales.error), fixed(labels - scales.centre, scales.label)
    squares = errors * errors
    fourth = np.minimum((squares + 2 ** (FOURTH_SHIFT - 1)) >> FOURTH_SHIFT, FOURTH_LIMIT) ** 2
    totals = np.empty((len(errors), TOTALS), dtype=np.int64)
    for column, values in enumerate((1, errors, np.abs(errors), squares, fourth, y, y * y)):
        totals[:, column] = values
    return totals, errors


def error_bins(profile: Profile, errors: Floats, each: Ints, panes: int) -> Ints | None:
    """Counts by pane and signed-error bin, int64[panes, e+1]; None for a profile without."""
    if profile.errors is None:
        return None
    size = len(profile.errors.counts)
    bins = np.searchsorted(profile.errors.edges, errors, side="left")
    return np.bincount(each * size + bins, minlength=panes * size).reshape(panes, size)


def segment_totals(profile: Profile, segments: Ints, errors: Ints, each: Ints, panes: int) -> Ints | None:
    """By pane and segment rows, Σe, Σ|e| and Σe², int64[panes, S, 4]; None for a profile without segments."""
    size = sum(len(one.labels) for one in profile.segmentations)
    if not size or segments.shape[1] != len(profile.segmentations):
        return None
    totals = np.zeros((panes * size, SEGMENT_TOTALS), dtype=np.int64)
    rows = np.column_stack([np.ones_like(errors), errors, np.abs(errors), errors * errors])
    for k in range(segments.shape[1]):
        inside = segments[:, k] >= 0
        np.add.at(totals, each[inside] * size + segments[inside, k], rows[inside])
    return totals.reshape(panes, size, SEGMENT_TOTALS)


def held_out_totals(profile: Profile, predictions: Floats, labels: Floats, segments: Ints) -> tuple[Ints, Ints]:
    """The same sums of a profile's held-out rows, int64[TOTALS] and int64[S, 4], by its own scales."""
    totals = np.zeros(TOTALS, dtype=np.int64)
    size = sum(len(one.labels) for one in profile.segmentations)
    by_segment = np.zeros((size, SEGMENT_TOTALS), dtype=np.int64)
    for at in range(0, len(labels), CHUNK):
        part = slice(at, at + CHUNK)
        rows, errors = _totals(scales_of(profile), predictions[part], labels[part])
        totals = np.minimum(totals + rows.sum(axis=0), MOST)
        of_part = segment_totals(profile, segments[part], errors, np.zeros(len(errors), np.int64), 1)
        if of_part is not None:
            by_segment = np.minimum(by_segment + of_part[0], MOST)
    return totals, by_segment


def merge(deltas: Iterable[ErrorDelta]) -> list[ErrorDelta]:
    """One delta for each pane, version and route, in that order: what a joiner holds between two commits."""
    found: dict[tuple[int, str, str, str], ErrorDelta] = {}
    for delta in deltas:
        key = (delta.pane, delta.version, delta.route, delta.layout)
        found[key] = together(found[key], delta) if key in found else delta
    return [found[key] for key in sorted(found)]


def together(one: ErrorDelta, other: ErrorDelta) -> ErrorDelta:
    """The sum of two deltas of one pane, version and route; of the packed parts, those that both have."""
    summed = (min(a + b, MOST) for a, b in zip(numbers(one), numbers(other), strict=True))
    bins = [unpack_small(delta.bins) for delta in (one, other)]
    segments = [unpack_counts(delta.segments) if delta.segments else np.zeros(0, np.int64) for delta in (one, other)]
    classes = [unpack_small(delta.classes) for delta in (one, other)]
    added = _added(segments)
    labels = labels_together(one.labels, other.labels)
    packed = (
        pack_small(_added(bins)), pack_counts(added) if len(added) else "", pack_small(_added(classes)), labels,
        *_groups_together(one, other),
    )  # fmt: skip
    return _delta((one.pane, one.version, one.route, one.layout), list(summed), packed)


def _groups_together(one: ErrorDelta, other: ErrorDelta) -> tuple[str, str]:
    """The sums by group, and how groups are defined; empty where the two do not agree on that."""
    if one.grouping != other.grouping or not one.groups or not other.groups:
        return "", ""
    added = _added([unpack_counts(one.groups), unpack_counts(other.groups)])
    return (pack_counts(added), one.grouping) if len(added) else ("", "")


def numbers(delta: ErrorDelta) -> tuple[int, ...]:
    """A delta's nine integers, in the order of its fields."""
    return (
        delta.n, delta.error, delta.absolute, delta.squared, delta.fourth, delta.label, delta.label_squared,
        delta.covered, delta.intervals,
    )  # fmt: skip


def _added(arrays: list[Ints]) -> Ints:
    if len({len(array) for array in arrays}) > 1:
        return np.zeros(0, np.int64)
    return np.minimum(functools.reduce(np.add, arrays), MOST)
