"""From a raw frame to the float32 matrix models see: ratios, turned axes, medians, curves, likenesses, one-hot columns.

This is one of the two faces of one computation: `longshore.trainer.export` writes the same steps in the same order as
ONNX, and `longshore.trainer.parity` compares them. Every step is a single IEEE operation on float32, so both give the
same bits; what is not (logarithm, exponential) is computed in float64 and rounded once, which hides its last digit.
Which derived columns there are is the recipe's business (`longshore.trainer.recipe`, `longshore.trainer.housing`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from longshore.columns import Floats
from longshore.errors import DataError
from longshore.trainer.recipe import Clusters, Recipe

Singles = npt.NDArray[np.float32]

MAX_CATEGORIES = 64
"""One-hot columns per nominal feature, the most frequent first: an id by mistake must not become 10,000 columns."""
LARGEST = np.finfo(np.float32).max
NONE = np.float32(-1)
"""As the largest magnitude of a column: none of its values is taken, which drops it."""
MISSING = ""
"""A missing text."""


class Features(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Learns medians, centres and categories; turns a frame with the recipe's columns into a float32 matrix.

    Columns may come in any order, others are passed over. A numeric value that is missing, not finite, or beyond
    float32 is imputed as the recipe says, by its column's median or most frequent value; a column that is dropped holds
    its median in every row. A category not learned is zeros, and so is a missing one where it has no stand-in.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Features:
        """Learn what stands for missing numbers (float32; 0 for a column without any), centres, and categories."""
        del y
        recipe, numbers = self.recipe, derived(self.recipe, numeric_matrix(frame, self.recipe.numeric))
        usual = _most_frequent if recipe.missing == "most frequent" else _median
        self.medians_: Singles = np.array([usual(column) for column in numbers.T], dtype=np.float32)
        self.limits_: Singles = np.full(len(self.medians_), LARGEST, dtype=np.float32)
        if recipe.missing == "drop column":
            self.limits_[~(np.abs(numbers) <= LARGEST).all(axis=0)] = NONE
        self.centres_ = _centres(recipe, self._imputed(numbers))
        texts = [_texts(frame, name) for name in recipe.nominal]
        self.categories_ = [_categories(column) for column in texts]
        self.codes_ = [_codes(recipe, *each) for each in zip(texts, self.categories_, strict=True)]
        return self

    def transform(self, frame: pd.DataFrame) -> Singles:
        """The matrix, float32.

        Raises:
            DataError: a column is missing, or holds something that is not a number.

        """
        imputed = self._imputed(derived(self.recipe, numeric_matrix(frame, self.recipe.numeric)))
        parts = [imputed, *_curves(self.recipe, imputed), *likeness(self.recipe, imputed, self.centres_)]
        for name, categories, codes in zip(self.recipe.nominal, self.categories_, self.codes_, strict=True):
            known = {text: i for i, text in enumerate([*categories, MISSING])}
            rows = [known.get(text, len(known)) for text in _texts(frame, name)]
            parts.append(codes[np.array(rows, dtype=np.intp)])
        return np.concatenate(parts, axis=1).astype(np.float32, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """The matrix's columns, in order."""
        del input_features
        recipe = self.recipe
        names = [*recipe.imputed, *(curve.name for curve in recipe.curves)]
        names += [column.name for column in recipe.buckets] + [column.name for column in recipe.radials]
        names += [f"cluster_{i}" for i in range(len(self.centres_))]
        for name, categories in zip(recipe.nominal, self.categories_, strict=True):
            names += [name] * bool(categories) if recipe.ordinal else [f"{name}={category}" for category in categories]
        return np.array(names, dtype=object)

    def _imputed(self, numbers: Singles) -> Singles:
        return np.where(np.abs(numbers) <= self.limits_, numbers, self.medians_)


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


