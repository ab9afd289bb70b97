"""Targets of two classes: confusion matrix, accuracy, precision, recall, F1 and AUC-ROC from counts. Pure.

Rows are counted by label and by the prediction's place on a grid of [0, 1], so that they add up as errors do. The
confusion matrix is exact; to the AUC rows of one place are ties.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from longshore.profile import Floats, Ints

PLACES = 64
"""Of predictions; a half of them is below `THRESHOLD`, at which a prediction says 1."""

THRESHOLD = 0.5


def of_two_classes(labels: Floats) -> bool:
    """Whether labels are 0 and 1, and nothing else."""
    return bool(len(labels)) and bool(np.isin(labels, (0.0, 1.0)).all()) and bool(labels.min() < labels.max())


def class_counts(predictions: Floats, labels: Floats, each: Ints, panes: int) -> Ints:
    """Int64[panes, 2 · PLACES]: by pane, label (1 second) and place; `each` int64[n] is the row's pane."""
    place = np.clip(np.floor(predictions * PLACES), 0, PLACES - 1).astype(np.int64)
    cells = (each * 2 + (labels == 1.0)) * PLACES + place
    return np.bincount(cells, minlength=panes * 2 * PLACES).reshape(panes, 2 * PLACES)


def class_figures(counts: Ints) -> dict[str, Any] | None:
    """The figures of counts int64[2 · PLACES], named as a version's manifest has them; None of no rows.

    None where there is nothing to divide by: no row said (or known) to be 1, or only one class.
    """
    rows = int(counts.sum())
    if not rows:
        return None
    zeros, ones = counts.reshape(2, PLACES).astype(object)  # Python's integers: products of large counts
    half = int(PLACES * THRESHOLD)
    right, missed = int(ones[half:].sum()), int(ones[:half].sum())
    wrong, spared = int(zeros[half:].sum()), int(zeros[:half].sum())
    below = np.cumsum(zeros) - zeros
    pairs = int(2 * (ones * below).sum() + (ones * zeros).sum())
    return {
        "threshold": THRESHOLD,
        "confusion": {
            "true_positive": right, "false_positive": wrong, "false_negative": missed, "true_negative": spared,
        },
        "accuracy": (right + spared) / rows,
        "precision": _share(right, right + wrong),
        "recall": _share(right, right + missed),
        "f1": _share(2 * right, 2 * right + wrong + missed),
        "auc_roc": _share(pairs, 2 * (right + missed) * (wrong + spared)),
    }  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
