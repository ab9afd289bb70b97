"""How far groups of rows are apart in a window of labels: ratios and gaps with intervals, tests at their limits. Pure.

A group is compared with all rows of the window, itself included; what is tested is its rows against the rest, which are
independent. Which rows are in which group is `longshore.monitor.groups`'s matter, what follows from a breach
`longshore.monitor.fairness_watch`'s. Formulas: docs/fairness.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from longshore.monitor.errors import scales_of
from longshore.monitor.groups import ERRORS, GROUP_TOTALS, Group
from longshore.monitor.performance import CONFIDENCE, figures_of
from longshore.profile import Ints, Profile

MAE_RATIO, BIAS, GROWTH = "mae_ratio", "bias", "ratio_growth"
SELECTION, TRUE_POSITIVE = "selection_rate", "true_positive_rate"
MEASURES = (MAE_RATIO, BIAS, GROWTH, SELECTION, TRUE_POSITIVE)
"""What is judged of a group."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far apart groups may be, by measure (None: not judged); `alpha`: the chance of any false breach in a window.

    `min_rows`: rows on either side below which a group is not judged.
    """

    most: dict[str, float | None]
    min_rows: int = 100
    alpha: float = 0.01


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure of one group.

    Attributes:
        group: the group.
        measure: one of `MEASURES`.
        value: a ratio, or a difference: bias in standard deviations of the error, rates as shares.
        low: lower end of its interval of 95 %, None where it has none.
        high: the upper end.
        limit: what it may reach: a ratio, or a difference to either side.
        p_value: of "it is within the limit", one-sided, after Holm (1979) over the window's findings.
        breach: whether it is beyond, at the window's level.
        within: whether the value itself is within.

    """

    group: Group
    measure: str
    value: float
    low: float | None
    high: float | None
    limit: float
    p_value: float
    breach: bool = False
    within: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain values for an event."""
        return {
            "attribute": self.group.attribute, "group": self.group.name, "measure": self.measure, "value": self.value,
            "low": self.low, "high": self.high, "limit": self.limit, "p_value": self.p_value, "breach": self.breach,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of n values, and the variance of that mean."""

    n: int
    value: float
    variance: float

    @classmethod
    def of(cls, n: int, total: float, squares: float) -> Mean:
        """From the values' sum and sum of squares; n ≥ 2."""
        mean = total / n
        return cls(n, mean, max(squares / n - mean * mean, 0.0) / (n - 1))


@dataclass(frozen=True, slots=True)
class Ratio:
    """A part's mean `a` over that of the whole, b = w·a + (1−w)·rest, of whose rows a share w is the part's.

    The part's and the rest's rows are independent, w is taken as given: var b = w²·var a + (1−w)²·var rest, and the
    covariance is w·var a.
    """

    a: float
    b: float
    var_a: float
    var_b: float
    covariance: float
    df: int

    @classmethod
    def of(cls, part: Mean, rest: Mean) -> Ratio:
        """From both means."""
        w = part.n / (part.n + rest.n)
        return cls(
            part.value, w * part.value + (1 - w) * rest.value, part.variance,
            w * w * part.variance + (1 - w) ** 2 * rest.variance, w * part.variance, part.n - 1,
        )  # fmt: skip

    @property
    def value(self) -> float:
        """a/b."""
        return self.a / self.b if self.b else math.inf if self.a else 1.0

    def p_value(self, limit: float) -> float:
        """Of "the ratio is at most `limit`": Student's test of a − limit·b, with the part's degrees of freedom."""
        variance = self.var_a - 2 * limit * self.covariance + limit * limit * self.var_b
        return _upper(self.a - limit * self.b, variance, self.df)

    def interval(self) -> tuple[float | None, float | None]:
        """Those limits that a two-sided test keeps (Fieller 1954); None where they have no end."""
        t2 = float(stats.t.ppf((1 + CONFIDENCE) / 2, self.df)) ** 2
        square = self.b * self.b - t2 * self.var_b
        half = self.a * self.b - t2 * self.covariance
        free = self.a * self.a - t2 * self.var_a
        inside = half * half - square * free
        if square <= 0 or inside < 0:
            return None, None
        reach = math.sqrt(inside)
        return max(0.0, (half - reach) / square), (half + reach) / square

    @property
    def log_variance(self) -> float:
        """The variance of log(a/b), by the delta method."""
        if not (self.a and self.b):
            return math.inf
        return max(0.0, self.var_a / self.a**2 + self.var_b / self.b**2 - 2 * self.covariance / (self.a * self.b))