def likeness_terms(recipe: Recipe, centres: Floats) -> tuple[list[list[int]], Floats, Floats]:
    """Every likeness as one formula, exp(−Σ ((x − c) · s)²) over one or two columns.

    Gives for each coordinate the columns' places, and the centres and factors s as float64 [coordinates, likenesses].
    A likeness to one value has a factor of 0 for its second coordinate.
    """
    clusters, count = recipe.clusters, len(centres)
    first = recipe.places([radial.column for radial in recipe.radials])
    axes = [] if clusters is None else recipe.places([clusters.x, clusters.y])
    places = [first + [axis] * count for axis in axes] or [first]
    widths = [radial.width for radial in recipe.radials]
    middles = np.array([[radial.centre for radial in recipe.radials]] * len(places))
    factors = np.zeros_like(middles)
    factors[0] = 1 / np.array(widths)
    if clusters is None:
        return places, middles, factors
    return places, np.hstack([middles, centres.T]), np.hstack([factors, np.full((2, count), 1 / clusters.width)])


def likeness(recipe: Recipe, imputed: Singles, centres: Floats) -> list[Singles]:
    """Likenesses to values and to centres, float32 [n, k]; none where the recipe has none."""
    places, middles, factors = likeness_terms(recipe, centres)
    if not places[0]:
        return []
    total = np.zeros((len(imputed), len(places[0])))
    for columns, middle, factor in zip(places, middles, factors, strict=True):
        step = (imputed[:, columns].astype(np.float64) - middle) * factor
        total += step * step
    with np.errstate(over="ignore", under="ignore"):
        return [np.exp(-total).astype(np.float32)]


def _curves(recipe: Recipe, imputed: Singles) -> list[Singles]:
    """Logarithms, roots and buckets, in the recipe's order, float32 [n, 1] each."""
    found = []
    for curve in recipe.curves:
        size = np.abs(imputed[:, recipe.places([curve.column])])
        found.append(np.log(1.0 + size.astype(np.float64)).astype(np.float32) if curve.kind == "log" else np.sqrt(size))
    for bucket in recipe.buckets:
        edges = np.array(bucket.edges, dtype=np.float32)
        above = imputed[:, recipe.places([bucket.column])] > edges
        found.append(above.sum(axis=1, keepdims=True).astype(np.float32))
    return found


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
    return [MISSING if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in frame:
        raise DataError(f"column {name} is missing", mend=f"there are {', '.join(map(str, frame.columns))}")
    return frame[name]


def _median(column: Singles) -> np.float32:
    finite = column[np.abs(column) <= LARGEST]
    # In float64: halving the sum of two large float32 values must not overflow.
    return np.float32(np.median(finite.astype(np.float64))) if len(finite) else np.float32(0)


def _most_frequent(column: Singles) -> np.float32:
    """The smallest of those that are as frequent."""
    values, counts = np.unique(column[np.abs(column) <= LARGEST], return_counts=True)
    return np.float32(values[counts.argmax()]) if len(values) else np.float32(0)


def _centres(recipe: Recipe, imputed: Singles) -> Floats:
    """K-means centres of the places, float64 [count, 2]; fewer where there are fewer places."""
    if recipe.clusters is None:
        return np.empty((0, 2))
    return _k_means(imputed[:, recipe.places([recipe.clusters.x, recipe.clusters.y])], recipe.clusters)


def _k_means(places: Singles, clusters: Clusters) -> Floats:
    count = min(clusters.count, len(np.unique(places, axis=0)))
    with threadpool_limits(1):  # threads add up in any order, which moves the last digits
        found = KMeans(count, n_init=1, random_state=clusters.seed).fit(places.astype(np.float64))
    centres: Floats = found.cluster_centers_.astype(np.float64)
    return centres


def _categories(texts: list[str]) -> list[str]:
    """The most frequent, in alphabetical order; a missing text is none."""
    counts = Counter(text for text in texts if text != MISSING)
    frequent = sorted(counts, key=lambda text: (-counts[text], text))[:MAX_CATEGORIES]
    return sorted(frequent)


def _codes(recipe: Recipe, texts: list[str], categories: list[str]) -> Singles:
    """What a text becomes, float32 [categories + 2, width]: a row for each category, then for a missing and a new one.

    A category is a column of its own, or the number 1, 2, … in the only one.
    """
    known = len(categories)
    width = min(known, 1) if recipe.ordinal else known
    codes = np.zeros((known + 2, width), dtype=np.float32)
    codes[:known] = np.arange(1, known + 1)[:, np.newaxis] if recipe.ordinal else np.eye(known)
    if recipe.missing == "most frequent" and known:
        counts = Counter(texts)
        codes[known] = codes[max(range(known), key=lambda i: (counts[categories[i]], -i))]
    return codes
