"""An ONNX graph in the making: nodes, constants, and tree tables as one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from longshore.columns import Floats
from longshore.trainer.split import Indexes, Mask

ML_OPERATORS = ("OneHotEncoder", "TreeEnsembleRegressor")


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree's nodes side by side: go left where feature ≤ threshold; a leaf adds its value to the target.

    Where `value` is float64 [nodes, k], a leaf adds to k targets, of which `target` is the first.
    """

    feature: Indexes
    threshold: Floats
    left: Indexes
    right: Indexes
    leaf: Mask
    value: Floats
    target: int = 0


class Graph:
    """Nodes and constants; every method returns the name of what it added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        """A named tensor."""
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node called like its output."""
        domain = "ai.onnx.ml" if operator in ML_OPERATORS else ""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def gather(self, matrix: str, places: list[int], output: str) -> str:
        """Columns of a matrix."""
        return self.add("Gather", [matrix, self.constant(f"{output}_places", places, np.int64)], output, axis=1)

    def to_double(self, matrix: str) -> str:
        """The same in float64."""
        return self.add("Cast", [matrix], f"{matrix}_float64", to=TensorProto.DOUBLE)

    def to_single(self, matrix: str, output: str) -> str:
        """Rounded to float32."""
        return self.add("Cast", [matrix], output, to=TensorProto.FLOAT)

    def trees(self, wide: str, trees: list[Tree], base: list[float], output: str) -> str:
        """The sum of the trees' leaves over `base`, for each target: float32 [n, targets], summed in float64.

        The matrix `wide` is float64, so that a float32 feature meets the very threshold it was trained with.
        """
        return self.add("TreeEnsembleRegressor", [wide], output, **_attributes(trees, base))


def _attributes(trees: list[Tree], base: list[float]) -> dict[str, Any]:
    tree = np.concatenate([np.full(len(each.leaf), i) for i, each in enumerate(trees)])
    number = np.concatenate([np.arange(len(each.leaf)) for each in trees])
    leaf, threshold, feature, left, right = (
        np.concatenate([getattr(each, name) for each in trees])
        for name in ("leaf", "threshold", "feature", "left", "right")
    )
    values = [each.value.reshape(len(each.leaf), -1)[each.leaf] for each in trees]
    added = np.concatenate([np.full(len(value), value.shape[1]) for value in values])
    target = [
        np.tile(np.arange(value.shape[1]) + each.target, len(value)) for each, value in zip(trees, values, strict=True)
    ]
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": number.tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(leaf, 0, feature).tolist(),
        "nodes_values_as_tensor": _double("thresholds", np.where(leaf, 0.0, threshold)),
        "nodes_truenodeids": np.where(leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, right).tolist(),
        "target_treeids": np.repeat(tree[leaf], added).tolist(),
        "target_nodeids": np.repeat(number[leaf], added).tolist(),
        "target_ids": np.concatenate(target).tolist(),
        "target_weights_as_tensor": _double("leaves", np.concatenate([value.ravel() for value in values])),
        "base_values_as_tensor": _double("base", base),
        "n_targets": len(base),
        "aggregate_function": "SUM",
        "post_transform": "NONE",
    }


def _double(name: str, values: Any) -> Any:
    return numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float64), name)