def judge(groups: Sequence[Group], totals: Ints, profile: Profile, limits: Limits) -> list[Finding]:
    """The measures of the groups with rows enough, int64[groups + 1, GROUP_TOTALS] with all rows last; worst first."""
    found = [
        finding
        for group, part in zip(groups, totals[:-1], strict=True)
        for finding in _of_group(group, part, totals[-1], profile, limits)
    ]
    adjusted = holm([finding.p_value for finding in found])
    told = [
        replace(finding, p_value=p, breach=p <= limits.alpha and not finding.within)
        for finding, p in zip(found, adjusted, strict=True)
    ]
    return sorted(told, key=lambda finding: finding.p_value)


def _of_group(group: Group, part: Ints, whole: Ints, profile: Profile, limits: Limits) -> Iterator[Finding]:
    rest = whole - part
    if min(part[0], rest[0]) < limits.min_rows:
        return
    ratio = mae_ratio(part, rest)
    if (limit := limits.most.get(MAE_RATIO)) is not None:
        low, high = ratio.interval()
        yield Finding(
            group, MAE_RATIO, ratio.value, low, high, limit, ratio.p_value(limit), within=ratio.value <= limit
        )
    if (limit := limits.most.get(BIAS)) is not None:
        yield _gap((group, BIAS), _bias_gap(part, rest, _spread(profile, whole)), limit, int(part[0]) - 1)
    then = held_out_ratio(group, profile, limits.min_rows)
    if (limit := limits.most.get(GROWTH)) is not None and then is not None:
        yield _growth(group, ratio, then, limit)
    for measure, of in ((SELECTION, _selection), (TRUE_POSITIVE, _true_positive)):
        limit, mine, others = limits.most.get(measure), of(part), of(rest)
        if limit is not None and min(mine[1], others[1]) >= limits.min_rows:
            yield _gap((group, measure), _rate_gap(mine, others), limit, math.inf)


def mae_ratio(part: Ints, rest: Ints) -> Ratio:
    """A group's MAE over that of all rows; the fixed point's unit falls out."""
    means = [Mean.of(int(side[0]), float(side[2]), float(side[3])) for side in (part, rest)]
    return Ratio.of(*means)


def _bias_gap(part: Ints, rest: Ints, spread: float) -> tuple[float, float]:
    """Bias of the part less that of all, in `spread`, and its variance."""
    mine, others = (Mean.of(int(side[0]), float(side[1]), float(side[3])) for side in (part, rest))
    away = others.n / (mine.n + others.n) / spread
    return away * (mine.value - others.value), away**2 * (mine.variance + others.variance)


def _spread(profile: Profile, whole: Ints) -> float:
    """The standard deviation of the error in fixed point: of the held-out rows, or of these where there are none."""
    sums = whole if profile.errors is None or not profile.errors.rows else profile.errors.totals
    n, error, squared = float(sums[0]), float(sums[1]), float(sums[3])
    return math.sqrt(max(squared / n - (error / n) ** 2, 0.0)) or 1.0


def held_out_ratio(group: Group, profile: Profile, min_rows: int) -> Ratio | None:
    """The same ratio of the version's held-out rows; None where the group is none of the profile's segments."""
    errors, at = profile.errors, 0
    if errors is None:
        return None
    for one in profile.segmentations:
        for label in one.labels:
            if (one.name, label) == (group.segments, group.name) and at < len(errors.segments):
                part, rest = errors.segments[at], errors.totals[:4] - errors.segments[at]
                return mae_ratio(part, rest) if min(part[0], rest[0]) >= min_rows else None
            at += 1
    return None


