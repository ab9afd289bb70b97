"""Values to bins: which edges a reference gets, and which bin a value falls in.

Edges are chosen on dense codes (0…u−1 in order of value), so that the simulation can choose them again for each of its
samples at the price of a count. Shapes of all streams together are `longshore.monitor.layout`'s work.

Three sets of edges nest in one another: deciles (the shares tests and PSI, KL, JS), twentieths (the rank test), and
fine ones (KS and Wasserstein from counts, docs/drift.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from longshore.monitor.frames import Column, usable
from longshore.profile import Floats, Ints, StreamProfile
from longshore.schema import Kind

FINE = 260
"""Fine reference quantiles of a numeric stream: 13 in each twentieth, so that coarser bins are sums of fine ones."""

KS_PARTS = 256
"""KS from counts differs from the samples' by at most one part in so many."""

RANKS = 20
"""Quantiles of the rank test: finer ones see nothing more, and cost the simulation thirteen times as much. What lies
beyond all that the reference held has a bin on either side: the outside test's."""

DECILES = 10

CATEGORIES = 256
"""The most categories with a bin of their own; rarer ones count as *unseen* on both sides."""

LEAST_OF_MANY = 10
"""Rows a category needs for a bin of its own where there are more of them than `CATEGORIES`: identifiers have none."""

SUM_LIMIT = 2.0**40
"""Fixed-point values are clipped here: 4,096 of them add up exactly in a float64, 2²² in an int64."""

SUM_CHUNK = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column as dense codes.

    Attributes:
        kind: numeric or nominal.
        codes: int64[n]; the value's rank among the distinct ones, or `len(levels)` where missing.
        levels: the distinct values, ascending: float64[u], or object[u] of strings.

    """

    kind: Kind
    codes: Ints
    levels: npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Bins chosen on codes.

    Attributes:
        edges: int64[e], ascending. Numeric: 2c for "up to level c", 2c−1 for "below level c". Nominal: the codes that
            have a bin.
        bins: int64[u+1], each code's bin; the last entry is missing's.
        coarse: int64[bins], the decile of each bin, missing last. Nominal: 0…bins−1.
        ranks: int64[bins], the twentieth of each bin (outside on either side, missing last). Nominal: 0…bins−1.

    """

    edges: Ints
    bins: Ints
    coarse: Ints
    ranks: Ints


def encode(column: Column) -> Coded:
    """The column's values as dense codes."""
    missing = column.missing()
    present = column.values[~missing]
    if column.kind is Kind.NOMINAL:
        inverse, levels = pd.factorize(present, sort=True)  # as objects: an array of str drops trailing NULs
    else:
        levels, inverse = np.unique(present, return_inverse=True)
    codes = np.full(len(column.values), len(levels), dtype=np.int64)
    codes[~missing] = inverse
    return Coded(column.kind, codes, levels)


def cut(kind: Kind, level_counts: Ints, *, fine: bool = True) -> Cut:
    """Choose bins from the counts of the levels (missing not among them); without the fine ones, those of the tests."""
    return _cut_numeric(level_counts, fine) if kind is Kind.NUMERIC else _cut_nominal(level_counts)


