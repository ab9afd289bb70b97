"""Whether a window moved more than chance: three tests per stream, their calibrated p-values, and the family's.

The PSI, KL and Jensen-Shannon of a stream are to second order one test: it enters once, as the likelihood ratio G of
the decile (or category) shares, whose tail stays that of χ² even in nearly empty bins. The second is the Wasserstein
distance in reference-rank space, which a single outlier cannot move. The third counts values beyond all that the
reference held: a tail that grows, a cap that is gone, noise on rounded values. How the nulls were measured is
`longshore.monitor.calibration`'s matter, and what an alarm does is `longshore.monitor.decide`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from longshore.monitor.layout import Layout
from longshore.profile import Calibration, Floats, Ints

JS_FLOOR = 0.01
"""Jensen-Shannon distance below which a significant change of shares is too small to matter (a PSI of about 0.0006)."""

RANK_FLOOR = 0.005
"""The same for the rank distance: values displaced by half a percentile point of the reference on average. What
alarms by chance in windows of up to some 20,000 records is above both: until then the stated error rate is exact."""

LEAST_OUTSIDE = 3
"""So many values outside the reference's range before the outside test says anything: one or two are outliers."""

OUTSIDE_FLOOR = 0.001
"""The share of a stream's values outside the range below which it does not matter that they are too many."""

LEAST_REFERENCE = 50
"""Rows a reference must have for a window to be judged: with 20 and fewer, most undrifted windows alarm."""

FLOORS = {"js_floor": JS_FLOOR, "rank_floor": RANK_FLOOR, "outside_floor": OUTSIDE_FLOOR}

TESTS = 3
"""Of a numeric stream; a nominal one has the first."""

SMALLEST = 1e-300
"""p-values end here, so that a logarithm of one is finite."""

LOOKED_UP, TABLED = 10_000, 1 << 17
"""From so many counts on, as a simulation has them at once, x·ln x is looked up, below the second number."""


def share_statistics(layout: Layout, reference: Ints, current: Ints) -> Floats:
    """G = 2·Σ O·ln(O/E) of the two samples' coarse bins; float64[…, streams] of counts int64[T] and int64[…, T].

    As sums of x·ln x: of the cells, less those of the two rows and of the columns, and the total's.
    """
    p, q = layout.coarse(reference), layout.coarse(current)
    cells = layout.per_stream_coarse(_of_counts(q) - _of_counts(p + q)) + layout.per_stream_coarse(_of_counts(p))
    m, n = _rows(layout, reference), _rows(layout, current)
    total = _x_log_x(m + n)
    statistic = 2.0 * (cells - _x_log_x(m) - _x_log_x(n) + total)
    return np.where(statistic > 1e-12 * total, statistic, 0.0)  # below that it is what rounding left


def _of_counts(counts: Ints) -> Floats:
    """x·ln x of whole numbers."""
    if counts.size >= LOOKED_UP and counts.max() < TABLED:
        return np.asarray(_table().take(counts))
    return _x_log_x(counts.astype(np.float64))


@lru_cache(maxsize=1)
def _table() -> Floats:
    return _x_log_x(np.arange(TABLED, dtype=np.float64))


def _x_log_x(counts: Floats) -> Floats:
    return np.asarray(counts * np.log(np.maximum(counts, 1.0)))


def _rows(layout: Layout, counts: Ints) -> Floats:
    """Every record is in one bin of each stream: the streams' totals, float64[…, streams]."""
    return layout.per_stream(counts.astype(np.float64))


def rank_distances(layout: Layout, reference: Ints, current: Ints) -> tuple[Floats, Floats]:
    """∫|F−G|dF_reference over the tests' bins, and √(nm/(n+m)) to judge it by; float64[…, streams] each, 0 for nominal.

    Sums to D = F−G at a bin's upper edge run over all streams at once: each stream's shares differ by 0 in total.
    """
    p, m = _value_shares(layout, reference)
    q, n = _value_shares(layout, current)
    valid = (m > 0) & (n > 0)
    difference = q - p
    if not (valid | ~layout.ranked[layout.starts]).all():
        difference *= np.repeat(valid, layout.sizes, axis=-1)
    np.abs(np.cumsum(difference, axis=-1, out=difference), out=difference)
    distance = layout.per_stream(np.multiply(difference, p, out=difference))
    factor = np.sqrt(np.divide(n * m, n + m, out=np.zeros_like(distance), where=valid))
    return distance * valid, factor


