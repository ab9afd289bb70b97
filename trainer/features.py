"""From a raw frame to the float32 matrix the trees see: ratios, turned axes, median imputing, one-hot columns.

This is one of the two faces of one computation: `longshore.trainer.export` writes the same float32 steps in the same
order as ONNX, and `longshore.trainer.parity` compares them. Every step is a single IEEE operation on float32, so both
give the same bits. Which ratios and turns there are is the recipe's business (`longshore.trainer.housing`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from longshore.errors import DataError

Singles = npt.NDArray[np.float32]

MAX_CATEGORIES = 64
"""One-hot columns per nominal feature, the most frequent first: an id by mistake must not become 10,000 columns."""
LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True, slots=True)
class Ratio:
    """The derived column `numerator / denominator`; imputed where that is not a finite float32."""

    name: str
    numerator: str
    denominator: str


@dataclass(frozen=True, slots=True)
class Turn:
    """The derived column `x · cos + y · sin`: an axis at an angle, along which trees may cut."""

    name: str
    x: str
    y: str
    cos: float
    sin: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which columns come in, in order, and which are derived from them."""

    numeric: tuple[str, ...]
    nominal: tuple[str, ...]
    ratios: tuple[Ratio, ...] = ()
    turns: tuple[Turn, ...] = ()

    @property
    def width(self) -> int:
        """Numeric columns with the derived ones, before one-hot."""
        return len(self.numeric) + len(self.ratios) + len(self.turns)

    def places(self, names: list[str]) -> list[int]:
        """Where numeric columns stand."""
        return [self.numeric.index(name) for name in names]


class Features(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Learns medians and categories; turns a frame with the recipe's columns into float32 [n, width + one-hots].

    Columns may come in any order, others are passed over. A numeric value that is missing, not finite, or beyond
    float32 is imputed by its column's median; a category not learned (missing among them) is zeros.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Features:
        """Learn medians (float32; 0 for a column without any value) and the categories that occur."""
        del y
        numbers = derived(self.recipe, numeric_matrix(frame, self.recipe.numeric))
        self.medians_: Singles = np.array([_median(column) for column in numbers.T], dtype=np.float32)
        self.categories_ = [_categories(_texts(frame, name)) for name in self.recipe.nominal]
        return self

    def transform(self, frame: pd.DataFrame) -> Singles:
        """The matrix, float32.

        Raises:
            DataError: a column is missing, or holds something that is not a number.

        """
        numbers = derived(self.recipe, numeric_matrix(frame, self.recipe.numeric))
        parts = [np.where(np.abs(numbers) <= LARGEST, numbers, self.medians_)]
        for name, categories in zip(self.recipe.nominal, self.categories_, strict=True):
            texts = np.array(_texts(frame, name), dtype=object)
            parts += [(texts == category).astype(np.float32)[:, np.newaxis] for category in categories]
        return np.concatenate(parts, axis=1).astype(np.float32, copy=False)


def derived(recipe: Recipe, numbers: Singles) -> Singles:
    """Append ratios and turns to float32 [n, numeric]; NaN and infinity are left for imputing."""
    above = recipe.places([ratio.numerator for ratio in recipe.ratios])
    below = recipe.places([ratio.denominator for ratio in recipe.ratios])
    x, y = recipe.places([turn.x for turn in recipe.turns]), recipe.places([turn.y for turn in recipe.turns])
    cos = np.array([turn.cos for turn in recipe.turns], dtype=np.float32)
    sin = np.array([turn.sin for turn in recipe.turns], dtype=np.float32)
    with np.errstate(all="ignore"):
        ratios = numbers[:, above] / numbers[:, below]
        turns = numbers[:, x] * cos + numbers[:, y] * sin
    return np.concatenate([numbers, ratios, turns], axis=1)


def numeric_matrix(frame: pd.DataFrame, names: tuple[str, ...]) -> Singles:
    """Numeric columns as float32 [n, k], missing as NaN; None in an object column is missing."""
    matrix = np.empty((len(frame), len(names)), dtype=np.float32)
    for i, name in enumerate(names):
        column = _column(frame, name)
        try:
            values = pd.to_numeric(column.where(column.notna(), np.nan)).to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"column {name} holds something that is not a number ({error})", mend="correct it"
            ) from error
        with np.errstate(over="ignore"):
            matrix[:, i] = values
    return matrix


def _texts(frame: pd.DataFrame, name: str) -> list[str]:
    column = _column(frame, name).astype(object)
    return ["" if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in frame:
        raise DataError(f"column {name} is missing", mend=f"there are {', '.join(map(str, frame.columns))}")
    return frame[name]


def _median(column: Singles) -> np.float32:
    finite = column[np.abs(column) <= LARGEST]
    # In float64: halving the sum of two large float32 values must not overflow.
    return np.float32(np.median(finite.astype(np.float64))) if len(finite) else np.float32(0)


def _categories(texts: list[str]) -> list[str]:
    """The most frequent, in alphabetical order; "" stands for missing and is none."""
    counts = Counter(text for text in texts if text)
    frequent = sorted(counts, key=lambda text: (-counts[text], text))[:MAX_CATEGORIES]
    return sorted(frequent)
