"""How well a probability tells two classes apart: confusion matrix, accuracy, precision, recall, F1 and AUC-ROC.

Pure arithmetic, for schemas whose target is 0 or 1 (`target_kind = "binary"`). There a prediction is an estimate of the
probability of 1, fitted by least squares: its squared RMSE is the Brier score, by which the gate compares.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from longshore.columns import Floats
from longshore.trainer.evaluate import mean_interval
from longshore.trainer.split import Indexes, Mask

THRESHOLD = 0.5
"""From here on a prediction says 1."""


def classification(prediction: Floats, target: Floats, groups: Indexes) -> dict[str, Any]:
    """The figures of n rows; accuracy with a 95 % interval in which an entity (`groups`) counts once.

    None where there is nothing to divide by: no row said (or known) to be 1, or only one class.
    """
    said, true = prediction >= THRESHOLD, target == 1
    right, wrong = int((said & true).sum()), int((said & ~true).sum())
    missed, spared = int((~said & true).sum()), int((~said & ~true).sum())
    low, high = mean_interval((said == true).astype(np.float64), groups)
    return {
        "threshold": THRESHOLD,
        "confusion": {
            "true_positive": right,
            "false_positive": wrong,
            "false_negative": missed,
            "true_negative": spared,
        },
        "accuracy": (right + spared) / len(target),
        "accuracy_interval": [max(low, 0.0), min(high, 1.0)],
        "precision": _share(right, right + wrong),
        "recall": _share(right, right + missed),
        "f1": _share(2 * right, 2 * right + wrong + missed),
        "auc_roc": area_under_roc(prediction, true),
    }


def area_under_roc(prediction: Floats, true: Mask) -> float | None:
    """How often a row of class 1 is given more than one of class 0, ties counted half (Mann & Whitney 1947)."""
    ones, zeros = int(true.sum()), int((~true).sum())
    if not ones or not zeros:
        return None
    above = float(rankdata(prediction)[true].sum()) - ones * (ones + 1) / 2
    return above / (ones * zeros)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
