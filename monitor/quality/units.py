"""Whether a stream's values are the reference's in another unit: multiplied by a likely factor, all or a part of them.

If a share ε of the values is multiplied by c, the distribution is (1 − ε)·F(x) + ε·F(x/c). F is known at the fine
edges, so for each likely c the ε that fits best follows from least squares, and the Kolmogorov-Smirnov distance that is
left says how well it fits. Values far beyond the last edge all look alike to that: their mean, known from the sums,
tells the factors apart. What fits no factor is drift, or values out of range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from longshore.monitor.quality.chance import cumulative, gap_p, largest_gap
from longshore.monitor.quality.faults import Fault, FaultKind
from longshore.monitor.quality.stream import Seen, nearness
from longshore.pages.wording import share_text
from longshore.profile import Floats

TENS = tuple(10.0**power for power in range(1, 10))

COMMON = (1.8, 2.204_62, 2.54, 3.280_84, 3.6, 12, 24, 60, 1_024, 3_600, 86_400)
"""°F/°C (by differences), lb/kg, cm/in, ft/m, km/h per m/s; months, hours, minutes, KiB, seconds an hour and a day."""

RARE = (3.785_41, 4.184, 4.546_09, 10.763_9, 25.4, 28.349_5, 39.370_1, 57.295_8, 1_048_576)
"""l/gal, J/cal, l/gal (imperial), ft²/m², mm/in, g/oz, in/m, °/rad, MiB."""

_UP = np.array([*TENS, *COMMON, *RARE])
FACTORS = np.concatenate([_UP, 1 / _UP])
"""All of them, with their inverses."""

HANDICAP = np.repeat([[0.0, 0.25, 0.75]], [len(TENS), len(COMMON), len(RARE)], axis=1).repeat(2, axis=0).ravel()
"""By how much a factor has to fit better than a power of ten, in units of what is allowed."""

GROSS = 8.0
"""Factors nearer to 1 than this are told only where all values have them and the window's mean is known well: drift
could look the same."""

KNOWN = 0.02
"""The relative standard error of a window's mean at which it is."""

LEAST_SHARE = 0.1
LEAST_GAP = 0.05
LEAST_GAP_OF_ALL = 0.2
"""The distance of distributions below which a unit is not asked for: of a part of the values, and of all."""

EXPLAINED = 1 / 3
"""Of the distance at most this may be left."""

FEW = 5
"""So many values beyond the reference's range before their mean says anything."""


@dataclass(frozen=True, slots=True, eq=False)
class _Fits:
    """How well each factor explains a window: the share it is of, and the distances of shape and size left."""

    share: Floats
    gap: Floats
    size: Floats


def wrong_unit(seen: Seen, limit: float) -> list[Fault]:
    """The factor that explains the window, where one does and chance does not."""
    n, m = int(seen.values.sum()), int(seen.reference.sum())
    if not m or not seen.profile.std:
        return []
    reference, current = cumulative(seen.reference)[:-1], cumulative(seen.values)[:-1]
    gap = largest_gap(reference, current)
    p = gap_p(gap, n, m)
    if p > limit or gap < LEAST_GAP:
        return []
    fits = _fits(seen, reference, current)
    near = min(nearness(n, m), EXPLAINED * gap)
    allowed = _allowed(seen, n)
    good = (fits.gap <= near) & (fits.size <= allowed) & (fits.share >= LEAST_SHARE)
    good &= _gross() | (gap >= LEAST_GAP_OF_ALL)
    if not good.any():
        return []
    score = np.where(good, fits.gap / near + fits.size / allowed + HANDICAP, np.inf)
    at = int(np.argmin(score))
    if all(seen.single(seen.beyond(), max(1, round(each))) for each in FACTORS[good]):
        return []  # a code for "unknown"
    share, factor = float(fits.share[at]), factor_text(float(FACTORS[at]))
    of = "all values" if share > 0.97 else f"{share_text(share)} of the values"
    text = f"{seen.name}: {of} look like the reference's multiplied by {factor}: another unit"
    return [Fault(FaultKind.UNIT, seen.name, share, 0.0, LEAST_SHARE, p, text, about=factor)]


def factor_text(factor: float) -> str:
    """A factor as a person writes it: 1,000 or 1/3.28084."""
    return f"1/{1 / factor:,.6g}" if factor < 1 else f"{factor:,.6g}" if factor < 1e6 else f"{factor:,.0f}"


def _gross() -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(np.log(FACTORS)) >= np.log(GROSS))


def _fits(seen: Seen, reference: Floats, current: Floats) -> _Fits:
    edges = seen.profile.edges
    scaled = np.interp(edges / FACTORS[:, None], edges, reference, left=0.0, right=1.0) - reference
    step = current - reference
    share = np.clip(scaled @ step / np.maximum((scaled**2).sum(axis=1), 1e-12), 0.0, 1.0)
    share = np.where(_gross(), share, 1.0)
    gap = np.max(np.abs(step - share[:, None] * scaled), axis=1)
    return _Fits(share, gap, _sizes(seen, share))


def _sizes(seen: Seen, share: Floats) -> Floats:
    """|ln| of the mean size that was seen over the one each factor would give.

    Of the values beyond the reference's range where there are some: only those that were multiplied can be there.
    """
    profile, beyond = seen.profile, seen.beyond()
    weights = seen.reference / seen.reference.sum()
    means = seen.profile.sums[:-1] / profile.scale / np.maximum(seen.reference, 1)
    held = means * FACTORS[:, None]
    out = (held > profile.edges[-1]) | (held < profile.edges[0])
    there = (out * weights).sum(axis=1)
    most = 2.0**40 / profile.scale  # what a fixed-point value can be (`binning.SUM_LIMIT`)
    expected = (np.minimum(np.abs(held), most) * out * weights).sum(axis=1) / np.maximum(there, 1e-12)
    overall = _log_ratio(seen.magnitude(slice(None)), (1 - share + share * FACTORS) * float(np.abs(means) @ weights))
    if seen.values[beyond].sum() < FEW:
        return overall
    far = np.where(there > 0, _log_ratio(seen.magnitude(beyond), expected), np.inf)
    return np.where(_gross(), far, overall)  # of a small factor the few beyond say less than all


def _log_ratio(found: float, expected: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(np.log(found / expected)) if found > 0 else np.full(len(expected), np.inf)
    return np.where(np.isfinite(ratio), ratio, np.inf)


def _allowed(seen: Seen, rows: int) -> Floats:
    """How far a mean may be off: 5 %, or three standard errors of it where a quarter of the rows were multiplied.

    For factors near 1, 4 % where the mean is known well enough, and else nothing fits.
    """
    mean = abs(seen.profile.mean)
    error = seen.profile.std / mean / np.sqrt(rows) if mean else 1.0
    return np.where(_gross(), np.clip(6 * error, 0.05, 0.3), 0.04 if error <= KNOWN else -1.0)
