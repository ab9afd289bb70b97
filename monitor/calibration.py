"""Measures the nulls: what the tests' statistics do when nothing drifts, by simulation on the reference's own rows.

The reference's rows stand for the population. From it a reference sample of the true size and a stream of windows are
drawn again and again, whole rows, because features are correlated; the bins are chosen afresh on each sample. So the
hypothesis "no drift" is exactly true, the reference's own noise is in it as it will be, and streams may be as long as
wanted. (A single held-out part would be one realisation of its own noise, and soon used up: docs/decisions.) What is
kept is `longshore.profile.Calibration`; how it judges is `longshore.monitor.significance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from longshore.monitor.binning import Coded, Cut, cut
from longshore.monitor.layout import Layout, side_by_side
from longshore.monitor.run_lengths import RUNS, limits
from longshore.monitor.significance import TESTS, Null, outside_p, rank_distances, share_statistics
from longshore.monitor.usual import METRICS, USUAL_LEVELS, USUAL_SIZES, usual_distances, usual_quantiles
from longshore.profile import Calibration, Floats, Ints
from longshore.schema import Kind

ROWS = 20_000
"""The simulation draws from at most so many rows of the reference."""

STEPS = {25: 512, 100: 256, 400: 96, 1_600: 40}
"""Simulated sizes of a step (records), and how many steps a simulated stream has."""

SCALES = (1, 4, 16)
"""Windows of a stream, in steps: abrupt and slow drift have different best ones."""

LIMITED = 4
"""A scale whose window is larger than the reference over this is left out: it would see the reference's own noise, and
all windows the same."""

RULES = ((1, 1), (2, 2), (2, 3), (2, 4), (3, 4), (3, 5))
"""So many of so many steps over the limit before an alert."""

REPEATS = 120
LEAST_REPEATS = 50
CELLS = 4e8
"""Bins looked up in a whole simulation: wide references get fewer repeats, down to `LEAST_REPEATS`."""

TAIL = np.geomspace(0.05, 0.005, 8)
"""Upper probabilities at which the rank distance's tail is fitted."""

LEVELS = np.array([1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002])


Bools = npt.NDArray[np.bool_]
Singles = npt.NDArray[np.float32]
Key = tuple[int, int]
"""A step's records, and a scale."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What one simulated reference sample and the streams against it gave.

    Attributes:
        shares: by step and scale, float32[windows, streams]: the shares tests' G.
        ranks: the same of the rank test.
        outside: the same, p-values of the outside test, which need no simulation but are part of the family.
        deviation: float64[streams], see `_rank_deviation`.
        usual: float64[sizes, streams, metrics], one window's distances of each size.

    """

    shares: dict[Key, Singles]
    ranks: dict[Key, Singles]
    outside: dict[Key, Singles]
    deviation: Floats
    usual: Floats


def calibrate(columns: Sequence[Coded], rows: int, *, seed: int = 0) -> Calibration:
    """Simulate the nulls of a reference of `rows` rows; the same columns give the same calibration."""
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(rows)[:ROWS])
    columns = [_of_rows(column, chosen) for column in columns]
    codes = np.stack([column.codes for column in columns], axis=1)
    steps = [step for step in STEPS if step <= max(rows / LIMITED, min(STEPS))]
    keys = [(step, scale) for step in steps for scale in SCALES]
    looked_up = codes.shape[1] * sum(step * STEPS[step] for step in steps)
    repeats = int(np.clip(CELLS / looked_up, LEAST_REPEATS, REPEATS))
    samples = [_sample(columns, codes, rows, keys, random) for _ in range(repeats)]
    numeric = np.array([column.kind is Kind.NUMERIC for column in columns])
    nulls, adjusted = _nulls(keys, samples, numeric)
    return Calibration(
        **nulls,
        scales=np.array(SCALES, dtype=np.int64),
        steps=np.array(steps, dtype=np.float64),
        rules=np.array(RULES, dtype=np.int64),
        runs=RUNS,
        limits=_limits(keys, adjusted),
        repeats=repeats,
        rows=rows,
        metrics=METRICS,
        usual_levels=USUAL_LEVELS,
        usual=usual_quantiles(np.stack([one.usual for one in samples])),
        usual_sizes=np.array(USUAL_SIZES, dtype=np.float64),
    )


def _of_rows(column: Coded, rows: Ints) -> Coded:
    """The column's values in some rows, on levels of their own: the simulation's time must not grow with the rest."""
    of_rows = column.codes[rows]
    levels = np.unique(of_rows[of_rows < len(column.levels)])
    codes = np.searchsorted(levels, of_rows)
    codes[of_rows == len(column.levels)] = len(levels)
    return Coded(column.kind, codes, column.levels[levels])


def scales_for(step: float, rows: int) -> list[int]:
    """The scales whose windows a reference of `rows` rows can judge: the first always, others up to a quarter of it."""
    return [scale for scale in SCALES if scale == SCALES[0] or step * scale <= rows / LIMITED]


