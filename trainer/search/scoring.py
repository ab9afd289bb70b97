"""What a cross-validated design scored, and mixtures of scored designs: arithmetic on out-of-fold predictions only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import nnls

from longshore.columns import Floats
from longshore.trainer.designs import Design
from longshore.trainer.evaluate import mean_interval
from longshore.trainer.rows import LabelledRows
from longshore.trainer.split import Indexes, fold_of, group_codes

LISTED = 200
"""Candidates in a manifest at most, the best ones."""
LEAST_WEIGHT = 0.02
"""A member that a mixture gives less than this is left out: it would cost more than it brings."""


@dataclass(frozen=True, slots=True)
class Folds:
    """Targets of n rows, their entities' numbers, and the fold in which each is predicted (−1: in none)."""

    target: Floats
    groups: Indexes
    fold: Indexes
    count: int


def folds_of(rows: LabelledRows, count: int) -> Folds:
    """Folds by a hash of the entity's id, as `longshore.trainer.fit` has them."""
    return Folds(rows.target, group_codes(rows.columns.keys), fold_of(rows.columns.keys, count), count)


def figures(out_of_fold: Floats, folds: Folds) -> dict[str, Any]:
    """`rmse`, its 95 % `interval` (an entity's rows are one observation), and `fold_rmse`."""
    squared = (out_of_fold - folds.target) ** 2
    by_fold = [squared[folds.fold == i] for i in range(folds.count)]
    return {
        "rmse": float(np.sqrt(squared.mean())),
        "interval": [float(np.sqrt(max(bound, 0.0))) for bound in mean_interval(squared, folds.groups)],
        "fold_rmse": [float(np.sqrt(part.mean())) for part in by_fold if len(part)],
    }


@dataclass(frozen=True, slots=True)
class Scored:
    """A design fitted on `share` of each fold's training rows; `out_of_fold` float64[n] predicts each row unseen.

    `train_rmse` is of the rows fitted on (None where it was not measured), `seconds` of processor time.
    """

    design: Design
    stage: str
    share: float
    out_of_fold: Floats
    figures: dict[str, Any]
    train_rmse: float | None = None
    fits: int = 0
    seconds: float = 0.0

    @property
    def rmse(self) -> float:
        """Cross-validated."""
        return float(self.figures["rmse"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return {
            "name": self.design.name,
            "stage": self.stage,
            "share": self.share,
            **self.figures,
            "train_rmse": self.train_rmse,
            "fits": self.fits,
            "seconds": round(self.seconds, 3),
            "servable": self.design.servable,
            "design": self.design.to_dict(),
        }


def voting(name: str, members: list[Scored], folds: Folds) -> Scored:
    """The plain mean of designs that were scored on the same folds; it costs no fit."""
    design = _mixture(name, "voting", members, np.full(len(members), 1 / len(members)))
    mixed = np.mean([member.out_of_fold for member in members], axis=0)
    return Scored(design, "mixture", 1.0, mixed, figures(mixed, folds))


def stacking(name: str, members: list[Scored], folds: Folds) -> Scored:
    """The mean with the non-negative weights of least squares on out-of-fold predictions (Breiman 1996).

    Its out-of-fold predictions take each fold's weights from the other folds, so its score owes nothing to the rows it
    is scored on. The weights of the design itself come from all rows.
    """
    predictions = np.column_stack([member.out_of_fold for member in members])
    mixed = np.empty(len(folds.target))
    for i in range(folds.count):
        inside, outside = folds.fold == i, folds.fold != i
        mixed[inside] = predictions[inside] @ _weights(predictions[outside], folds.target[outside])
    design = _mixture(name, "stacking", members, _weights(predictions, folds.target))
    return Scored(design, "mixture", 1.0, mixed, figures(mixed, folds))


def bounded(one: Scored, folds: Folds) -> Scored:
    """The same with predictions kept within the targets it was fitted on: each fold's within the others'. No fit."""
    kept = one.out_of_fold.copy()
    for i in range(folds.count):
        inside = folds.fold == i
        kept[inside] = kept_within(folds.target[~inside], kept[inside])
    design = replace(
        one.design, name=f"{one.design.name} bounded", preparation=replace(one.design.preparation, bounded=True)
    )
    return Scored(design, "bounds", one.share, kept, figures(kept, folds), one.train_rmse)


def kept_within(seen: Floats, prediction: Floats) -> Floats:
    """Predictions not below the least target seen, nor above the largest (`longshore.trainer.targets`)."""
    return np.clip(prediction, seen.min(), seen.max()) if len(seen) else prediction


def _weights(predictions: Floats, target: Floats) -> Floats:
    """Non-negative, adding up to 1, the small ones left out; equal where least squares finds none."""
    found = nnls(predictions, target)[0]
    total = found.sum()
    found = np.where(found >= LEAST_WEIGHT * total, found, 0.0)
    return found / found.sum() if total > 0 else np.full(len(found), 1 / len(found))


def _mixture(name: str, family: str, members: list[Scored], weights: Floats) -> Design:
    kept = [(member.design, float(weight)) for member, weight in zip(members, weights, strict=True) if weight > 0]
    first = members[0].design
    return Design(name, family, preparation=first.preparation, members=tuple(kept), seed=first.seed)