def _value_shares(layout: Layout, counts: Ints) -> tuple[Floats, Floats]:
    values = np.multiply(counts, layout.ranked, dtype=np.float64)
    rows = layout.per_stream(values)
    values /= np.repeat(np.maximum(rows, 1.0), layout.sizes, axis=-1)
    return values, rows


def outside(layout: Layout, reference: Ints, current: Ints) -> Ints:
    """Values below or above all that the reference held, int64[…, streams]; 0 for nominal."""
    low, high = layout.starts, layout.starts + layout.sizes - 2
    below = current[..., low] * (layout.ranked[low] & (reference[low] == 0))
    above = current[..., high] * (layout.ranked[high] & (reference[high] == 0) & (high > low))
    return np.asarray(below + above)


def outside_p(layout: Layout, reference: Ints, current: Ints) -> Floats:
    """P(at least so many values outside) when nothing drifts, float64[…, streams]; 1 for nominal and few values.

    Wilks (1942, on tolerance limits): of the C(N, m) orders that m + n = N values of one population can have, k of
    the n lie outside the m in (k+1)·C(N−k−2, m−2), and k or more in (k+1)·C(N−k−1, m−1) + C(N−k−1, m). With ties
    fewer do. Fewer than `LEAST_OUTSIDE` say nothing; of more, one is left out: a single wild value, added to what is
    outside by chance, must not alarm.
    """
    k = outside(layout, reference, current).astype(np.float64)
    m, n = _value_rows(layout, reference), _value_rows(layout, current)
    counted = (k >= LEAST_OUTSIDE) & (m > 0)
    found = np.ones(k.shape)
    k, m, n = k[counted] - 1.0, np.broadcast_to(m, k.shape)[counted], n[counted] - 1.0
    ways = special.gammaln(m + n - k) - special.gammaln(n - k + 1.0) - special.gammaln(m)
    of_all = special.gammaln(m + n + 1.0) - special.gammaln(m + 1.0) - special.gammaln(n + 1.0)
    p = np.exp(ways - of_all) * (k + 1.0 + (n - k) / m)
    found[counted] = np.clip(p, SMALLEST, 1.0)
    return found


def _value_rows(layout: Layout, counts: Ints) -> Floats:
    return layout.per_stream((counts * layout.ranked).astype(np.float64))


def displaced(layout: Layout, reference: Ints, current: Ints) -> Floats:
    """Jensen-Shannon distances of all streams' coarse bins, float64[streams] (see `distances.jensen_shannon`)."""
    return jensen_shannon_by_stream(layout.coarse(reference), layout.coarse(current), layout.coarse_sizes)


