"""What is near a row as features: what was paid there, by rows that are not its own entity's, and who lives there.

A neighbourhood is the leaf of a tree that cuts the map at random, along axes at many angles; the mean over many such
trees is a smooth price at every place (a kernel estimate: Scornet 2016). The cuts know nothing of prices, so leaving an
entity out of the means is all it takes to keep its own price out of its own feature. How far a neighbourhood reaches
tells town from country. Served, the trees are one more node of the ONNX graph: a search for nearest neighbours among
all training rows would cost a hundred times as much.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import ExtraTreesRegressor

from longshore.columns import Floats
from longshore.trainer.features import Singles
from longshore.trainer.split import Indexes

AXES, AXES_TRIED = 8, 4
"""Each cut tries 4 of at least 8 axes, places given in turn: few tries often find no cut that leaves enough on both
sides, and leave a wide neighbourhood; more take longer for the same map."""
NO_REACH = 1e-7
"""Added to a neighbourhood's variance, as a part of the whole map's: all of it may be in one place."""
FINE_UNTIL = 20_000
"""Entities; of more, a neighbourhood has more in proportion: the served trees do not grow without end."""


class Neighbours(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Appends to a float32 matrix what is around each row, `width` columns and more for each of `leaves`.

    They are the mean target, the means of the columns `means`, and the logarithm of how far the neighbourhood reaches.
    Behind all of them stands how far a row's own `means` are above those around it, again for each of `leaves`.
    `places` are the columns that say where a row is; `leaves` the least entities in a neighbourhood, a narrow and a
    wide one. An entity counts once, with the means of its rows. `fit_transform` (for training rows) leaves a row's own
    entity out of its features, `transform` (for rows never seen) has all.
    """

    def __init__(
        self,
        places: tuple[int, ...],
        means: tuple[int, ...] = (),
        trees: int = 40,
        leaves: tuple[int, ...] = (3, 12),
        seed: int = 42,
    ) -> None:
        self.places = places
        self.means = means
        self.trees = trees
        self.leaves = leaves
        self.seed = seed

    @property
    def width(self) -> int:
        """What is told of each neighbourhood."""
        return 2 + len(self.means)

    def compared(self) -> tuple[list[int], list[int]]:
        """Which columns of the matrix are compared with which of those that are appended, counted from the first."""
        theirs = [i * self.width + 1 + j for i in range(len(self.leaves)) for j in range(len(self.means))]
        return list(self.means) * len(self.leaves), theirs

    def fit(
        self, matrix: Singles, y: Floats, groups: Indexes | None = None, weights: Floats | None = None
    ) -> Neighbours:
        """Cut the map and average what is on it; `groups` number the rows' entities, `weights` are the rows'."""
        self.fit_transform(matrix, y, groups, weights)
        return self

    def fit_transform(
        self, matrix: Singles, y: Floats, groups: Indexes | None = None, weights: Floats | None = None
    ) -> Singles:
        """Fit, and give the training rows their features, from other entities only."""
        entity = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
        weight = np.bincount(entity, weights).astype(np.float64)
        seen: list[Floats] = [y, *(matrix[:, i].astype(np.float64) for i in self.means)]
        facts = [np.bincount(entity, each if weights is None else each * weights) / weight for each in seen]
        self.columns_ = self.places * -(-AXES // len(self.places))
        place = np.column_stack([np.bincount(entity, matrix[:, i]) / np.bincount(entity) for i in self.columns_])
        self.forests_: list[ExtraTreesRegressor] = []
        self.values_: list[list[Floats]] = []
        found = [self._learn(least, place.astype(np.float32), np.column_stack(facts), weight) for least in self.leaves]
        return self._appended(matrix, [each[entity] for each in found])

    def transform(self, matrix: Singles) -> Singles:
        """The matrix with what is around each row as its last columns, float32."""
        found, place = [], matrix[:, list(self.columns_)]
        for forest, values in zip(self.forests_, self.values_, strict=True):
            total = np.zeros((len(matrix), self.width))
            for leaf, value in zip(forest.apply(place).T, values, strict=True):
                total += value[leaf]
            found.append(total)
        return self._appended(matrix, found)

    def _appended(self, matrix: Singles, found: list[Floats]) -> Singles:
        around = np.concatenate([each.astype(np.float32) for each in found], axis=1)
        own, theirs = self.compared()
        return np.concatenate([matrix, around, matrix[:, own] - around[:, theirs]], axis=1)

    def _learn(self, least: int, place: Singles, facts: Floats, weight: Floats) -> Floats:
        """Maps with at least so many entities in a leaf; what is around each entity without it, [entities, width]."""
        least = max(least, least * len(place) // FINE_UNTIL)
        forest = _maps(place.tobytes(), place.shape[1], self.trees, least, self.seed)
        total, values = np.zeros((len(facts), self.width)), []
        weighted, whole = weight[:, np.newaxis] * facts, float(place.var(axis=0, dtype=np.float64).sum()) or 1.0
        for tree, leaf in zip(forest.estimators_, forest.apply(place).T, strict=True):
            nodes = tree.tree_.node_count
            size, sums = np.bincount(leaf, weight, nodes)[:, np.newaxis], _sums(leaf, weighted, nodes)
            reach = np.log(_variance(leaf, place, nodes) + NO_REACH * whole)[:, np.newaxis]
            mean = np.divide(sums, size, out=np.zeros_like(sums), where=size > 0)
            values.append(np.concatenate([mean, reach], axis=1) / self.trees)
            alone = (np.bincount(leaf)[leaf] < 2)[:, np.newaxis]
            others = np.where(alone, 1.0, size[leaf] - weight[:, np.newaxis])
            total[:, :-1] += np.where(alone, facts.mean(axis=0), (sums[leaf] - weighted) / others)
            total[:, -1:] += reach[leaf]
        self.forests_.append(forest)
        self.values_.append(values)
        return total / self.trees


@lru_cache(maxsize=12)
def _maps(places: bytes, axes: int, trees: int, least: int, seed: int) -> ExtraTreesRegressor:
    """Random maps of float32 [n, axes]; the designs of a search share theirs, and cutting them takes longest."""
    place = np.frombuffer(places, dtype=np.float32).reshape(-1, axes)
    forest = ExtraTreesRegressor(trees, min_samples_leaf=least, max_features=AXES_TRIED, random_state=seed + least)
    return forest.fit(place, np.random.default_rng([seed, least]).random(len(place)))


def _sums(leaf: Indexes, values: Floats | Singles, nodes: int) -> Floats:
    """Each node's sums of the columns of `values`, float64 [nodes, columns]."""
    return np.column_stack([np.bincount(leaf, column, nodes) for column in values.T])


def _variance(leaf: Indexes, place: Singles, nodes: int) -> Floats:
    """Of the places in each node, summed over the axes, float64 [nodes]."""
    count = np.maximum(np.bincount(leaf, minlength=nodes), 1)[:, np.newaxis]
    middle = _sums(leaf, place, nodes) / count
    apart: Floats = (_sums(leaf, (place - middle[leaf]) ** 2, nodes) / count).sum(axis=1)
    return apart
