"""Flat trees answer with the same bits as trees that are walked; what cannot be flat is left as it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, load_from_string, numpy_helper
from tests.trainer_rows import SCHEMAS, make_rows

from longshore import flat_trees, served_model
from longshore.flat_trees import MOST_BYTES, MOST_LEAVES, MOST_NODES, flattened
from longshore.served_model import FLAT_FROM, FLAT_SLICE_ROWS, ServedModel
from longshore.trainer.export import to_onnx
from longshore.trainer.fit import CANDIDATES, Parameters, fit
from longshore.trainer.housing import recipe_for

FEATURES = 4
GRID = np.array([-1.0, -0.0, 0.0, 0.1, 1 / 3, 1.0, 1e300])
"""Thresholds, and values that meet them exactly."""
ODD = np.array([np.nan, np.inf, -np.inf, 5e-324, np.nextafter(1 / 3, 1)])


def grown(random: np.random.Generator, leaves: int) -> dict[str, list[Any]]:
    """A tree of so many leaves, grown by splitting any; but for the root its nodes come in no order."""
    children: list[tuple[int, int] | None] = [None]
    for _ in range(leaves - 1):
        ends = [i for i, pair in enumerate(children) if pair is None]
        children[random.choice(ends)] = (len(children), len(children) + 1)
        children += [None, None]
    names = [0, *(1 + random.permutation(len(children) - 1))]
    rows = [0, *(1 + random.permutation(len(children) - 1))]
    return {
        "nodes_nodeids": [int(names[i]) for i in rows],
        "nodes_modes": ["LEAF" if children[i] is None else "BRANCH_LEQ" for i in rows],
        "nodes_featureids": [int(random.integers(FEATURES)) for _ in rows],
        "nodes_truenodeids": [int(names[pair[0]]) if (pair := children[i]) else 0 for i in rows],
        "nodes_falsenodeids": [int(names[pair[1]]) if (pair := children[i]) else 0 for i in rows],
        "thresholds": [float(random.choice(GRID)) for _ in rows],
        "target_nodeids": [int(names[i]) for i, pair in enumerate(children) if pair is None],
    }


def attributes(random: np.random.Generator, leaves: list[int], base: list[float]) -> dict[str, Any]:
    told: dict[str, Any] = {"nodes_treeids": [], "target_treeids": []}
    for i, count in enumerate(leaves):
        tree = grown(random, count)
        told["nodes_treeids"] += [i] * len(tree["nodes_nodeids"])
        told["target_treeids"] += [i] * count
        for name, values in tree.items():
            told.setdefault(name, []).extend(values)
    weights = random.normal(0, 1e5, len(told["target_treeids"])) * 10.0 ** random.integers(-9, 9)
    told |= {"nodes_values_as_tensor": doubles(told.pop("thresholds")), "target_weights_as_tensor": doubles(weights)}
    told |= {"target_ids": [0] * len(weights), "n_targets": 1, "aggregate_function": "SUM", "post_transform": "NONE"}
    return told | ({"base_values_as_tensor": doubles(base)} if base else {})


def doubles(values: Any) -> Any:
    return numpy_helper.from_array(np.array(values, dtype=np.float64), "")


def model(*ensembles: dict[str, Any], opset: int = 17, kind: int = TensorProto.DOUBLE) -> bytes:
    outputs = [f"y{i}" for i in range(len(ensembles))]
    nodes = [
        helper.make_node("TreeEnsembleRegressor", ["x"], [output], domain="ai.onnx.ml", **told)
        for output, told in zip(outputs, ensembles, strict=True)
    ]
    x = helper.make_tensor_value_info("x", kind, [None, FEATURES])
    made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, 1]) for output in outputs]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    built = helper.make_model(helper.make_graph(nodes, "trees", [x], made), opset_imports=opsets)
    built.ir_version = 9
    return built.SerializeToString()


def answers(data: bytes, rows: Any) -> Any:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": rows})[0]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, MOST_LEAVES), min_size=1, max_size=12),
    st.lists(st.floats(-1e6, 1e6), max_size=1),
    st.sampled_from([1, 2, 31, 600]),
)
def test_flat_trees_answer_with_the_same_bits(seed: int, leaves: list[int], base: list[float], rows: int) -> None:
    random = np.random.default_rng(seed)
    data = model(attributes(random, leaves, base))
    values = random.choice(np.concatenate([GRID, ODD, random.normal(size=6)]), (rows, FEATURES))
    flat = flattened(data)
    assert (flat is None) == (max(leaves) == 1)
    if flat is not None:
        np.testing.assert_array_equal(answers(flat, values).view(np.int32), answers(data, values).view(np.int32))


def several(**told: Any) -> dict[str, Any]:
    return attributes(np.random.default_rng(1), [8] * 5, [1.0]) | told


def listed(order: list[int], trees: list[int] | None = None) -> dict[str, Any]:
    """One tree of two leaves, or several, its nodes listed in that order, of those trees."""
    told = attributes(np.random.default_rng(1), [2] * (len(order) // 3), [])
    for name in [name for name in told if name.startswith("nodes_") and not name.endswith("tensor")]:
        told[name] = [told[name][i] for i in order]
    told["nodes_values_as_tensor"] = doubles(numpy_helper.to_array(told["nodes_values_as_tensor"])[order])
    return told if trees is None else told | {"nodes_treeids": trees, "target_treeids": sorted(trees[::3] * 2)}


def weightless() -> dict[str, Any]:
    told = listed([0, 1, 2])
    weights = numpy_helper.to_array(told["target_weights_as_tensor"])[:1]
    short = {name: told[name][:1] for name in ("target_treeids", "target_nodeids", "target_ids")}
    return told | short | {"target_weights_as_tensor": doubles(weights)}


def circle() -> dict[str, Any]:
    """A root with two leaves, and two nodes that lead to each other."""
    return several(
        nodes_treeids=[0] * 7,
        nodes_nodeids=list(range(7)),
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_featureids=[0] * 7,
        nodes_truenodeids=[1, 0, 0, 4, 3, 0, 0],
        nodes_falsenodeids=[2, 0, 0, 5, 6, 0, 0],
        nodes_values_as_tensor=doubles([0.0] * 7),
        target_treeids=[0] * 4,
        target_nodeids=[1, 2, 5, 6],
        target_ids=[0] * 4,
        target_weights_as_tensor=doubles([1.0, 2.0, 3.0, 4.0]),
    )


def single() -> dict[str, Any]:
    told = several()
    for name in ("nodes_values", "target_weights", "base_values"):
        told[name] = numpy_helper.to_array(told.pop(f"{name}_as_tensor")).tolist()
    return told


NODES = 75
OTHERS = {
    "larger trees": model(attributes(np.random.default_rng(1), [2, MOST_LEAVES + 1], [])),
    "too many nodes": model(attributes(np.random.default_rng(1), [MOST_LEAVES] * (MOST_NODES // 31 + 1), [])),
    "float32": model(single(), kind=TensorProto.FLOAT),
    "missing values that go left": model(several(nodes_missing_value_tracks_true=[1] * NODES)),
    "another comparison": model(several(nodes_modes=[m.replace("LEQ", "LT") for m in several()["nodes_modes"]])),
    "a mean": model(several(aggregate_function="AVERAGE")),
    "an activation": model(several(post_transform="LOGISTIC")),
    "two targets": model(several(n_targets=2)),
    "a leaf with two weights": model(
        several(target_nodeids=several()["target_nodeids"][:8] * 5, target_treeids=[0] * 40)
    ),
    "thresholds in float32": model(
        several(nodes_values_as_tensor=numpy_helper.from_array(np.zeros(NODES, dtype=np.float32)))
    ),
    "two ways to one leaf": model(
        listed([0, 1, 2]) | {"nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [1, 0, 0]}
    ),
    "a leaf without a weight": model(weightless()),
    "a tree whose root is not its first node": model(listed([1, 0, 2])),
    "trees in another order than their numbers": model(listed([3, 4, 5, 0, 1, 2])),
    "trees in between each other": model(listed([0, 3, 1, 4, 2, 5])),
    "a tree with a negative number": model(listed([0, 1, 2], [-1] * 3)),
    "a circle that nothing leads to": model(circle()),
    "of somebody's own": model(several()).replace(b"ai.onnx.ml", b"ai.mine.ml"),
    "two ensembles": model(several(), several()),
    "operators too old": model(several(), opset=13),
    "no trees": helper.make_model(
        helper.make_graph([], "none", [], []), opset_imports=[helper.make_opsetid("", 17)]
    ).SerializeToString(),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_not_small_trees_in_float64_is_left_as_it_is(what: str) -> None:
    assert flattened(OTHERS[what]) is None


def test_a_large_model_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsing 40 MB keeps the interpreter for a tenth of a second: the scoring loop would stand still at a swap."""
    monkeypatch.setattr(flat_trees, "load_from_string", lambda _: pytest.fail("it was read"))
    assert flattened(bytes(MOST_BYTES + 1)) is None


