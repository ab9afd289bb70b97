"""Whether the labels of a window are distributed as those of the target's reference. Pure.

Three two-sample tests that hold without a simulation, Bonferroni between them: the likelihood ratio of the decile
shares (χ²), Kolmogorov and Smirnov's at the fine edges (its asymptotic tail is on the safe side for few bins), and
Wilks' exact one on values beyond all that the reference held. An effect below the drift engine's floors is no alarm.
How many windows make an alert is `episodes`'s decision, whether labels are broken `label_faults`'s.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from longshore.monitor import distances
from longshore.monitor.layout import FineLayout
from longshore.monitor.quality.chance import cumulative, gap_p, largest_gap
from longshore.monitor.significance import (
    JS_FLOOR,
    LEAST_REFERENCE,
    OUTSIDE_FLOOR,
    RANK_FLOOR,
    displaced,
    outside,
    outside_p,
    rank_distances,
    share_statistics,
)
from longshore.profile import Floats, Ints, Profile, StreamProfile
from longshore.records import Moved

TESTS = 3
CALM = 0.05
"""A window is calm if it does not alarm and its p-value is above this."""

LARGEST_LEVEL = 0.05
"""Of a window, however large or however short the run length."""


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """The labels of a window beside the reference's, in the target's unit.

    `p_value`: of all three tests together. `rank_distance` and `outside`: as `report.StreamReport` has them.
    """

    n: int
    mean: float
    std: float
    mean_then: float
    std_then: float
    psi: float
    kl: float
    js: float
    wasserstein: float
    wasserstein_sigma: float | None
    ks: float
    rank_distance: float
    outside: float
    p_value: float
    alarm: bool

    @property
    def calm(self) -> bool:
        """Whether nothing speaks for a change, at 5 %."""
        return not self.alarm and self.p_value > CALM

    def to_dict(self) -> dict[str, Any]:
        """Plain values for an event."""
        return asdict(self)

    def moved(self, name: str) -> Moved:
        """The target as a stream of an event's ranking."""
        shared = {field: getattr(self, field) for field in ("p_value", "psi", "kl", "js", "wasserstein")}
        return Moved(
            name, "numeric", self.alarm, **shared, wasserstein_sigma=self.wasserstein_sigma, ks=self.ks,
            outside=self.outside, q_value=self.p_value,
        )  # fmt: skip


def window_level(rows: int, run_length: float, needed: int) -> float:
    """The p-value at or below which a window of `rows` labels alarms.

    An alert uses up `needed` windows that alarm. So with needed·rows/run_length a window there is at most one in
    `run_length` labels on average, however windows depend on each other (they share a reference).
    """
    return min(LARGEST_LEVEL, needed * rows / run_length)


def judge_labels(profile: Profile, counts: Ints, sums: Ints, level: float) -> LabelFigures | None:
    """A window's fine counts and fixed-point sums, int64[bins] each, beside the target's; None of no label."""
    target = profile.target
    if target is None or not counts[:-1].sum():
        return None
    layout = FineLayout.of_profile(replace(profile, streams=(target,)))
    reference, current = layout.for_tests(target.counts), layout.for_tests(counts)
    values, known = counts[:-1], target.counts[:-1]
    n, m = int(values.sum()), int(known.sum())
    ranked = float(rank_distances(layout.tests, reference, current)[0][0])
    beyond = float(outside(layout.tests, reference, current)[0]) / n
    ks = largest_gap(cumulative(known), cumulative(values))
    p_values = np.array(
        [
            _shares_p(layout, reference, current),
            gap_p(ks, n, m),
            float(outside_p(layout.tests, reference, current)[0]),
        ]
    )
    effects = np.array(
        [
            float(displaced(layout.tests, reference, current)[0]) >= JS_FLOOR,
            ranked >= RANK_FLOOR,
            beyond >= OUTSIDE_FLOOR,
        ]
    )
    if m < LEAST_REFERENCE:
        p_values = np.ones(TESTS)
    p, q = (distances.shares(layout.tests.coarse(side)) for side in (reference, current))
    moved = distances.wasserstein_of_bins(target.edges, (known, target.sums[:-1]), (values, sums[:-1]), target.scale)
    mean, std = _moments(target, values, sums[:-1])
    return LabelFigures(
        n=n,
        mean=mean,
        std=std,
        mean_then=target.mean,
        std_then=target.std,
        psi=distances.population_stability_index(p, q),
        kl=distances.relative_entropy(p, q),
        js=distances.jensen_shannon(p, q),
        wasserstein=moved,
        wasserstein_sigma=moved / target.std if target.std > 0 else None,
        ks=ks,
        rank_distance=ranked,
        outside=beyond,
        p_value=min(1.0, TESTS * float(p_values.min())),
        alarm=bool(np.any((TESTS * p_values <= level) & effects)),
    )


def _shares_p(layout: FineLayout, reference: Ints, current: Ints) -> float:
    """The likelihood ratio of the decile shares, against χ² of the bins that either side has."""
    held = np.count_nonzero(layout.tests.coarse(reference) + layout.tests.coarse(current))
    statistic = float(share_statistics(layout.tests, reference, current)[0])
    return float(stats.chi2.sf(statistic, held - 1)) if held > 1 else 1.0


def _moments(target: StreamProfile, counts: Ints, sums: Ints) -> tuple[float, float]:
    """Mean, exact, and standard deviation, of the bins' means (what varies within a bin is left out)."""
    n = int(counts.sum())
    total = float(sums.sum()) / target.scale
    means: Floats = np.divide(sums / target.scale, counts, out=np.zeros(len(counts)), where=counts > 0)
    mean = total / n
    return mean, float(np.sqrt(np.maximum((counts * (means - mean) ** 2).sum() / n, 0.0)))
