"""A search as plain values: what stands in a manifest under `search` (the shape: `longshore.trainer.search`)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from longshore.trainer.fit import FOLDS, Choice, Parameters
from longshore.trainer.rows import LabelledRows
from longshore.trainer.search.explain import importance, importances
from longshore.trainer.search.plan import Found
from longshore.trainer.search.running import Runner
from longshore.trainer.search.scoring import LISTED, figures, folds_of

CANDIDATES_FILE = "candidates.npz"
KEPT = 10
"""Candidates, the best ones, whose out-of-fold predictions go with a version."""


def predictions(found: Found) -> bytes:
    """The best candidates' out-of-fold predictions, float32[training rows] by name, as an npz file."""
    buffer = io.BytesIO()
    best = {one.design.name: one.out_of_fold.astype(np.float32) for one in reversed(found.candidates[:KEPT])}
    np.savez_compressed(buffer, allow_pickle=False, **best)
    return buffer.getvalue()


def full(found: Found, runner: Runner, explained: dict[str, Any], fits_allowed: int) -> dict[str, Any]:
    """The full profile's."""
    return {
        "profile": "full",
        "rows": len(runner.rows),
        "folds": runner.folds.count,
        "fits": runner.fits,
        "fits_allowed": fits_allowed,
        "stopped": runner.stopped,
        "chosen": found.chosen.design.name,
        "why": found.why,
        "candidates": [one.to_dict() for one in found.candidates[:LISTED]],
        **explained,
    }


def quick(rows: LabelledRows, choice: Choice, parameters: Parameters) -> dict[str, Any]:
    """The quick profile's: the training sets that were compared, and the importances on one fold."""
    folds = folds_of(rows, FOLDS)
    design = {"family": "boosting", "settings": parameters.settings(len(rows)), "seed": parameters.seed}
    common = {"stage": "training set", "share": 1.0, "train_rmse": None, "fits": FOLDS, "seconds": None}
    candidates = [
        {"name": name, **figures(prediction, folds), **common, "servable": True, "design": design}
        for name, prediction in choice.predictions.items()
    ]
    return {
        "profile": "quick",
        "rows": len(rows),
        "folds": FOLDS,
        "fits": FOLDS * len(candidates),
        "fits_allowed": None,
        "stopped": None,
        "chosen": choice.candidate.name,
        "why": "the least cross-validated RMSE",
        "candidates": sorted(candidates, key=lambda candidate: candidate["rmse"]),
        "learning_curve": [],
        "importances": [] if choice.witness is None else importances([importance(*choice.witness, parameters.seed)]),
    }
