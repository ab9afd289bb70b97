"""Measures the nulls: what the tests' statistics do when nothing drifts, by simulation on held-out reference rows.

Whole rows are drawn, because features are correlated. The split into a fitted and a held-out half, and with it the
bins, is drawn again and again: one hold-out is one realisation of its own noise. Windows are drawn from the held-out
half without replacement, so that window and fitted half are disjoint parts of one sample: exactly what the hypothesis
of no drift says. What is kept is `longshore.profile.Calibration`; how it judges is `longshore.monitor.significance`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from longshore.monitor.binning import Coded, cut
from longshore.monitor.layout import Layout
from longshore.monitor.significance import Null, rank_distances, share_statistics
from longshore.profile import Calibration, Floats, Ints
from longshore.schema import Kind

ROWS = 20_000
"""The simulation draws from at most so many rows of the reference."""

SIZES = (100, 316, 1_000, 3_162, 10_000)
WINDOWS = 10
"""Windows of each size per split."""

SPLITS = 200
LEAST_SPLITS = 60
CELLS = 2e8
"""Bins looked up in a whole simulation: wide references get fewer splits, down to `LEAST_SPLITS`."""

TAIL = np.geomspace(0.05, 0.005, 8)
"""Upper probabilities at which the rank distance's tail is fitted."""

FAMILY_LEVEL = 0.01