def _sample(columns: Sequence[Coded], codes: Ints, rows: int, keys: list[Key], random: np.random.Generator) -> Sample:
    drawn = random.multinomial(rows, np.full(len(codes), 1 / len(codes)))
    cuts = [_cut(column, drawn) for column in columns]
    layout = Layout.of_tests([c.coarse for c in cuts], [c.ranks for c in cuts], [column.kind for column in columns])
    cells = side_by_side([c.ranks[c.bins] for c in cuts], [column.codes for column in columns])
    weights = np.repeat(drawn, len(columns))
    reference = np.bincount(cells.ravel(), weights=weights, minlength=layout.total).astype(np.int64)
    shares, ranks, outside = {}, {}, {}
    for step in dict.fromkeys(step for step, _ in keys):
        counts = _stream(cells, layout.total, step, STEPS[step], random)
        total = np.concatenate([np.zeros((1, layout.total), np.int64), np.cumsum(counts, axis=0)])
        for scale in (scale for at, scale in keys if at == step):
            windows = total[scale:] - total[:-scale]
            distance, factor = rank_distances(layout, reference, windows)
            shares[step, scale] = share_statistics(layout, reference, windows).astype(np.float32)
            ranks[step, scale] = (distance * factor).astype(np.float32)
            outside[step, scale] = outside_p(layout, reference, windows).astype(np.float32)
    windows = [codes[random.integers(0, len(codes), size)] for size in USUAL_SIZES]
    usual = usual_distances(columns, [c.coarse[c.bins] for c in cuts], drawn, windows)
    return Sample(shares, ranks, outside, _rank_deviation(layout, reference), usual)


def _cut(column: Coded, drawn: Ints) -> Cut:
    counts = np.bincount(column.codes, weights=drawn, minlength=len(column.levels) + 1)
    return cut(column.kind, counts[:-1].astype(np.int64), fine=False)


def _stream(cells: Ints, total: int, step: int, steps: int, random: np.random.Generator) -> Ints:
    """Counts of `steps` steps in a row, int64[steps, total]."""
    drawn = cells[random.integers(0, len(cells), step * steps)]
    drawn += (np.arange(steps) * total).repeat(step)[:, None]
    return np.bincount(drawn.ravel(), minlength=steps * total).reshape(steps, total)


def _nulls(keys: list[Key], samples: list[Sample], numeric: Bools) -> tuple[dict[str, Any], dict[Key, Floats]]:
    """The nulls by window size, from all simulated windows of that size; and these windows' adjusted p-values.

    The p-values are the smallest over the tests, by step and scale float64[repeats, windows].
    """
    deviation = np.mean([one.deviation for one in samples], axis=0)
    tests = int(np.where(numeric, TESTS, 1).sum())
    sizes = sorted({step * scale for step, scale in keys})
    found: dict[str, list[Any]] = {
        name: [] for name in ("shares_scale", "shares_df", "rank_scale", "rank_shift", "family")
    }
    adjusted: dict[Key, Floats] = {}
    for size in sizes:
        of_size = [key for key in keys if key[0] * key[1] == size]
        shares = np.concatenate([one.shares[key] for one in samples for key in of_size]).astype(np.float64)
        ranks = np.concatenate([one.ranks[key] for one in samples for key in of_size]).astype(np.float64)
        scale, df = _fit_shares(shares)
        slope, shift = _fit_ranks(ranks, deviation)
        null = Null(scale, df, slope, shift, LEVELS, LEVELS, tests)
        smallest = np.minimum(null.shares_p(shares), np.where(numeric, null.rank_p(ranks), 1.0)).min(axis=1)
        outside = np.concatenate([one.outside[key] for one in samples for key in of_size]).min(axis=1)
        smallest = np.minimum(smallest, outside)
        null = replace(null, family=_family(smallest))
        by_sample = null.adjusted(smallest).reshape(len(samples), -1)
        ends = np.cumsum([len(samples[0].shares[key]) for key in of_size])
        adjusted |= dict(zip(of_size, np.split(by_sample, ends[:-1], axis=1), strict=True))
        for name, parts in found.items():
            parts.append(getattr(null, name))
    nulls = {name: np.array(parts) for name, parts in found.items()}
    return nulls | {"sizes": np.array(sizes, dtype=np.float64), "levels": LEVELS, "tests": tests}, adjusted


def _family(smallest: Floats) -> Floats:
    """The smallest single p-value's quantiles at `LEVELS`, strictly descending."""
    quantiles = np.clip(np.quantile(smallest, LEVELS), 1e-12, 1 - 1e-12)
    quantiles = np.minimum(quantiles, LEVELS)  # the smallest p-value of any number of tests is below a single one's
    quantiles[0] = 1.0
    return np.asarray(np.minimum.accumulate(quantiles) * (1 - 1e-9 * np.arange(len(LEVELS))))


def _limits(keys: list[Key], adjusted: dict[Key, Floats]) -> Floats:
    """The limits on the smallest adjusted p-value of a step's windows, float64[rules, scales, steps, runs]."""
    by_step = []
    for step in dict.fromkeys(step for step, _ in keys):
        smallest = np.full((len(SCALES), len(adjusted[step, 1]), STEPS[step]), np.inf)
        for k, scale in enumerate(SCALES):
            smallest[k, :, scale - 1 :] = adjusted[step, scale]
        sets = range(1, len(SCALES) + 1)
        by_step.append([[limits(smallest[:k], SCALES[:k], *rule) for k in sets] for rule in RULES])
    return np.moveaxis(np.array(by_step), 0, 2)


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
