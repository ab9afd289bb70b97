"""What the five distances are when nothing drifts: the quantiles that stand beside a reported value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from longshore.monitor import distances
from longshore.monitor.binning import Coded
from longshore.profile import Calibration, Floats, Ints
from longshore.schema import Kind

METRICS = ("psi", "kl", "js", "wasserstein", "ks")
USUAL_LEVELS = np.array([0.5, 0.95, 0.99])
USUAL_SIZES = (100, 1_000, 10_000)


def usual_distances(columns: Sequence[Coded], coarse: Sequence[Ints], drawn: Ints, windows: Sequence[Ints]) -> Floats:
    """Distances of each window from a reference sample, float64[windows, streams, metrics].

    `coarse` maps each stream's codes to deciles; the columns' rows were `drawn` int64[n] times; `windows` are
    int64[rows, streams] codes.
    """
    found = np.zeros((len(windows), len(columns), len(METRICS)))
    for k, (column, deciles) in enumerate(zip(columns, coarse, strict=True)):
        levels = len(column.levels) + 1
        reference = np.bincount(column.codes, weights=drawn, minlength=levels)
        p, moved = _shares(reference, deciles), _mover(column, reference, deciles)
        for i, window in enumerate(windows):
            current = np.bincount(window[:, k], minlength=levels)
            q = _shares(current, deciles)
            found[i, k] = (
                distances.population_stability_index(p, q),
                distances.relative_entropy(p, q),
                distances.jensen_shannon(p, q),
                *moved(current),
            )
    return found


def _shares(counts: Floats | Ints, deciles: Ints) -> Floats:
    return distances.shares(np.bincount(deciles, weights=counts).astype(np.int64))


def _mover(column: Coded, reference: Floats | Ints, deciles: Ints) -> Callable[[Ints], tuple[float, float]]:
    """Wasserstein and KS of the values themselves (nominal: of the categories), given a window's counts."""
    if column.kind is Kind.NOMINAL:
        p = _parts(reference, deciles)
        return lambda current: (
            distances.total_variation(p, _parts(current, deciles)),
            distances.kolmogorov_smirnov_nominal(p, _parts(current, deciles)),
        )
    below, gaps = _distribution(reference[:-1]), np.diff(column.levels)

    def moved(current: Ints) -> tuple[float, float]:
        if not len(below) or not below[-1] or not current[:-1].any():
            return 0.0, 0.0
        between = np.abs(below - _distribution(current[:-1]))
        # BLAS would take several threads for a sum so short, and they wait for one another.
        return float(np.einsum("i,i", between[:-1], gaps)), float(between.max())

    return moved


def _parts(counts: Floats | Ints, deciles: Ints) -> Floats:
    return np.asarray(np.bincount(deciles, weights=counts) / max(counts.sum(), 1))


def _distribution(counts: Floats | Ints) -> Floats:
    """The shares up to each level; zeros where there is no value."""
    return np.asarray(np.cumsum(counts) / max(counts.sum(), 1))


def usual_quantiles(simulated: Floats) -> Floats:
    """Quantiles over the samples, float64[sizes, streams, metrics, q] of float64[samples, sizes, streams, metrics]."""
    return np.moveaxis(np.quantile(simulated, USUAL_LEVELS, axis=0), 0, -1)


def usual_for(calibration: Calibration, rows: int) -> Floats:
    """The quantiles for windows of `rows` records, float64[streams, metrics, q].

    With m of the reference, the divergences fall as 1/n + 1/m and the others as its root: so scaled they are taken
    between simulated sizes, in log n.
    """
    sizes = calibration.usual_sizes
    power = np.array([1.0, 1.0, 0.5, 0.5, 0.5])[: calibration.usual.shape[2], None]

    def noise(n: Floats | float) -> Floats:
        return np.asarray(1.0 / n + 1.0 / max(calibration.rows, 1))

    scaled = calibration.usual / noise(sizes)[:, None, None, None] ** power
    at = np.log(max(rows, 1))
    found = np.array([np.interp(at, np.log(sizes), column) for column in scaled.reshape(len(sizes), -1).T])
    usual = found.reshape(scaled.shape[1:]) * noise(max(rows, 1)) ** power
    for metric in (name for name in ("js", "ks") if name in calibration.metrics):
        usual[:, METRICS.index(metric)] = np.minimum(usual[:, METRICS.index(metric)], 1.0)
    return np.asarray(usual)
