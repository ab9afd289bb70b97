"""What a version's manifest says of its own quality: metrics, intervals, segments, and what the gate goes by.

Pure: predictions in, plain values out. Every prediction here is by a model that never saw the row's entity.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from longshore.columns import Floats
from longshore.schema import TargetKind
from longshore.trainer.classes import classification
from longshore.trainer.conformal import conformal
from longshore.trainer.evaluate import bootstrap, metrics
from longshore.trainer.rows import LabelledRows
from longshore.trainer.segments import segments
from longshore.trainer.split import Indexes, group_codes


def figures(
    fresh: LabelledRows, out_of_fold: Floats, test: LabelledRows, served: Floats, *, seed: int
) -> dict[str, Any]:
    """`metrics`, `segments`, `conformal` and `baseline` of a manifest.

    `fresh` are the training rows with their `out_of_fold` predictions, `test` the test rows with the `served` model's.
    """
    groups, test_groups = group_codes(fresh.columns.keys), group_codes(test.columns.keys)
    measured = metrics(served, test.target, test_groups) | {"rows_train": len(fresh), "rows_test": len(test)}
    measured["bootstrap"] = bootstrap(served, test.target, test_groups, seed=seed)
    if test.columns.schema.target_kind is TargetKind.BINARY:
        measured["classification"] = classification(served, test.target, test_groups)
    return {
        "metrics": measured,
        "segments": _by_segment(test, served, test_groups),
        "conformal": conformal(out_of_fold - fresh.target, groups, served - test.target, test_groups),
        "baseline": _baseline(fresh, metrics(out_of_fold, fresh.target, groups), test),
    }


def _by_segment(test: LabelledRows, served: Floats, groups: Indexes) -> dict[str, Any]:
    """The metrics on each segment with enough rows, and which have too few."""
    parts = segments(test)
    measured = [
        {
            "name": part.name,
            "rows": len(part.rows),
            "mean_error": float(np.mean(served[part.rows] - test.target[part.rows])),
            **metrics(served[part.rows], test.target[part.rows], groups[part.rows]),
        }
        for part in parts.tested
    ]
    return {"measured": measured, **parts.told()}


def _baseline(fresh: LabelledRows, out_of_fold: dict[str, Any], test: LabelledRows) -> dict[str, Any]:
    """What needs no model, for the gate: the mean's error, the targets' range, what cross-validation said of R²."""
    mean = float(fresh.target.mean())
    return {
        "prediction": mean,
        "rmse": float(np.sqrt(np.mean((test.target - mean) ** 2))),
        "target_range": [float(fresh.target.min()), float(fresh.target.max())],
        "out_of_fold": {name: out_of_fold[name] for name in ("rmse", "r2", "r2_interval")},
    }
