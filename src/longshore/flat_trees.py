"""An ONNX model's boosted trees as elementwise operators: every node of every tree is asked for every row.

A tree walked row by row waits for a load and a guess at each node. Where trees are small it is faster to compare a
block of rows with all thresholds, and then to follow the rows down level by level, with operators that do many rows at
once. (That all comparisons can be made first is QuickScorer's idea: Lucchese et al., SIGIR 2015. Here it is said in
ONNX's own terms, so a batch stays one call that holds up no other thread.) The comparisons and the order of the sum are
those of the trees: the answers are the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, load_from_string, numpy_helper

from longshore.columns import Floats

MOST_LEAVES = 16
"""Of a tree: with more, most nodes are asked in vain. Of 200 trees with 8 leaves a row takes 0.4 of the time, with 16
0.6, with 31 0.75, and the model takes longer to load than it is worth."""
MOST_NODES = 6_500
"""Of all trees, leaves among them: each takes some nine bytes a row while a block is answered."""
MOST_BYTES = 400_000
"""Of a model: a larger one has too many nodes, and only reading it would hold up the other threads."""
OPSET = 14
"""ONNX's first with sums and products of bytes."""
PLAIN = {"aggregate_function": b"SUM", "post_transform": b"NONE", "n_targets": 1}
OPERATOR = ("ai.onnx.ml", "TreeEnsembleRegressor")
PREFIX = "longshore_flat_"
"""Of every name in the graph that is new."""

NEVER = -1
"""The place of a leaf that a tree does not have, or that is the whole tree: from the end, as `Gather` counts too."""

Indexes = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


def flattened(data: bytes) -> bytes | None:
    """The same model with its trees flat; None where they are large, or not of the form that `longshore train` exports.

    `data`: a model that onnxruntime has loaded. Whatever this raises says no more than that it has another form still.
    """
    if len(data) > MOST_BYTES:
        return None
    model = load_from_string(data)
    nodes = list(model.graph.node)
    ensembles = [node for node in nodes if (node.domain, node.op_type) == OPERATOR]
    opset = max((each.version for each in model.opset_import if not each.domain), default=0)
    trees = Trees.of(ensembles[0]) if len(ensembles) == 1 and opset >= OPSET else None
    if trees is None:
        return None
    graph = _Graph()
    graph.flat(trees, ensembles[0].input[0], ensembles[0].output[0])
    at = nodes.index(ensembles[0])
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:at], *graph.nodes, *nodes[at + 1 :]])
    model.graph.initializer.extend(graph.constants)
    return bytes(model.SerializeToString())


@dataclass(frozen=True, slots=True)
class Trees:
    """An ensemble's n nodes side by side, tree after tree in the order of the sum, each tree's root first.

    `true`, `false`: where a node leads to, as indexes; in `leaf` a node that ends, with its `number` in its tree.
    `values`: float64 [trees, leaves], 0 where a tree has fewer.
    """

    feature: Indexes
    threshold: Floats
    true: Indexes
    false: Indexes
    leaf: Flags
    tree: Indexes
    number: Indexes
    roots: Indexes
    values: Floats
    base: Floats

    @classmethod
    def of(cls, node: Any) -> Trees | None:
        """Read a `TreeEnsembleRegressor`; None but for small trees in float64 that ask for ≤ alone."""
        told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        tensors = {name: numpy_helper.to_array(told.get(f"{name}_as_tensor", _NOTHING)) for name in _TENSORS}
        threshold, weights, base = tensors.values()
        modes, tree = told["nodes_modes"], _array(told["nodes_treeids"])
        if (
            any(told.get(name, default) != default for name, default in PLAIN.items())
            or not set(modes) <= {b"LEAF", b"BRANCH_LEQ"}
            or any(told.get("nodes_missing_value_tracks_true", ()))
            or any(array.dtype != np.float64 or array.ndim != 1 for array in tensors.values())
            or any(told.get(name) for name in _TENSORS)  # the same in float32
            or len(tree) > MOST_NODES
            or tree[0] < 0
            or (np.diff(tree) < 0).any()
        ):
            return None
        leaf, here = np.array([mode == b"LEAF" for mode in modes]), np.arange(len(tree))
        inner = np.flatnonzero(~leaf)
        places = _Places(tree, _array(told["nodes_nodeids"]))
        true, false = here.copy(), here.copy()
        true[inner] = places.of(tree[inner], _array(told["nodes_truenodeids"])[inner])
        false[inner] = places.of(tree[inner], _array(told["nodes_falsenodeids"])[inner])
        ends = places.of(_array(told["target_treeids"]), _array(told["target_nodeids"]))
        _, roots, tree = np.unique(tree, return_index=True, return_inverse=True)
        count = np.bincount(tree[leaf], minlength=len(roots))
        parents = np.bincount(np.concatenate([true[inner], false[inner]]), minlength=len(tree))
        if not (
            len(inner)
            and count.max() <= MOST_LEAVES
            and np.array_equal(parents, ~np.isin(here, roots))
            and _reached(roots, true, false, leaf) == len(leaf)
            and np.array_equal(np.sort(ends), np.flatnonzero(leaf))
        ):
            return None
        number = np.zeros_like(tree)
        number[leaf] = np.arange(leaf.sum()) - np.repeat(np.cumsum(count) - count, count)
        values = np.zeros((len(roots), count.max()))
        values[tree[ends], number[ends]] = weights
        return cls(_array(told["nodes_featureids"]), threshold, true, false, leaf, tree, number, roots, values, base)