def calibrate(columns: Sequence[Coded], rows: int, *, seed: int = 0) -> Calibration:
    """Simulate the nulls of a reference of `rows` rows; the same columns give the same calibration."""
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(rows)[:ROWS])
    codes = [column.codes[chosen] for column in columns]
    sizes = _sizes(len(chosen) // 2)
    splits = int(np.clip(CELLS / (WINDOWS * sum(sizes) * len(columns)), LEAST_SPLITS, SPLITS))
    simulated = [_one_split(columns, codes, sizes, random) for _ in range(splits)]
    shares, ranks = ([np.vstack([one[k][i] for one in simulated]) for i in range(len(sizes))] for k in (0, 1))
    deviation = np.mean([one[2] for one in simulated], axis=0)
    numeric = np.array([column.kind is Kind.NUMERIC for column in columns])
    return _summary(sizes, (shares, ranks, deviation), numeric, rows)


def _sizes(held_out: int) -> list[int]:
    """Window sizes to simulate: up to the whole held-out half (larger windows are reference-limited)."""
    sizes = [size for size in SIZES if size < held_out]
    largest = min(max(held_out, 1), SIZES[-1])
    return sizes if sizes and largest < 1.2 * sizes[-1] else [*sizes, largest]


def _one_split(
    columns: Sequence[Coded], codes: list[Ints], sizes: list[int], random: np.random.Generator
) -> tuple[list[Floats], list[Floats], Floats]:
    order = random.permutation(len(codes[0]))
    fitted, held_out = order[: len(order) - len(order) // 2], order[-max(len(order) // 2, 1) :]
    cells, layout = _cells(columns, codes, fitted)
    reference = np.bincount(cells[fitted].ravel(), minlength=layout.total)
    shares, ranks = [], []
    for size in sizes:
        drawn = np.stack([random.permutation(len(held_out))[:size] for _ in range(WINDOWS)])
        window = (np.arange(WINDOWS) * layout.total)[:, None, None] + cells[held_out[drawn]]
        counts = np.bincount(window.ravel(), minlength=WINDOWS * layout.total).reshape(WINDOWS, layout.total)
        distance, factor = rank_distances(layout, reference, counts)
        shares.append(share_statistics(layout, reference, counts))
        ranks.append(distance * factor)
    return shares, ranks, _rank_deviation(layout, reference)


def _cells(columns: Sequence[Coded], codes: list[Ints], fitted: Ints) -> tuple[Ints, Layout]:
    """The flat fine bin of every row and stream, int64[rows, streams], with bins chosen on the fitted rows alone."""
    cuts = []
    for column, code in zip(columns, codes, strict=True):
        counts = np.bincount(code[fitted], minlength=len(column.levels) + 1)
        cuts.append(cut(column.kind, counts[:-1]))
    layout = Layout.of([c.coarse for c in cuts], [column.kind for column in columns])
    cells = [start + c.bins[code] for start, c, code in zip(layout.starts, cuts, codes, strict=True)]
    return np.stack(cells, axis=1), layout


def _summary(
    sizes: list[int],
    simulated: tuple[list[Floats], list[Floats], Floats],
    numeric: npt.NDArray[np.bool_],
    rows: int,
) -> Calibration:
    shares, ranks, deviation = simulated
    scale_df = [_fit_shares(part) for part in shares]
    scale_shift = [_fit_ranks(part, deviation) for part in ranks]
    tests = len(numeric) + int(numeric.sum())
    nulls = [Null(*g, *r, 1.0, FAMILY_LEVEL, tests) for g, r in zip(scale_df, scale_shift, strict=True)]
    families = [_family(null, g, r, numeric) for null, g, r in zip(nulls, shares, ranks, strict=True)]
    return Calibration(
        sizes=np.array(sizes, dtype=np.float64),
        shares_scale=np.array([scale for scale, _ in scale_df]),
        shares_df=np.array([df for _, df in scale_df]),
        rank_scale=np.array([scale for scale, _ in scale_shift]),
        rank_shift=np.array([shift for _, shift in scale_shift]),
        family=np.array([family for family, _ in families]),
        family_from=np.array([smallest for _, smallest in families]),
        tests=tests,
        repeats=len(shares[0]),
        rows=rows,
    )


def _fit_shares(statistics: Floats) -> tuple[Floats, Floats]:
    """G ~ c·χ²(df) with the simulated mean and variance (Satterthwaite 1946), but c never below 1; float64[streams]."""
    mean, variance = statistics.mean(axis=0), statistics.var(axis=0)
    scale = np.maximum(1.0, np.divide(variance, 2 * mean, out=np.ones_like(mean), where=mean > 0))
    return scale, np.maximum(mean / scale, 1.0)


def _rank_deviation(layout: Layout, reference: Ints) -> Floats:
    """The standard deviation of a value's rank score, 1 − F just below it; float64[streams], 1/√12 without ties.

    It is the slope of the rank distance's tail: of all signs that F−G can take along the ranks, one sign throughout
    has the largest variance, and that is the mean score's.
    """
    values = (reference * layout.ranked).astype(np.float64)
    rows = np.repeat(layout.per_stream(values), layout.sizes)
    p = np.divide(values, rows, out=np.zeros_like(values), where=rows > 0)
    below = np.cumsum(p) - p
    score = 1.0 - (below - np.repeat(below[layout.starts], layout.sizes))
    mean = layout.per_stream(p * score)
    return np.sqrt(np.maximum(0.0, layout.per_stream(p * score**2) - mean**2))


def _fit_ranks(statistics: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """The tail's a and b: quantile(p) = b + a·z(p/2), with a known (`_rank_deviation`) and b simulated."""
    z = -special.ndtri(TAIL / 2)
    quantiles = np.quantile(statistics, 1 - TAIL, axis=0)
    shift = np.mean(quantiles - np.outer(z, deviation), axis=0)
    degenerate = deviation < 1e-6
    return np.where(degenerate, 1 / np.sqrt(12), deviation), np.where(degenerate, 0.0, shift)


def _family(null: Null, shares: Floats, ranks: Floats, numeric: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """How many independent tests the smallest p-value of a simulated window behaves like, and down to where."""
    smallest = np.minimum(null.shares_p(shares), np.where(numeric, null.rank_p(ranks), 1.0)).min(axis=1)
    levels = np.array([FAMILY_LEVEL, 0.02, 0.05])
    single = np.clip(np.quantile(smallest, levels), 1e-12, 1 - 1e-12)
    observed = float(np.max(np.log1p(-levels) / np.log1p(-single)))
    return float(np.clip(observed, 1.0, null.tests)), float(single[0])
