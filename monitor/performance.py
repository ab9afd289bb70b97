"""What sums of errors say: a window's figures with intervals, against those of the version's held-out rows. Pure.

Sums are exact integers in fixed point (`longshore.monitor.errors`); here they become numbers, in the target's unit, and
verdicts. Which labels make a window is `longshore.monitor.harm`'s matter. Formulas: docs/performance.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from longshore.error_profile import TOTALS
from longshore.monitor.errors import FOURTH_SHIFT, Scales, scales_of
from longshore.profile import Ints, Profile

CONFIDENCE = 0.95
GREW = 0.001
"""A window's error is above validation's where its excess has a one-sided p-value below this, and …"""

FLOOR = 0.02
"""… is by this share larger: what is certain and does not matter moves nothing."""

LEAST_ROWS = 30
"""Rows on either side below which two figures are not compared."""

Interval = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Figures:
    """n labelled predictions in the target's unit; intervals are of 95 %, None where there are too few rows.

    `bias`: mean of prediction − label. `r2`: 1 − Σe²/Σ(y − ȳ)²; its interval is that of Σe² alone. `coverage`: share of
    `intervals` published intervals that held the label (Wilson's interval). None: not defined.
    """

    n: int
    rmse: float
    mse: float
    mae: float
    bias: float
    r2: float | None
    coverage: float | None
    intervals: int
    rmse_interval: Interval
    mse_interval: Interval
    mae_interval: Interval
    bias_interval: Interval
    r2_interval: Interval
    coverage_interval: Interval
    mse_error: float
    mae_error: float
    mean_prediction: float
    mean_label: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for an event; standard errors are left out."""
        shown = [name for name in self.__slots__ if not name.endswith("_error")]
        return {name: _plain(getattr(self, name)) for name in shown}


def figures_of(sums: Sequence[int], scales: Scales, covered: int = 0, intervals: int = 0) -> Figures | None:
    """The figures of `TOTALS` sums (rows first); None of no rows."""
    n, error, absolute, squared, fourth, label, label_squared = (int(value) for value in sums[:TOTALS])
    if not n:
        return None
    mse, spread = squared / n / scales.error**2, (label_squared - label * label / n) / n / scales.label**2
    mae, bias = absolute / n / scales.error, error / n / scales.error
    # The fourth powers' unit is the square of 2^shift / scale².
    fourth_mean = fourth / n * (2.0**FOURTH_SHIFT / scales.error**2) ** 2
    mse_error = _error(fourth_mean - mse * mse, n)
    mae_error, bias_error = _error(mse - mae * mae, n), _error(mse - bias * bias, n)
    of_mse = _interval(mse, mse_error, n, least=0.0)
    constant = spread <= 0.0
    mean_label = label / n / scales.label + scales.centre
    return Figures(
        n=n,
        rmse=math.sqrt(mse),
        mse=mse,
        mae=mae,
        bias=bias,
        r2=None if constant else 1.0 - mse / spread,
        coverage=covered / intervals if intervals else None,
        intervals=intervals,
        rmse_interval=None if of_mse is None else (math.sqrt(of_mse[0]), math.sqrt(of_mse[1])),
        mse_interval=of_mse,
        mae_interval=_interval(mae, mae_error, n, least=0.0),
        bias_interval=_interval(bias, bias_error, n),
        r2_interval=None if constant or of_mse is None else (1.0 - of_mse[1] / spread, 1.0 - of_mse[0] / spread),
        coverage_interval=_wilson(covered, intervals),
        mse_error=mse_error,
        mae_error=mae_error,
        mean_prediction=mean_label + bias,
        mean_label=mean_label,
    )


def validation_of(profile: Profile) -> Figures | None:
    """The figures of the version's held-out rows; None for a profile from before it kept them."""
    return None if profile.errors is None else figures_of(profile.errors.totals.tolist(), scales_of(profile))


@dataclass(frozen=True, slots=True)
class Excess:
    """A window's error beside validation's: ratios (1: as it was), and the one-sided p-value of the larger growth."""

    rmse_ratio: float
    mae_ratio: float
    p_value: float

    @property
    def grew(self) -> bool:
        """Whether it is larger, surely and by more than the floor."""
        return self.p_value < GREW and self.noticeable

    @property
    def noticeable(self) -> bool:
        """Whether it is larger by more than the floor."""
        return max(self.rmse_ratio, self.mae_ratio) > 1.0 + FLOOR

    @property
    def calm(self) -> bool:
        """Whether nothing speaks for growth, at 5 %."""
        return self.p_value > 0.05 or not self.noticeable

    def to_dict(self) -> dict[str, Any]:
        """Plain values for an event."""
        return {
            "rmse_ratio": _plain(self.rmse_ratio), "mae_ratio": _plain(self.mae_ratio), "p_value": self.p_value,
            "grew": self.grew,
        }  # fmt: skip


def excess(now: Figures | None, then: Figures | None) -> Excess | None:
    """The larger of two z-tests, on the mean square and on the mean of |e|, times two; None of too few rows."""
    if now is None or then is None or min(now.n, then.n) < LEAST_ROWS:
        return None
    z = max(_z(now.mse, now.mse_error, then.mse, then.mse_error), _z(now.mae, now.mae_error, then.mae, then.mae_error))
    return Excess(
        rmse_ratio=now.rmse / then.rmse if then.rmse else math.inf,
        mae_ratio=now.mae / then.mae if then.mae else math.inf,
        p_value=min(1.0, 2.0 * float(stats.norm.sf(z))),
    )


@dataclass(frozen=True, slots=True)
class SegmentError:
    """A segment's error in a window against the same segment's held-out rows.

    `p_value`: one-sided, of the mean of |e|, adjusted (Bonferroni) for all segments that were compared.
    """

    segmentation: str
    segment: str
    n: int
    rmse: float
    mae: float
    bias: float
    mae_then: float
    p_value: float


def segment_errors(profile: Profile, segments: Ints) -> list[SegmentError]:
    """The segments with rows enough on both sides, most grown first; `segments` int64[S, 4] of the window."""
    errors = profile.errors
    labels = [(one.name, label) for one in profile.segmentations for label in one.labels]
    if errors is None or len(segments) != len(labels) or len(errors.segments) != len(labels):
        return []
    scale, found = errors.scale, []
    for (segmentation, label), now, then in zip(labels, segments.tolist(), errors.segments.tolist(), strict=True):
        if min(now[0], then[0]) < LEAST_ROWS:
            continue
        (mae, error), (mae_then, error_then) = _mae(now, scale), _mae(then, scale)
        n, p_value = now[0], float(stats.norm.sf(_z(mae, error, mae_then, error_then)))
        rmse, bias = math.sqrt(now[3] / n) / scale, now[1] / n / scale
        found.append(SegmentError(segmentation, label, n, rmse, mae, bias, mae_then, p_value))
    adjusted = [replace(each, p_value=min(1.0, each.p_value * len(found))) for each in found]
    return sorted(adjusted, key=lambda each: (each.p_value, -each.mae / max(each.mae_then, 1e-300)))


def _mae(totals: Sequence[int], scale: float) -> tuple[float, float]:
    """The mean of |e| of a segment's four sums, and its standard error."""
    n, _, absolute, squared = totals
    mae = absolute / n / scale
    return mae, _error(squared / n / scale**2 - mae * mae, n)


def _error(variance: float, n: int) -> float:
    """The standard error of a mean, given the (population) variance of what it is of."""
    return math.sqrt(max(variance, 0.0) / (n - 1)) if n > 1 else math.inf


def _interval(value: float, error: float, n: int, least: float = -math.inf) -> Interval:
    if n < 2 or not math.isfinite(error):
        return None
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
    return max(value - reach, least), value + reach


def _wilson(inside: int, of: int) -> Interval:
    if not of:
        return None
    z, share = float(stats.norm.ppf((1 + CONFIDENCE) / 2)), inside / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    reach = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _z(now: float, now_error: float, then: float, then_error: float) -> float:
    error = math.hypot(now_error, then_error)
    if error:
        return (now - then) / error
    return math.inf if now > then else 0.0


def _plain(value: Any) -> Any:
    """As JSON can hold it: what is not finite is None."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