def _cut_numeric(level_counts: Ints, fine: bool) -> Cut:
    """Edges at the inverse of the empirical distribution, x with F(x) ≥ k/parts, in integer arithmetic.

    A level with the mass of a whole bin has an edge on either side, so that values beside it are never taken for it.
    Fine edges go on into the tails by halves of what is left there, down to the outermost rows; what lies beyond all
    that was seen has bins of its own.
    """
    levels = len(level_counts)
    cumulative = np.cumsum(level_counts)
    total = int(cumulative[-1]) if levels else 0
    if total == 0:
        return Cut(np.zeros(0, np.int64), np.r_[np.zeros(levels, np.int64), 1], np.arange(2), np.arange(2))
    held = np.flatnonzero(level_counts)
    coarse = _edges(level_counts, cumulative, DECILES)
    outermost = [2 * held[0] - 1, 2 * held[-1]]
    ranks = np.unique(np.concatenate([coarse, _edges(level_counts, cumulative, RANKS), outermost]))
    edges = _fine(level_counts, cumulative, ranks) if fine else ranks
    bins = np.cumsum(np.bincount(edges // 2 + 1, minlength=levels))[:levels]  # so many edges are below each level
    nested = [
        np.r_[np.searchsorted(outer, edges, side="left"), len(outer), len(outer) + 1] for outer in (coarse, ranks)
    ]
    return Cut(edges, np.r_[bins, len(edges) + 1], *nested)


def _fine(level_counts: Ints, cumulative: Ints, ranks: Ints) -> Ints:
    total = int(cumulative[-1])
    left = (total // FINE) >> np.arange(max(1, (total // FINE).bit_length()))
    tails = np.searchsorted(cumulative, np.r_[left, total - left], side="left")
    edges = np.unique(np.concatenate([ranks, _edges(level_counts, cumulative, FINE), 2 * tails]))
    return np.unique(np.concatenate([edges, _below_full(cumulative, edges)]))


def _below_full(cumulative: Ints, edges: Ints) -> Ints:
    """An edge below the top level of every bin that holds more than one of `KS_PARTS`: so near is KS from counts."""
    above = cumulative[np.clip(edges // 2, 0, None)] * (edges >= 0)
    full = np.diff(above, prepend=0) * KS_PARTS > cumulative[-1]
    return np.asarray(2 * (edges[full & (edges % 2 == 0)] // 2) - 1)


def _edges(level_counts: Ints, cumulative: Ints, parts: int) -> Ints:
    total = int(cumulative[-1])
    quantiles = np.searchsorted(cumulative * parts, np.arange(1, parts) * total, side="left")
    heavy = np.flatnonzero(level_counts * parts >= total)
    return np.unique(np.concatenate([2 * quantiles, 2 * heavy, 2 * heavy - 1]))


def _cut_nominal(level_counts: Ints) -> Cut:
    order = np.argsort(-level_counts, kind="stable")
    least = 1 if len(level_counts) <= CATEGORIES else LEAST_OF_MANY
    kept = order[: min(CATEGORIES, int(np.count_nonzero(level_counts >= least)))]
    bins = np.full(len(level_counts) + 1, len(kept), dtype=np.int64)
    bins[kept] = np.arange(len(kept))
    bins[-1] = len(kept) + 1
    return Cut(kept, bins, np.arange(len(kept) + 2), np.arange(len(kept) + 2))


def profile_stream(column: Column, coded: Coded) -> StreamProfile:
    """The stream's part of a reference profile."""
    counts = np.bincount(coded.codes, minlength=len(coded.levels) + 1)
    chosen = cut(coded.kind, counts[:-1])
    bins = chosen.bins[coded.codes]
    present = column.values[coded.codes < len(coded.levels)]
    numeric = column.kind is Kind.NUMERIC
    mean, std = (float(present.mean()), float(present.std())) if numeric and len(present) else (0.0, 0.0)
    if len(coded.levels) < 2:
        std = 0.0  # and not what rounding left
    scale = _scale(mean, std)
    size = len(chosen.coarse)
    return StreamProfile(
        name=column.name,
        kind=column.kind,
        edges=_edge_values(chosen.edges, coded.levels) if numeric else np.zeros(0),
        coarse=chosen.coarse.astype(np.int64),
        ranks=chosen.ranks.astype(np.int64),
        categories=() if numeric else tuple(str(coded.levels[code]) for code in chosen.edges),
        counts=np.bincount(bins, minlength=size).astype(np.int64),
        sums=fixed_sums(column.values, bins, size, scale) if numeric else np.zeros(size, np.int64),
        scale=scale,
        mean=mean,
        std=std,
    )


def _edge_values(edges: Ints, levels: Floats) -> Floats:
    at = np.asarray(levels[(edges + 1) // 2], dtype=np.float64) if len(edges) else np.zeros(0)
    return np.where(edges % 2 == 0, at, np.nextafter(at, -np.inf))


def _scale(mean: float, std: float) -> float:
    """A power of two that resolves a millionth of the stream's spread and keeps its level far below the limit."""
    spread = std or abs(mean) or 1.0
    finest = np.floor(np.log2(2.0**20 / spread))
    coarsest = np.floor(np.log2(2.0**36 / (abs(mean) + spread)))
    return float(2.0 ** np.clip(min(finest, coarsest), -1_000, 1_000))


def bin_numbers(stream: StreamProfile, values: Floats) -> Ints:
    """The fine bin of every value, int64[n]; NaN, infinities and what is beyond `frames.LARGEST` are *missing*."""
    bins = np.searchsorted(stream.edges, values, side="left")
    bins[~usable(values)] = len(stream.edges) + 1
    return np.asarray(bins, dtype=np.int64)


def bin_texts(stream: StreamProfile, values: Any) -> Ints:
    """The bin of every string, int64[n]; None is *missing*, what the reference has no bin for *unseen*."""
    known: dict[str | None, int] = {name: i for i, name in enumerate(stream.categories)}
    unseen = len(known)
    known[None] = unseen + 1
    return np.array([known.get(value, unseen) for value in values], dtype=np.int64)


def bin_column(stream: StreamProfile, values: Any) -> Ints:
    """The bin of every value of a column of the stream's kind."""
    return bin_numbers(stream, values) if stream.kind is Kind.NUMERIC else bin_texts(stream, values)


def count_columns(streams: Sequence[StreamProfile], columns: Sequence[Any]) -> tuple[list[Ints], Ints, Ints]:
    """Rows given by column: their fine bins by stream; and all streams' counts and fixed-point sums, int64[T] each."""
    bins = [bin_column(stream, values) for stream, values in zip(streams, columns, strict=True)]
    counts, sums = [], []
    for stream, values, of_stream in zip(streams, columns, bins, strict=True):
        size = len(stream.counts)
        counts.append(np.bincount(of_stream, minlength=size))
        numeric = stream.kind is Kind.NUMERIC
        sums.append(fixed_sums(values, of_stream, size, stream.scale) if numeric else np.zeros(size, np.int64))
    return bins, np.concatenate(counts), np.concatenate(sums)


def fixed_point(values: Floats, scale: float) -> Floats:
    """Round(value · scale) as whole float64, clipped to ±`SUM_LIMIT`; missing gives 0."""
    whole: Floats = np.rint(np.clip(values * scale, -SUM_LIMIT, SUM_LIMIT))
    whole[~np.isfinite(whole)] = 0.0
    return np.asarray(whole, dtype=np.float64)


def fixed_sums(values: Floats, bins: Ints, size: int, scale: float) -> Ints:
    """The exact sum of fixed-point values in every bin, int64[size]: the same in any order and any grouping."""
    total = np.zeros(size, dtype=np.int64)
    whole = fixed_point(values, scale)
    for at in range(0, len(values), SUM_CHUNK):
        part = np.bincount(bins[at : at + SUM_CHUNK], weights=whole[at : at + SUM_CHUNK], minlength=size)
        total += part.astype(np.int64)
    return total
