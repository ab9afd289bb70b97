"""A fitted pipeline as PMML 4.4, for programs that score with that and not with ONNX: where its steps have such a form.

That is: raw columns, ratios, turned axes, drawn-in tails and one-hot columns, and behind them trees, forests, boosting,
their mixtures, or a line. The rest is refused by name. Each step of the float32 features is a field of its own with
`dataType="float"`, so that whoever evaluates it rounds where `longshore.trainer.features` does; a threshold is written
as the largest float32 that is not above it, which divides float32 values exactly as the float64 does.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
from sklearn.compose import TransformedTargetRegressor

from longshore.columns import Floats
from longshore.errors import ConfigurationError
from longshore.trainer.export_model import MODEL, NEIGHBOURS, SCALE, SELECT, additive, is_line, weighed
from longshore.trainer.features import Features
from longshore.trainer.graph import Tree
from longshore.trainer.recipe import Recipe

NAMESPACE = "http://www.dmg.org/PMML-4_4"
PREDICTED = "prediction"


def to_pmml(pipeline: Any, target: str) -> bytes:
    """The document of a fitted pipeline; the same pipeline gives the same bytes.

    Raises:
        ConfigurationError: a step of it has no PMML form here; the message names it.

    """
    steps = pipeline.named_steps
    features: Features = steps["features"]
    _require_written(features.recipe, steps)
    root = Xml.Element("PMML", version="4.4", xmlns=NAMESPACE)
    header = Xml.SubElement(root, "Header")
    Xml.SubElement(header, "Application", name="longshore", version=importlib.metadata.version("longshore"))
    _data(root, features.recipe, target)
    model, line = steps[MODEL], is_line(steps[MODEL])
    element = Xml.SubElement(root, "RegressionModel" if line else "MiningModel", functionName="regression")
    _schema(element, features.recipe, target)
    trees, base = ([], 0.0) if line else additive(model)
    if not line:
        Xml.SubElement(Xml.SubElement(element, "Targets"), "Target", field=target, rescaleConstant=repr(base))
    columns = _transformations(Xml.SubElement(element, "LocalTransformations"), features)
    if SELECT in steps:
        columns = [columns[i] for i in np.flatnonzero(steps[SELECT].get_support())]
    if line:
        _line(element, columns, *weighed(model, steps.get(SCALE)))
    else:
        _forest(element, columns, trees)
    Xml.indent(root)
    return bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _require_written(recipe: Recipe, steps: dict[str, Any]) -> None:
    found = {
        "prices of the neighbourhood": NEIGHBOURS in steps,
        "likeness to clusters on the map": recipe.clusters is not None,
        "likeness to typical values": bool(recipe.radials),
        "ordinal buckets": bool(recipe.buckets),
        "dropped columns": recipe.missing == "drop column",
        "categories as numbers": recipe.ordinal,
        "a target that is drawn in or bounded": isinstance(steps[MODEL], TransformedTargetRegressor),
    }
    if missing := [name for name, there in found.items() if there]:
        raise ConfigurationError(
            f"it has no PMML form: {', '.join(missing)}", mend="train with --quick, or serve it as ONNX"
        )


def _data(root: Xml.Element, recipe: Recipe, target: str) -> None:
    fields = Xml.SubElement(root, "DataDictionary")
    for name in (*recipe.numeric, target):
        Xml.SubElement(fields, "DataField", name=name, optype="continuous", dataType="double")
    for name in recipe.nominal:
        Xml.SubElement(fields, "DataField", name=name, optype="categorical", dataType="string")


def _transformations(parent: Xml.Element, features: Features) -> list[str]:
    """The feature matrix's columns as fields; their names, in the matrix's order."""
    recipe = features.recipe
    for name in recipe.numeric:
        _field(parent, _raw(name)).append(_reference(name))
    for ratio in recipe.ratios:
        _field(parent, _raw(ratio.name)).append(_divided(_raw(ratio.numerator), _raw(ratio.denominator)))
    for turn in recipe.turns:
        parts = [(f"{turn.name} x", turn.x, turn.cos), (f"{turn.name} y", turn.y, turn.sin)]
        for name, column, factor in parts:
            _field(parent, name).append(
                _apply("*", _reference(_raw(column)), _constant(float(np.float32(factor)), "float"))
            )
        _field(parent, _raw(turn.name)).append(_apply("+", *(_reference(name) for name, *_ in parts)))
    for name, median in zip(recipe.imputed, features.medians_.tolist(), strict=True):
        missing = _apply("isMissing", _reference(_raw(name)))
        _field(parent, _filled(name)).append(_apply("if", missing, _constant(median, "float"), _reference(_raw(name))))
    columns = [_filled(name) for name in recipe.imputed]
    for curve in recipe.curves:
        size = _apply("abs", _reference(_filled(curve.column)))
        _field(parent, curve.name).append(_apply("ln1p", size) if curve.kind == "log" else _apply("sqrt", size))
        columns.append(curve.name)
    for name, categories, codes in zip(recipe.nominal, features.categories_, features.codes_, strict=True):
        for i, category in enumerate(categories):
            columns.append(f"{name}={category}")
            one = Xml.SubElement(_field(parent, columns[-1]), "NormDiscrete", field=name, value=category)
            one.set("mapMissingTo", str(int(codes[len(categories), i])))
    return columns


def _divided(above: str, below: str) -> Xml.Element:
    """above / below; missing where either is, and where `below` is 0. What fails a condition is missing."""
    there = [_apply("isNotMissing", _reference(name)) for name in (above, below)]
    some = _apply("notEqual", _reference(below), _constant(0.0))
    found = _apply("/", _reference(above), _reference(below))
    for condition in (some, *there):
        found = _apply("if", condition, found)
    return found


def _forest(model: Xml.Element, columns: Sequence[str], trees: list[Tree]) -> None:
    parts = Xml.SubElement(model, "Segmentation", multipleModelMethod="sum")
    for number, tree in enumerate(trees):
        part = Xml.SubElement(parts, "Segment", id=str(number))
        Xml.SubElement(part, "True")
        written = Xml.SubElement(part, "TreeModel", functionName="regression", splitCharacteristic="binarySplit")
        used = Xml.SubElement(written, "MiningSchema")
        for i in sorted(set(tree.feature[~tree.leaf].tolist())):
            Xml.SubElement(used, "MiningField", name=columns[i])
        _node(written, columns, tree, 0, Xml.Element("True"))


def _node(parent: Xml.Element, columns: Sequence[str], tree: Tree, at: int, condition: Xml.Element) -> None:
    node = Xml.SubElement(parent, "Node", id=str(at))
    node.append(condition)
    if tree.leaf[at]:
        node.set("score", repr(float(tree.value[at])))
        return
    column, limit = columns[tree.feature[at]], repr(_not_above(float(tree.threshold[at])))
    for child, operator in ((int(tree.left[at]), "lessOrEqual"), (int(tree.right[at]), "greaterThan")):
        predicate = Xml.Element("SimplePredicate", field=column, operator=operator, value=limit)
        _node(node, columns, tree, child, predicate)


def _line(model: Xml.Element, columns: Sequence[str], weights: Floats, constant: float) -> None:
    table = Xml.SubElement(model, "RegressionTable", intercept=repr(constant))
    for name, weight in zip(columns, weights.tolist(), strict=True):
        Xml.SubElement(table, "NumericPredictor", name=name, coefficient=repr(weight))


def _schema(model: Xml.Element, recipe: Recipe, target: str) -> None:
    fields = Xml.SubElement(model, "MiningSchema")
    Xml.SubElement(fields, "MiningField", name=target, usageType="target")
    for name in (*recipe.numeric, *recipe.nominal):
        Xml.SubElement(fields, "MiningField", name=name, invalidValueTreatment="asIs")
    output = Xml.SubElement(model, "Output")
    kind = {"optype": "continuous", "dataType": "double", "feature": "predictedValue"}
    Xml.SubElement(output, "OutputField", {"name": PREDICTED, **kind})


def _not_above(threshold: float) -> float:
    """The largest float32 that is not above it: x ≤ the one and x ≤ the other are the same for every float32 x."""
    single = np.float32(threshold)
    return float(single if float(single) <= threshold else np.nextafter(single, np.float32(-np.inf)))


def _raw(name: str) -> str:
    return f"float({name})"


def _filled(name: str) -> str:
    return f"imputed({name})"


def _field(parent: Xml.Element, name: str) -> Xml.Element:
    return Xml.SubElement(parent, "DerivedField", name=name, optype="continuous", dataType="float")


def _reference(name: str) -> Xml.Element:
    return Xml.Element("FieldRef", field=name)


def _constant(value: float, kind: str = "double") -> Xml.Element:
    element = Xml.Element("Constant", dataType=kind)
    element.text = repr(value)
    return element


def _apply(function: str, *arguments: Xml.Element) -> Xml.Element:
    element = Xml.Element("Apply", function=function)
    element.extend(arguments)
    return element
