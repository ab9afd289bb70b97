"""Which features a fitted pipeline needs, measured on rows it was not fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from longshore.columns import Columns, Floats
from longshore.trainer.fit import predict
from longshore.trainer.rows import LabelledRows
from longshore.trainer.split import Indexes

LISTED = 20
MOST_ROWS = 2_000
"""Each feature costs a prediction of so many rows at most."""


def importance(pipeline: Pipeline, unseen: LabelledRows, seed: int) -> dict[str, float]:
    """For each feature, how much the RMSE grows when its values are dealt out anew (Breiman 2001)."""
    chance = np.random.default_rng(seed)
    if len(unseen) > MOST_ROWS:
        unseen = unseen.take(np.sort(chance.permutation(len(unseen))[:MOST_ROWS]))
    before, order = rmse(predict(pipeline, unseen), unseen.target), chance.permutation(len(unseen))
    return {
        name: rmse(predict(pipeline, _permuted(unseen, name, order)), unseen.target) - before
        for name in unseen.columns.schema.feature_names
    }


def importances(by_fold: list[dict[str, float]]) -> list[dict[str, Any]]:
    """The features by their mean importance over the folds it was measured on, at most 20."""
    mean = {name: float(np.mean([fold[name] for fold in by_fold])) for name in by_fold[0]}
    first = sorted(mean, key=lambda name: -mean[name])[:LISTED]
    return [
        {"column": name, "rmse_increase": mean[name], "by_fold": [fold[name] for fold in by_fold]} for name in first
    ]


def _permuted(rows: LabelledRows, name: str, order: Indexes) -> LabelledRows:
    columns = rows.columns
    numeric, nominal = columns.numeric.copy(), list(columns.nominal)
    for i, field in enumerate(columns.schema.numeric):
        if field.name == name:
            numeric[:, i] = numeric[order, i]
    for i, field in enumerate(columns.schema.nominal):
        if field.name == name:
            nominal[i] = [nominal[i][row] for row in order.tolist()]
    changed = Columns(columns.schema, columns.record_ids, columns.keys, columns.event_times, numeric, nominal)
    return LabelledRows(changed, rows.target)


def rmse(prediction: Floats, target: Floats) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((prediction - target) ** 2)))