_TENSORS = ("nodes_values", "target_weights", "base_values")
_NOTHING = numpy_helper.from_array(np.empty(0, dtype=np.float64))


def _array(values: Sequence[int]) -> Indexes:
    return np.array(values, dtype=np.int64)


def _reached(roots: Indexes, true: Indexes, false: Indexes, leaf: Flags) -> int:
    """How many nodes a way leads to from a root, where no node has two parents."""
    level, count = roots, 0
    while len(level):
        count += len(level)
        inner = level[~leaf[level]]
        level = np.concatenate([true[inner], false[inner]])
    return count


class _Places:
    """Where a node stands among all, by its tree and its number in it."""

    def __init__(self, tree: Indexes, number: Indexes) -> None:
        self._width = int(number.max(initial=0)) + 1
        keys = tree * self._width + number
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def of(self, tree: Indexes, number: Indexes) -> Indexes:
        """Of nodes that are there: onnxruntime loads no tree that leads to another, or nowhere."""
        return self._order[np.searchsorted(self._keys, tree * self._width + number)]


class _Graph:
    """Nodes and constants in the making; every method returns the name of what it added. Rows go from left to right."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def flat(self, trees: Trees, rows: str, output: str) -> None:
        """All of it: `rows` float64 [n, features] to `output` float32 [n, 1]."""
        conditions, met = self._conditions(trees, rows)
        reached, found = self._leaves(trees, conditions, met)
        number = self._number(trees, reached, found)
        first = np.arange(len(trees.roots))[:, None] * trees.values.shape[1]
        places = self.add("Add", self.add("Cast", number, to=TensorProto.INT64), self.constant(first))
        values = self.add(
            "ArrayFeatureExtractor",
            self.constant(trees.values.reshape(1, -1)),
            self.add("Reshape", places, self.constant(_array([-1]))),
            domain="ai.onnx.ml",
        )
        by_tree = self.add("Reshape", values, self.constant(_array([len(trees.roots), -1])))
        total = self.add("ReduceSum", by_tree, self.constant(_array([0])), keepdims=0)
        if len(trees.base):
            total = self.add("Add", total, self.constant(trees.base))
        single = self.add("Cast", total, to=TensorProto.FLOAT)
        self.add("Reshape", single, self.constant(_array([-1, 1])), output=output)

    def _conditions(self, trees: Trees, rows: str) -> tuple[str, Indexes]:
        """Whether a feature is ≤ a threshold, bool [conditions, n], each asked once; and which one each node asks."""
        columns = self.add("Transpose", rows, perm=[1, 0])
        inner = np.flatnonzero(~trees.leaf)
        asked = np.zeros_like(trees.feature)
        met, count = [], 0
        for feature in np.unique(trees.feature[inner]):
            mine = inner[trees.feature[inner] == feature]
            thresholds, which = np.unique(trees.threshold[mine], return_inverse=True)
            asked[mine] = count + which
            count += len(thresholds)
            column = self.take(columns, _array([feature]))
            met.append(self.add("LessOrEqual", column, self.constant(thresholds[:, None])))
        return self.joined(met), asked

    def _leaves(self, trees: Trees, conditions: str, asked: Indexes) -> tuple[str, Indexes]:
        """Whether a leaf is reached, bool [leaves + 1, n]; and where each leaf's is. The last is false: `NEVER`."""
        where = np.full_like(asked, NEVER)
        level, reached = trees.roots[~trees.leaf[trees.roots]], ""
        ended, count = [], 0
        never = self.add("Xor", *[self.take(conditions, _array([0]))] * 2)
        while len(level):
            condition = self.take(conditions, asked[level])
            yes = self.add("And", reached, condition) if reached else condition
            no = self.add("Xor", reached, yes) if reached else self.add("Not", condition)
            both = self.joined([yes, no])
            children = np.concatenate([trees.true[level], trees.false[level]])
            ends, goes_on = np.flatnonzero(trees.leaf[children]), np.flatnonzero(~trees.leaf[children])
            where[children[ends]] = count + np.arange(len(ends))
            count += len(ends)
            if len(ends):
                ended.append(self.take(both, ends))
            level = children[goes_on]
            if len(level):
                reached = self.take(both, goes_on)
        return self.joined([*ended, never]), where

    def _number(self, trees: Trees, reached: str, where: Indexes) -> str:
        """The number of the leaf that is reached, bytes [trees, n]: bit by bit, from the leaves that have it set."""
        most = trees.values.shape[1]
        table = np.full((most, len(trees.roots)), NEVER)
        table[trees.number[trees.leaf], trees.tree[trees.leaf]] = where[trees.leaf]
        number = ""
        planes = {code: self.take(reached, table[code]) for code in range(1, most)}
        for bit in range((most - 1).bit_length()):
            having = [plane for code, plane in planes.items() if code >> bit & 1]
            any_of = having[0]
            for plane in having[1:]:
                any_of = self.add("Or", any_of, plane)
            value = self.add("Cast", any_of, to=TensorProto.UINT8)
            if bit:
                value = self.add("Mul", value, self.constant(np.array(1 << bit, dtype=np.uint8)))
            number = self.add("Add", number, value) if number else value
        return number

    def constant(self, value: Any) -> str:
        name = f"{PREFIX}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        own = f"{PREFIX}{len(self.nodes)}"
        name = output or own
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=own, **attributes))
        return name

    def take(self, matrix: str, places: Indexes) -> str:
        return self.add("Gather", matrix, self.constant(places), axis=0)

    def joined(self, parts: list[str]) -> str:
        return self.add("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]
