"""A fitted pipeline as ONNX that `longshore.served_model` loads: the float32 features, then the trees in float64.

The features are written by hand, operation for operation as in `longshore.trainer.features`. The trees are written from
scikit-learn's own node tables, with float64 thresholds, leaves and sums: a float32 feature meets the very threshold it
was trained with, and sums round once, at the end. (skl2onnx writes float32 leaves and sums; predictions near zero then
differ by up to 3e-4 relative. Float64 costs no measurable time: docs/decisions/trainer-onnx.md.)
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from longshore.errors import IntegrityError
from longshore.trainer.features import LARGEST, Features, Recipe

OPSET, ML_OPSET, IR_VERSION = 19, 3, 9
"""Old enough for any onnxruntime since 1.16."""


class _Graph:
    """Nodes and constants in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        domain = "ai.onnx.ml" if operator in ("OneHotEncoder", "TreeEnsembleRegressor") else ""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output


def to_onnx(pipeline: Any) -> bytes:
    """The ONNX bytes of a fitted `longshore.trainer.fit` pipeline; the same pipeline gives the same bytes.

    Raises:
        IntegrityError: scikit-learn's trees are not laid out as this program knows them.

    """
    features: Features = pipeline.named_steps["features"]
    recipe, graph = features.recipe, _Graph()
    parts = [_numbers(graph, recipe, features.medians_)] if recipe.numeric else []
    parts += _one_hots(graph, features.categories_)
    matrix = graph.add("Concat", parts, "features", axis=1)
    wide = graph.add("Cast", [matrix], "features_float64", to=TensorProto.DOUBLE)
    graph.add("TreeEnsembleRegressor", [wide], "prediction", **_trees(pipeline.named_steps["trees"]))
    return _model(graph, recipe)


def _numbers(graph: _Graph, recipe: Recipe, medians: Any) -> str:
    """Ratios and turns beside the raw columns; whatever is not finite becomes its median."""
    parts = ["numeric"]
    if recipe.ratios:
        above = _gather(graph, recipe, [ratio.numerator for ratio in recipe.ratios], "numerators")
        below = _gather(graph, recipe, [ratio.denominator for ratio in recipe.ratios], "denominators")
        parts.append(graph.add("Div", [above, below], "ratios"))
    if recipe.turns:
        parts.append(_turns(graph, recipe))
    raw = graph.add("Concat", parts, "raw", axis=1)
    size = graph.add("Abs", [raw], "magnitude")
    largest = graph.constant("largest", LARGEST, np.float32)
    finite = graph.add("LessOrEqual", [size, largest], "finite")
    fallback = graph.constant("medians", medians[np.newaxis, :], np.float32)
    return graph.add("Where", [finite, raw, fallback], "imputed")


def _turns(graph: _Graph, recipe: Recipe) -> str:
    products = []
    for axis, names, factors in (
        ("x", [turn.x for turn in recipe.turns], [turn.cos for turn in recipe.turns]),
        ("y", [turn.y for turn in recipe.turns], [turn.sin for turn in recipe.turns]),
    ):
        values = _gather(graph, recipe, names, f"turn_{axis}")
        factor = graph.constant(f"turn_{axis}_factors", [factors], np.float32)
        products.append(graph.add("Mul", [values, factor], f"turn_{axis}_products"))
    return graph.add("Add", products, "turns")


def _gather(graph: _Graph, recipe: Recipe, names: list[str], output: str) -> str:
    places = graph.constant(f"{output}_places", recipe.places(names), np.int64)
    return graph.add("Gather", ["numeric", places], output, axis=1)


def _one_hots(graph: _Graph, categories: list[list[str]]) -> list[str]:
    outputs = []
    for i, known in enumerate(categories):
        if known:
            place = graph.constant(f"nominal_{i}_place", i, np.int64)
            column = graph.add("Gather", ["nominal", place], f"nominal_{i}", axis=1)
            outputs.append(graph.add("OneHotEncoder", [column], f"one_hot_{i}", cats_strings=known, zeros=1))
    return outputs


def _trees(trees: Any) -> dict[str, Any]:
    """Attributes of the ensemble, from the node tables of HistGradientBoostingRegressor (scikit-learn 1.6 to 1.9)."""
    try:
        tables = [stage[0].nodes for stage in trees._predictors]
        nodes = np.concatenate(tables)
        leaf = nodes["is_leaf"].astype(bool)
        tree = np.concatenate([np.full(len(table), i) for i, table in enumerate(tables)])
        number = np.concatenate([np.arange(len(table)) for table in tables])
        thresholds, base = np.where(leaf, 0.0, nodes["num_threshold"]), np.ravel(trees._baseline_prediction)
        categorical = bool(nodes["is_categorical"].any())
        features, left, right, values = (nodes[name] for name in ("feature_idx", "left", "right", "value"))
    except (AttributeError, KeyError, ValueError) as error:
        raise IntegrityError(
            f"scikit-learn's trees cannot be exported ({error})", mend="install the version in requirements.lock"
        ) from error
    if categorical:
        raise IntegrityError("trees that split on categories cannot be exported", mend="one-hot them")
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": number.tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(leaf, 0, features).tolist(),
        "nodes_values_as_tensor": _double("thresholds", thresholds),
        "nodes_truenodeids": np.where(leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, right).tolist(),
        "target_treeids": tree[leaf].tolist(),
        "target_nodeids": number[leaf].tolist(),
        "target_ids": [0] * int(leaf.sum()),
        "target_weights_as_tensor": _double("leaves", values[leaf]),
        "base_values_as_tensor": _double("base", base),
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
    }


def _double(name: str, values: Any) -> Any:
    return numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float64), name)


def _model(graph: _Graph, recipe: Recipe) -> bytes:
    inputs = []
    for name, kind, columns in (
        ("numeric", TensorProto.FLOAT, recipe.numeric),
        ("nominal", TensorProto.STRING, recipe.nominal),
    ):
        if columns:
            inputs.append(helper.make_tensor_value_info(name, kind, [None, len(columns)]))
    output = helper.make_tensor_value_info("prediction", TensorProto.FLOAT, [None, 1])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "longshore", inputs, [output], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        producer_name="longshore",
        ir_version=IR_VERSION,
    )
    names = {"longshore.numeric": recipe.numeric, "longshore.nominal": recipe.nominal}
    helper.set_model_props(model, {key: json.dumps(list(columns)) for key, columns in names.items()})
    checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
