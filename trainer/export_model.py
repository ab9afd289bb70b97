"""What comes behind the features as ONNX: neighbours, chosen columns, lines, trees and mixtures, the target's curve.

Trees are written from scikit-learn's own node tables, with float64 thresholds, leaves and sums: a float32 feature meets
the very threshold it was trained with, and sums round once, at the end. A mixture of trees is one sum with weighted
leaves; a scaler is folded into the line behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor, VotingRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.tree import DecisionTreeRegressor

from longshore.columns import Floats
from longshore.errors import IntegrityError
from longshore.trainer.graph import Graph, Tree
from longshore.trainer.neighbours import Neighbours
from longshore.trainer.targets import Target

NEIGHBOURS, SELECT, SCALE, MODEL = "neighbours", "select", "scale", "model"
"""The steps of a pipeline behind `features`; only the model is always there."""

Additive = tuple[list[Tree], float]
"""Trees and the constant that their leaves are added to."""


def neighbours(graph: Graph, matrix: str, step: Neighbours) -> str:
    """The matrix with what is around each row as its last columns."""
    columns = np.array(step.columns_)
    trees = [
        replace(
            _tree(tree.tree_), feature=columns[np.maximum(tree.tree_.feature, 0)], value=value, target=i * step.width
        )
        for i, (forest, values) in enumerate(zip(step.forests_, step.values_, strict=True))
        for tree, value in zip(forest.estimators_, values, strict=True)
    ]
    around = graph.trees(graph.to_double(matrix), trees, [0.0] * step.width * len(step.leaves), "hood")
    parts, (own, theirs) = [matrix, around], step.compared()
    if own:
        sides = [graph.gather(matrix, own, "own"), graph.gather(around, theirs, "theirs")]
        parts.append(graph.add("Sub", sides, "above_hood"))
    return graph.add("Concat", parts, "features_and_hood", axis=1)


def prediction(graph: Graph, matrix: str, steps: dict[str, Any]) -> str:
    """From the matrix to the output `prediction`, float32 [n, 1].

    Raises:
        IntegrityError: the model has no ONNX form here.

    """
    if SELECT in steps:
        matrix = graph.gather(matrix, np.flatnonzero(steps[SELECT].get_support()).tolist(), "selected")
    wide, model = graph.to_double(matrix), steps[MODEL]
    if not isinstance(model, TransformedTargetRegressor):
        return _plain(graph, wide, model, steps.get(SCALE), "prediction")
    curved = graph.to_double(_plain(graph, wide, model.regressor_, steps.get(SCALE), "curved"))
    return _straight(graph, curved, model.transformer_)


def _straight(graph: Graph, curved: str, target: Target) -> str:
    """The way back from what the model predicts, in float64, to the output."""
    back = {"plain": None, "log": ("Exp", [curved]), "root": ("Mul", [curved, curved])}[target.curve]
    found = curved if back is None else graph.add(*back, "straight")
    if target.bounded:
        bounds = (("least", target.least_), ("largest_target", target.largest_))
        found = graph.add("Clip", [found, *(graph.constant(name, at, np.float64) for name, at in bounds)], "bounded")
    return graph.to_single(found, "prediction")


def servable(model: Any) -> bool:
    """Whether a model, fitted or not, can be written as ONNX."""
    if isinstance(model, TransformedTargetRegressor):
        return servable(model.regressor)
    if isinstance(model, VotingRegressor):
        return all(isinstance(member, tuple(_TREES)) for _, member in model.estimators)
    return isinstance(model, (Ridge, LinearRegression, *_TREES))


def _plain(graph: Graph, wide: str, model: Any, scaler: Any, output: str) -> str:
    if is_line(model):
        return _line(graph, wide, model, scaler, output)
    trees, base = additive(model)
    return graph.trees(wide, trees, [base], output)


def _line(graph: Graph, wide: str, model: Any, scaler: Any, output: str) -> str:
    """x · w + b."""
    weights, constant = weighed(model, scaler)
    columns = graph.constant("weights", weights[:, np.newaxis], np.float64)
    product = graph.add("MatMul", [wide, columns], "products")
    total = graph.add("Add", [product, graph.constant("constant", [[constant]], np.float64)], "total")
    return graph.to_single(total, output)


def is_line(model: Any) -> bool:
    """Whether a model is x · w + b."""
    return isinstance(model, Ridge | LinearRegression)


def weighed(model: Any, scaler: Any) -> tuple[Floats, float]:
    """A line's w and b, with a scaler's (x − shift) · factor folded into them."""
    weights, constant = np.ravel(model.coef_).astype(np.float64), float(np.ravel(model.intercept_)[0])
    if scaler is not None:
        factor = getattr(scaler, "data_range_", None)
        factor = 1 / scaler.scale_ if factor is None else scaler.scale_
        shift = scaler.mean_ if hasattr(scaler, "mean_") else -scaler.min_ / scaler.scale_
        weights, constant = weights * factor, constant - float(np.sum(weights * factor * shift))
    return weights, constant


def additive(model: Any) -> Additive:
    """A model's trees, whose leaves are added to a constant.

    Raises:
        IntegrityError: it is no sum of trees, or not laid out as this program knows it.

    """
    try:
        for kind, convert in _TREES.items():
            if isinstance(model, kind):
                return convert(model)
        if isinstance(model, VotingRegressor):
            return _mixture(model)
    except (AttributeError, KeyError, ValueError) as error:
        raise IntegrityError(
            f"scikit-learn's trees cannot be exported ({error})", mend="install the version in requirements.lock"
        ) from error
    raise _refused(type(model).__name__)


def _mixture(model: Any) -> Additive:
    given = np.ones(len(model.estimators_)) if model.weights is None else np.asarray(model.weights, dtype=np.float64)
    mixed: list[Tree] = []
    base = 0.0
    for member, weight in zip(model.estimators_, given / given.sum(), strict=True):
        trees, constant = additive(member)
        base += weight * constant
        mixed += [_weighted(tree, weight) for tree in trees]
    return mixed, float(base)


def _weighted(tree: Tree, weight: float) -> Tree:
    return replace(tree, value=tree.value * weight)


def _boosted(model: Any) -> Additive:
    """From the node tables of HistGradientBoostingRegressor (scikit-learn 1.6 to 1.9)."""
    tables = [stage[0].nodes for stage in model._predictors]
    if any(table["is_categorical"].any() for table in tables):
        raise IntegrityError("trees that split on categories cannot be exported", mend="one-hot them")
    trees = [
        Tree(
            feature=nodes["feature_idx"].astype(np.intp),
            threshold=nodes["num_threshold"],
            left=nodes["left"].astype(np.intp),
            right=nodes["right"].astype(np.intp),
            leaf=nodes["is_leaf"].astype(bool),
            value=nodes["value"],
        )
        for nodes in tables
    ]
    return trees, float(np.ravel(model._baseline_prediction)[0])


def _forest(model: Any) -> Additive:
    """The mean of a forest's trees."""
    return [_weighted(_tree(each.tree_), 1 / len(model.estimators_)) for each in model.estimators_], 0.0


def _tree(nodes: Any) -> Tree:
    """From the arrays of a scikit-learn decision tree."""
    return Tree(
        feature=nodes.feature,
        threshold=nodes.threshold,
        left=nodes.children_left,
        right=nodes.children_right,
        leaf=nodes.children_left < 0,
        value=nodes.value[:, 0, 0],
    )


def _refused(what: str) -> IntegrityError:
    return IntegrityError(f"{what} has no ONNX form", mend="choose among servable candidates, or serve joblib")


_TREES: dict[type, Callable[[Any], Additive]] = {
    HistGradientBoostingRegressor: _boosted,
    ExtraTreesRegressor: _forest,
    RandomForestRegressor: _forest,
    DecisionTreeRegressor: lambda model: ([_tree(model.tree_)], 0.0),
}
