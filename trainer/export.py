"""A fitted pipeline as ONNX that `longshore.served_model` loads: the float32 features, then the model in float64.

The features are written by hand, operation for operation as in `longshore.trainer.features`; what comes behind them is
`longshore.trainer.export_model`'s. (skl2onnx writes float32 leaves and sums; predictions near zero then differ by up to
3e-4 relative. Float64 costs no measurable time: docs/decisions/trainer-onnx.md.)
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper

from longshore.columns import Floats
from longshore.trainer.export_model import NEIGHBOURS, neighbours, prediction
from longshore.trainer.features import LARGEST, MISSING, Features, likeness_terms
from longshore.trainer.graph import Graph
from longshore.trainer.recipe import Recipe

OPSET, ML_OPSET, IR_VERSION = 19, 3, 9
"""Old enough for any onnxruntime since 1.16."""


def to_onnx(pipeline: Any) -> bytes:
    """The ONNX bytes of a fitted `longshore.trainer.designs` pipeline; the same pipeline gives the same bytes.

    Raises:
        IntegrityError: the model has no ONNX form here, or is not laid out as this program knows it.

    """
    steps, graph = pipeline.named_steps, Graph()
    matrix = _features(graph, steps["features"])
    if NEIGHBOURS in steps:
        matrix = neighbours(graph, matrix, steps[NEIGHBOURS])
    prediction(graph, matrix, steps)
    return _model(graph, steps["features"].recipe)


def _features(graph: Graph, features: Features) -> str:
    recipe, parts = features.recipe, []
    if recipe.numeric:
        imputed = _numbers(graph, features)
        parts = [imputed, *_curves(graph, recipe, imputed), *_likeness(graph, recipe, imputed, features.centres_)]
    parts += _categories(graph, features)
    return graph.add("Concat", parts, "features", axis=1)


def _numbers(graph: Graph, features: Features) -> str:
    """Ratios and turns beside the raw columns; whatever is not finite becomes its median (or what stands for it)."""
    recipe, parts = features.recipe, ["numeric"]
    if recipe.ratios:
        above = graph.gather("numeric", recipe.places([ratio.numerator for ratio in recipe.ratios]), "numerators")
        below = graph.gather("numeric", recipe.places([ratio.denominator for ratio in recipe.ratios]), "denominators")
        parts.append(graph.add("Div", [above, below], "ratios"))
    if recipe.turns:
        parts.append(_turns(graph, recipe))
    raw = graph.add("Concat", parts, "raw", axis=1)
    size = graph.add("Abs", [raw], "magnitude")
    dropped = (features.limits_ < LARGEST).any()
    largest = graph.constant("largest", features.limits_[np.newaxis, :] if dropped else LARGEST, np.float32)
    finite = graph.add("LessOrEqual", [size, largest], "finite")
    fallback = graph.constant("medians", features.medians_[np.newaxis, :], np.float32)
    return graph.add("Where", [finite, raw, fallback], "imputed")


def _turns(graph: Graph, recipe: Recipe) -> str:
    products = []
    for axis, names, factors in (
        ("x", [turn.x for turn in recipe.turns], [turn.cos for turn in recipe.turns]),
        ("y", [turn.y for turn in recipe.turns], [turn.sin for turn in recipe.turns]),
    ):
        values = graph.gather("numeric", recipe.places(names), f"turn_{axis}")
        factor = graph.constant(f"turn_{axis}_factors", [factors], np.float32)
        products.append(graph.add("Mul", [values, factor], f"turn_{axis}_products"))
    return graph.add("Add", products, "turns")


def _curves(graph: Graph, recipe: Recipe, imputed: str) -> list[str]:
    outputs = []
    for curve in recipe.curves:
        column = graph.gather(imputed, recipe.places([curve.column]), f"{curve.name}_of")
        size = graph.add("Abs", [column], f"{curve.name}_size")
        if curve.kind == "root":
            outputs.append(graph.add("Sqrt", [size], curve.name))
        else:
            one = graph.constant(f"{curve.name}_one", 1.0, np.float64)
            above = graph.add("Add", [one, graph.to_double(size)], f"{curve.name}_above")
            outputs.append(graph.to_single(graph.add("Log", [above], f"{curve.name}_log"), curve.name))
    for bucket in recipe.buckets:
        column = graph.gather(imputed, recipe.places([bucket.column]), f"{bucket.name}_of")
        edges = graph.constant(f"{bucket.name}_edges", [bucket.edges], np.float32)
        above = graph.to_single(graph.add("Greater", [column, edges], f"{bucket.name}_above"), f"{bucket.name}_steps")
        axis = graph.constant(f"{bucket.name}_axis", [1], np.int64)
        outputs.append(graph.add("ReduceSum", [above, axis], bucket.name, keepdims=1))
    return outputs


def _likeness(graph: Graph, recipe: Recipe, imputed: str, centres: Floats) -> list[str]:
    places, middles, factors = likeness_terms(recipe, centres)
    if not places[0]:
        return []
    total = ""
    for i, (columns, middle, factor) in enumerate(zip(places, middles, factors, strict=True)):
        values = graph.to_double(graph.gather(imputed, columns, f"likeness_{i}"))
        apart = graph.add("Sub", [values, graph.constant(f"centres_{i}", [middle], np.float64)], f"apart_{i}")
        scaled = graph.add("Mul", [apart, graph.constant(f"factors_{i}", [factor], np.float64)], f"scaled_{i}")
        squared = graph.add("Mul", [scaled, scaled], f"squared_{i}")
        total = graph.add("Add", [total, squared], f"distance_{i}") if total else squared
    away = graph.add("Neg", [total], "away")
    return [graph.to_single(graph.add("Exp", [away], "likeness_float64"), "likeness")]


def _categories(graph: Graph, features: Features) -> list[str]:
    """A column for each category; or what these, and a missing one, stand for: whole numbers, exact in any order."""
    outputs, recipe = [], features.recipe
    for i, (known, codes) in enumerate(zip(features.categories_, features.codes_, strict=True)):
        if not known:
            continue
        place = graph.constant(f"nominal_{i}_place", i, np.int64)
        column = graph.add("Gather", ["nominal", place], f"nominal_{i}", axis=1)
        if not recipe.ordinal and recipe.missing != "most frequent":
            outputs.append(graph.add("OneHotEncoder", [column], f"one_hot_{i}", cats_strings=known, zeros=1))
            continue
        each = graph.add("OneHotEncoder", [column], f"one_hot_{i}", cats_strings=[*known, MISSING], zeros=1)
        table = graph.constant(f"codes_{i}", codes[: len(known) + 1], np.float32)
        outputs.append(graph.add("MatMul", [each, table], f"coded_{i}"))
    return outputs


def _model(graph: Graph, recipe: Recipe) -> bytes:
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