def test_the_same_trees_without_what_is_other_can_be_flat() -> None:
    assert flattened(model(several())) is not None


@pytest.mark.parametrize(
    "weights", [[1e17, 1.0, -1e17], [1.0, 1e17, -1e17], [-0.0, -0.0, -0.0], [np.inf, 1.0, np.nan]], ids=str
)
def test_the_sum_is_in_the_trees_order(weights: list[float]) -> None:
    told = attributes(np.random.default_rng(2), [2] * len(weights), []) | {
        "target_weights_as_tensor": doubles(np.repeat(weights, 2))
    }
    data, rows = model(told), np.zeros((3, FEATURES))
    flat = flattened(data)
    assert flat is not None
    np.testing.assert_array_equal(answers(flat, rows).view(np.int32), answers(data, rows).view(np.int32))


def test_a_model_that_cannot_be_made_flat_is_served_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    onnx, rows = few_leaves(), make_rows(SCHEMAS["districts"], FLAT_FROM, seed=5).columns
    expected = ServedModel.load(onnx).predict(rows)
    for broken in (lambda _: 1 / 0, lambda _: b"no model"):
        monkeypatch.setattr(served_model, "flattened", broken)
        np.testing.assert_array_equal(ServedModel.load(onnx).predict(rows), expected)


