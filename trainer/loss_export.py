"""A loss regressor as the ONNX that `longshore.loss_model` loads: both ensembles in one node with two targets."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
from onnx import TensorProto, checker, helper

from longshore.loss_model import POINTS, SPEC, points_text
from longshore.trainer.export import IR_VERSION, ML_OPSET, OPSET
from longshore.trainer.export_model import additive
from longshore.trainer.graph import Graph
from longshore.trainer.loss import Loss


def loss_onnx(loss: Loss) -> bytes:
    """The file `loss.onnx`; the same regressor gives the same bytes.

    Raises:
        IntegrityError: scikit-learn's trees are not laid out as this program knows them.

    """
    trees, bases = [], []
    for target, (model, columns) in enumerate(zip((loss.within, loss.outside), loss.columns, strict=True)):
        own, base = additive(model)
        places = np.array(columns)
        trees += [replace(tree, feature=places[np.where(tree.leaf, 0, tree.feature)], target=target) for tree in own]
        bases.append(base)
    graph, width = Graph(), len(loss.columns[0]) + 2
    graph.trees(graph.to_double("values"), trees, bases, "expected")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "longshore loss",
            [helper.make_tensor_value_info("values", TensorProto.FLOAT, [None, width])],
            [helper.make_tensor_value_info("expected", TensorProto.FLOAT, [None, 2])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        producer_name="longshore",
        ir_version=IR_VERSION,
    )
    told = {SPEC: msgspec.json.encode(loss.spec).decode(), POINTS: points_text(loss.points, loss.errors)}
    helper.set_model_props(model, told)
    checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
