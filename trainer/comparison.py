"""Two models' losses on the same rows: is one better, on which segments is it worse, and did the world change?

Pure statistics on paired losses, entities as observations. What follows is `longshore.trainer.gate`'s decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from longshore.columns import Floats
from longshore.trainer.evaluate import clustered_mean
from longshore.trainer.segments import Segment
from longshore.trainer.split import Indexes

FAMILY_ALPHA = 0.05
"""The chance that any segment at all is called worse where none is (Holm 1979)."""
WORLD_CHANGED_AT_SIGMA = 1.96


@dataclass(frozen=True, slots=True)
class Loss:
    """|error|^power: 2 for the RMSE, 1 for the MAE."""

    name: str
    power: int

    def of(self, prediction: Floats, target: Floats) -> Floats:
        """Each row's loss."""
        found: Floats = np.abs(prediction - target) ** self.power
        return found

    def figure(self, losses: Floats) -> float:
        """The metric of these losses, in the target's unit."""
        return float(losses.mean() ** (1 / self.power))

    def allowed(self, margin: float) -> float:
        """The factor on the mean loss that a relative `margin` on the metric is."""
        return float((1 + margin) ** self.power)


LOSSES = {"rmse": Loss("RMSE", 2), "mae": Loss("MAE", 1)}


@dataclass(frozen=True, slots=True)
class Paired:
    """A challenger's and a champion's losses on n rows, whose entities are numbered by `groups`."""

    challenger: Floats
    champion: Floats
    groups: Indexes

    def take(self, rows: Indexes) -> Paired:
        """The pairs of these rows."""
        return Paired(self.challenger[rows], self.champion[rows], self.groups[rows])

    def worst(self, allowed: float = 1.0) -> float:
        """The upper end of the 95 % interval of mean(challenger − allowed · champion)."""
        return clustered_mean(self.challenger - allowed * self.champion, self.groups).interval()[1]

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean difference, challenger − champion."""
        return clustered_mean(self.challenger - self.champion, self.groups).interval()

    def identical(self) -> bool:
        """Whether no row tells the two apart."""
        return bool(np.array_equal(self.challenger, self.champion))


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """One segment: both metrics, the one-sided p-value of "not worse by more than the margin", and the verdict."""

    name: str
    rows: int
    challenger: float
    champion: float
    p_value: float
    worse: bool


def worse_segments(paired: Paired, parts: Sequence[Segment], loss: Loss, margin: float) -> list[SegmentResult]:
    """Test every segment, the family's error held by Holm's correction.

    It asks whether the challenger is shown to be worse by more than `margin`, not whether it is shown not to be: with
    many segments that could never be proven for all of them.
    """
    allowed, means, found = loss.allowed(margin), [], []
    for part in parts:
        inside = paired.take(part.rows)
        means.append(clustered_mean(inside.challenger - allowed * inside.champion, inside.groups))
        found.append((loss.figure(inside.challenger), loss.figure(inside.champion)))
    p_values = one_sided(np.array([(m.value, m.error, m.freedom) for m in means]).reshape(-1, 3))
    rejected = holm(p_values)
    return [
        SegmentResult(part.name, len(part.rows), *figures, float(p), bool(worse))
        for part, figures, p, worse in zip(parts, found, p_values, rejected, strict=True)
    ]


def one_sided(means: Floats) -> Floats:
    """The p-values of "the mean is at most 0" for rows (mean, standard error, degrees of freedom): Student's t."""
    value, error, freedom = means.T
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(error > 0, value / error, np.where(value > 0, np.inf, -np.inf))
    found: Floats = np.where(freedom >= 1, stats.t.sf(statistic, np.maximum(freedom, 1)), 1.0)
    return found


def holm(p_values: Floats, alpha: float = FAMILY_ALPHA) -> npt.NDArray[np.bool_]:
    """Which hypotheses fall, with at most `alpha` chance of any wrongly: step down until one stands (Holm 1979)."""
    order, count = np.argsort(p_values, kind="stable"), len(p_values)
    falls = np.minimum.accumulate(p_values[order] <= alpha / np.arange(count, 0, -1)) if count else np.empty(0, bool)
    rejected = np.zeros(count, dtype=np.bool_)
    rejected[order] = falls
    return rejected


def world_changed(fresh: Floats, fresh_groups: Indexes, history: Floats, history_groups: Indexes) -> bool:
    """Whether one model's mean loss is larger on fresh rows than on history's, by more than chance.

    Then history is another world, and being worse there is what learning the present costs.
    """
    now, then = clustered_mean(fresh, fresh_groups), clustered_mean(history, history_groups)
    spread = float(np.hypot(now.error, then.error))
    return bool(now.value - then.value > WORLD_CHANGED_AT_SIGMA * spread)
