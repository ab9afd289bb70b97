"""Prices of the neighbourhood as a feature: what was paid near a row, by rows that are not its own entity's.

A neighbourhood is the leaf of a tree that cuts the map at random, along axes at many angles; the mean over many such
trees is a smooth price at every place (a kernel estimate: Scornet 2016). The cuts know nothing of prices, so leaving an
entity out of the means is all it takes to keep its own price out of its own feature. Served, the trees are one more
node of the ONNX graph: a search for nearest neighbours among all training rows would cost a hundred times as much.
"""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import ExtraTreesRegressor

from longshore.columns import Floats
from longshore.trainer.features import Singles
from longshore.trainer.split import Indexes

AXES, AXES_TRIED = 8, 4
"""Each cut tries 4 of at least 8 axes, places given in turn: few tries often find no cut that leaves enough on both
sides, and leave a wide neighbourhood; more take longer for the same map."""


class Neighbours(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Appends to a float32 matrix the mean targets around each row, a column for each of `leaves`.

    `places` are the columns that say where a row is; `leaves` the least entities in a neighbourhood, a narrow and a
    wide one. An entity counts once, with the means of its rows. `fit_transform` (for training rows) leaves a row's own
    entity out of its features, `transform` (for rows never seen) has all.
    """

    def __init__(
        self, places: tuple[int, ...], trees: int = 20, leaves: tuple[int, ...] = (2, 8), seed: int = 42
    ) -> None:
        self.places = places
        self.trees = trees
        self.leaves = leaves
        self.seed = seed

    def fit(
        self, matrix: Singles, y: Floats, groups: Indexes | None = None, weights: Floats | None = None
    ) -> Neighbours:
        """Cut the map and average the targets; `groups` number the rows' entities, `weights` are the rows'."""
        self.fit_transform(matrix, y, groups, weights)
        return self

    def fit_transform(
        self, matrix: Singles, y: Floats, groups: Indexes | None = None, weights: Floats | None = None
    ) -> Singles:
        """Fit, and give the training rows their features, from other entities only."""
        entity = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
        weight = np.bincount(entity, weights).astype(np.float64)
        price = np.bincount(entity, y if weights is None else y * weights) / weight
        self.columns_ = self.places * -(-AXES // len(self.places))
        place = np.column_stack([np.bincount(entity, matrix[:, i]) / np.bincount(entity) for i in self.columns_])
        self.forests_: list[ExtraTreesRegressor] = []
        self.values_: list[list[Floats]] = []
        prices = [self._learn(leaf, place.astype(np.float32), price, weight) for leaf in self.leaves]
        return _appended(matrix, [each[entity] for each in prices])

    def transform(self, matrix: Singles) -> Singles:
        """The matrix with the neighbourhoods' prices as its last columns, float32."""
        prices = []
        for forest, values in zip(self.forests_, self.values_, strict=True):
            total = np.zeros(len(matrix))
            for leaf, value in zip(forest.apply(matrix[:, list(self.columns_)]).T, values, strict=True):
                total += value[leaf]
            prices.append(total)
        return _appended(matrix, prices)

    def _learn(self, least: int, place: Singles, price: Floats, weight: Floats) -> Floats:
        """Cut maps with at least so many entities in a leaf; each entity's price by the others, float64[entities]."""
        forest = ExtraTreesRegressor(
            self.trees, min_samples_leaf=least, max_features=AXES_TRIED, random_state=self.seed + least
        ).fit(place, np.random.default_rng([self.seed, least]).random(len(price)))
        total, values = np.zeros(len(price)), []
        for tree, leaf in zip(forest.estimators_, forest.apply(place).T, strict=True):
            nodes = tree.tree_.node_count
            size, paid = np.bincount(leaf, weight, nodes), np.bincount(leaf, weight * price, nodes)
            values.append(np.divide(paid, size, out=np.zeros_like(paid), where=size > 0) / self.trees)
            alone = np.bincount(leaf)[leaf] < 2
            others = np.where(alone, 1.0, size[leaf] - weight)
            total += np.where(alone, price.mean(), (paid[leaf] - weight * price) / others)
        self.forests_.append(forest)
        self.values_.append(values)
        return total / self.trees


def _appended(matrix: Singles, prices: list[Floats]) -> Singles:
    return np.concatenate([matrix, *(price.astype(np.float32)[:, np.newaxis] for price in prices)], axis=1)