def _growth(group: Group, now: Ratio, then: Ratio, limit: float) -> Finding:
    """The ratio now over the ratio then: a test of the difference of logarithms."""
    if not (now.a and then.a):
        return Finding(group, GROWTH, 1.0, None, None, limit, 1.0)
    away, variance = math.log(now.value / then.value), now.log_variance + then.log_variance
    reach = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    p_value = _upper(away - math.log(limit), variance, math.inf)
    value, low, high = (math.exp(each) for each in (away, away - reach, away + reach))
    return Finding(group, GROWTH, value, low, high, limit, p_value, within=value <= limit)


def _selection(sums: Ints) -> tuple[int, int]:
    """Rows said to be 1, of all that were judged as a class (demographic parity)."""
    return int(sums[ERRORS] + sums[ERRORS + 1]), int(sums[ERRORS:].sum())


def _true_positive(sums: Ints) -> tuple[int, int]:
    """Rows said to be 1, of those that are (equal opportunity)."""
    return int(sums[ERRORS]), int(sums[ERRORS] + sums[ERRORS + 2])


def _rate_gap(mine: tuple[int, int], others: tuple[int, int]) -> tuple[float, float]:
    """A part's rate less that of all, and its variance, for which each has a hit and a miss more (Agresti & Caffo)."""
    away = others[1] / (mine[1] + others[1])
    rates = [(hits + 1) / (n + 2) for hits, n in (mine, others)]
    variance = sum(rate * (1 - rate) / (n + 2) for rate, (_, n) in zip(rates, (mine, others), strict=True))
    return away * (mine[0] / mine[1] - others[0] / others[1]), away**2 * variance


def _gap(about: tuple[Group, str], gap: tuple[float, float], limit: float, df: float) -> Finding:
    """A difference, with its variance, that may be `limit` to either side; there the test has just its level."""
    value, variance = gap
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, df)) * math.sqrt(variance)
    p_value = min(1.0, _upper(abs(value) - limit, variance, df) + _upper(abs(value) + limit, variance, df))
    return Finding(*about, value, value - reach, value + reach, limit, p_value, within=abs(value) <= limit)


def _upper(value: float, variance: float, df: float) -> float:
    """P(T ≥ value/√variance) for Student's T; df infinite: the normal distribution."""
    if variance <= 0 or not math.isfinite(variance):
        return 0.0 if value > 0 and variance <= 0 else 1.0
    return float(stats.t.sf(value / math.sqrt(variance), df))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values: at or below α together, they are wrong of any with a chance of at most α."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, at in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, (len(p_values) - rank) * p_values[at])
        adjusted[at] = min(1.0, largest)
    return adjusted


def figures(groups: Sequence[Group], totals: Ints, profile: Profile, min_rows: int) -> list[dict[str, Any]]:
    """Each group's rows, MAE, RMSE and bias with intervals, and rates of a target of two classes; all rows last."""
    scales, named = scales_of(profile), [*((one.attribute, one.name) for one in groups), ("", "all")]
    found = []
    for (attribute, name), sums in zip(named, totals.tolist(), strict=True):
        # What is known of labels is no figure of a group: two sums of none.
        now = figures_of([*sums[:ERRORS], 0, 0], scales)
        told = {"attribute": attribute, "group": name, "n": sums[0], "insufficient": sums[0] < min_rows}
        if now is not None:
            shown = now.to_dict()
            told |= {key: shown[key] for metric in ("mae", "rmse", "bias") for key in (metric, f"{metric}_interval")}
        if sum(sums[ERRORS:]):
            rates = {SELECTION: _selection(np.array(sums)), TRUE_POSITIVE: _true_positive(np.array(sums))}
            told |= {rate: hits / n if n else None for rate, (hits, n) in rates.items()}
        found.append(told)
    return found


def empty(groups: int) -> Ints:
    """No rows yet."""
    return np.zeros((groups + 1, GROUP_TOTALS), dtype=np.int64)
