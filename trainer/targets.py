"""What a model predicts in place of the target, and the way back: its logarithm or root, kept within what was seen.

The way back is once more in `longshore.trainer.export_model`, as ONNX.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from longshore.columns import Floats

CURVES = {"plain": (None, None), "log": (np.log, np.exp), "root": (np.sqrt, np.square)}


class Target(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Draws targets float64[n, 1] in by `curve`, and turns predictions back.

    Where `bounded`, a prediction is never below the least target seen in training nor above the largest: prices that a
    census caps, or a probability. It cannot follow the target beyond them either, until it is trained again.
    """

    def __init__(self, curve: Literal["plain", "log", "root"] = "plain", bounded: bool = False) -> None:
        self.curve = curve
        self.bounded = bounded

    def fit(self, y: Floats) -> Target:
        """Learn the least and the largest target."""
        self.least_, self.largest_ = float(np.min(y)), float(np.max(y))
        return self

    def transform(self, y: Floats) -> Floats:
        """What the model is fitted on."""
        there, _ = CURVES[self.curve]
        return y if there is None else np.asarray(there(y))

    def inverse_transform(self, y: Floats) -> Floats:
        """The target of what the model predicts."""
        _, back = CURVES[self.curve]
        found = y if back is None else np.asarray(back(y))
        return np.clip(found, self.least_, self.largest_) if self.bounded else found