def test_flat_trees_answer_large_batches_alone() -> None:
    class Session:
        def __init__(self, answer: float) -> None:
            self.answer = answer

        def get_modelmeta(self) -> Any:
            return SimpleNamespace(
                custom_metadata_map={"longshore.numeric": '["housing_median_age"]', "longshore.nominal": "[]"}
            )

        def run(self, _: list[str], inputs: dict[str, Any]) -> list[Any]:
            return [np.full((len(inputs["numeric"]), 1), self.answer, dtype=np.float32)]

    served = ServedModel(Session(1.0), "", Session(2.0))
    rows = make_rows(SCHEMAS["districts"], FLAT_SLICE_ROWS + FLAT_FROM, seed=5).columns
    for count, walked in (
        (1, 1),
        (FLAT_FROM - 1, FLAT_FROM - 1),
        (FLAT_FROM, 0),
        (FLAT_SLICE_ROWS + 1, 1),
        (len(rows), 0),
    ):
        assert (served.predict(rows.take(np.arange(count))) == 1.0).sum() == walked


def few_leaves() -> bytes:
    """A model as `longshore train` makes it of few rows."""
    schema = SCHEMAS["districts"]
    return to_onnx(fit(make_rows(schema), None, CANDIDATES[0], recipe_for(schema), Parameters(few_below=10_000)))


def test_a_served_model_answers_a_record_alike_in_any_batch() -> None:
    """Large batches are answered by flat trees, small ones and a slice's rest by trees that are walked."""
    onnx = few_leaves()
    flat = flattened(onnx)
    assert flat is not None
    assert "TreeEnsembleRegressor" not in {node.op_type for node in load_from_string(flat).graph.node}
    served = ServedModel.load(onnx)
    rows = make_rows(SCHEMAS["districts"], FLAT_SLICE_ROWS + FLAT_FROM + 3, seed=5).columns
    together = served.predict(rows)
    cuts = [0, 1, FLAT_FROM - 1, FLAT_FROM, 3 * FLAT_FROM, FLAT_SLICE_ROWS, len(rows) - 1, len(rows)]
    apart = [served.predict(rows.take(np.arange(a, b))) for a, b in zip(cuts, [*cuts[1:], len(rows)], strict=True)]
    np.testing.assert_array_equal(together, np.concatenate(apart))