def jensen_shannon_by_stream(reference: Ints, current: Ints, sizes: Ints) -> Floats:
    """The same of counts int64[…, C], so many bins of each stream side by side; float64[…, streams]."""
    starts = np.r_[0, np.cumsum(sizes)[:-1]]
    p = reference.astype(np.float64) + 0.5
    q = current.astype(np.float64) + 0.5
    p = p / np.repeat(np.add.reduceat(p, starts, axis=-1), sizes, axis=-1)
    q = q / np.repeat(np.add.reduceat(q, starts, axis=-1), sizes, axis=-1)
    middle = (p + q) / 2
    divergence = np.add.reduceat(p * np.log2(p / middle) + q * np.log2(q / middle), starts, axis=-1) / 2
    return np.asarray(np.sqrt(np.maximum(0.0, divergence)), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Null:
    """The null distributions for windows of one size, by stream (see `longshore.profile.Calibration`)."""

    shares_scale: Floats
    shares_df: Floats
    rank_scale: Floats
    rank_shift: Floats
    levels: Floats
    family: Floats
    tests: int

    def shares_p(self, statistic: Floats) -> Floats:
        """P(G ≥ statistic) when nothing drifts."""
        return np.asarray(np.maximum(special.chdtrc(self.shares_df, statistic / self.shares_scale), SMALLEST))

    def rank_p(self, statistic: Floats) -> Floats:
        """P(√(nm/(n+m))·distance ≥ statistic) when nothing drifts."""
        z = (statistic - self.rank_shift) / self.rank_scale
        return np.asarray(np.clip(2.0 * special.ndtr(-z), SMALLEST, 1.0))

    def adjusted(self, p: Floats) -> Floats:
        """The chance that the smallest p-value of the whole family is ≤ p: what one compares with alpha.

        Within the simulated range as it was observed. Further out the family grows from the number of independent
        tests that it acted like there to all of them, reached a hundred times further or more, where dependent tests
        act as independent ones.
        """
        p = np.clip(p, SMALLEST, 1.0)
        smallest, level = float(self.family[-1]), float(self.levels[-1])
        within = np.exp(np.interp(np.log(p), np.log(self.family[::-1]), np.log(self.levels[::-1])))
        observed = min(float(self.tests), np.log1p(-level) / np.log1p(-smallest))
        reach = max(100.0, (self.tests / observed) ** 2)  # far enough that p never falls while the family grows
        position = np.clip(-np.log(p / smallest) / np.log(reach), 0.0, 1.0)
        size = observed * (self.tests / observed) ** position
        beyond = -np.expm1(size * np.log1p(-np.minimum(p, smallest)))
        return np.asarray(np.where(p >= smallest, within, beyond))


def null_for(calibration: Calibration, rows: int) -> Null:
    """The null for windows of `rows` records: between simulated sizes in log n, beyond them the nearest."""
    grid, at = np.log(calibration.sizes), np.log(max(rows, 1))

    def between(values: Floats) -> Floats:
        return np.array([np.interp(at, grid, column) for column in values.T])

    return Null(
        shares_scale=between(calibration.shares_scale),
        shares_df=between(calibration.shares_df),
        rank_scale=between(calibration.rank_scale),
        rank_shift=between(calibration.rank_shift),
        levels=calibration.levels,
        family=np.exp(between(np.log(calibration.family))),
        tests=calibration.tests,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """One window's tests by stream.

    Attributes:
        p_values: float64[streams], adjusted for the family of all streams' tests.
        single: float64[streams], the smaller of a stream's p-values, for its own tests only; ranks streams.
        rank_distance: float64[streams].
        outside: float64[streams], the share of values outside the reference's range; 0 for nominal.
        alerts: bool[streams], which alarm at the level asked for.

    """

    p_values: Floats
    single: Floats
    rank_distance: Floats
    outside: Floats
    alerts: npt.NDArray[np.bool_]

    @property
    def alert(self) -> bool:
        """Whether any stream alarms."""
        return bool(self.alerts.any())

    @property
    def p_value(self) -> float:
        """The family's p-value: the smallest of the adjusted ones."""
        return float(self.p_values.min())


def judge(layout: Layout, calibration: Calibration, reference: Ints, current: Ints, alpha: float) -> Judgement:
    """Test one window, the tests' counts int64[T], against the reference's, int64[T].

    A stream alarms where one of its tests is significant for the whole family *and* its own effect is above the
    floor: at a large n every difference is significant. Beside a reference of fewer than `LEAST_REFERENCE` rows, none.
    """
    null = null_for(calibration, int(_rows(layout, current)[0]))
    numeric = layout.ranked[layout.starts]
    distance, factor = rank_distances(layout, reference, current)
    beyond = outside(layout, reference, current) / np.maximum(_value_rows(layout, current), 1.0)
    p_values = np.stack(
        [
            null.shares_p(share_statistics(layout, reference, current)),
            np.where(numeric, null.rank_p(distance * factor), 1.0),
            outside_p(layout, reference, current),
        ]
    )
    effects = np.stack(
        [displaced(layout, reference, current) >= JS_FLOOR, distance >= RANK_FLOOR, beyond >= OUTSIDE_FLOOR]
    )
    if _rows(layout, reference)[0] < LEAST_REFERENCE:
        p_values = np.ones_like(p_values)
    smallest = p_values.min(axis=0)
    return Judgement(
        p_values=null.adjusted(smallest),
        single=np.minimum(1.0, np.where(numeric, TESTS, 1) * smallest),
        rank_distance=distance,
        outside=beyond,
        alerts=np.any((null.adjusted(p_values) <= alpha) & effects, axis=0),
    )
