"""From labelled rows to a version's files and manifest: split, choose, fit, evaluate, export, compare, profile.

Pure but for the profile builder it is given (services never import one another; the command line wires the monitor's
in). Nothing is stored here: `longshore.trainer.run` registers the result, or nothing at all.
"""

from __future__ import annotations

import importlib.metadata
import io
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import joblib
import numpy as np
import pandas as pd

from longshore.columns import Floats
from longshore.config import TrainerSettings
from longshore.errors import DataError
from longshore.manifest import SERVING
from longshore.schema import Schema, describe
from longshore.served_model import ServedModel, ServedPipeline
from longshore.trainer import golden, strata
from longshore.trainer.evaluate import metrics
from longshore.trainer.export import to_onnx
from longshore.trainer.fit import Choice, Parameters, choose, fit, predict
from longshore.trainer.gate import MIN_TEST_ROWS
from longshore.trainer.housing import STRATUM_EDGES, recipe_for, stratum_column
from longshore.trainer.parity import compare
from longshore.trainer.rows import LabelledRows, concatenate
from longshore.trainer.split import Mask, group_codes, test_mask

ProfileBuilder = Callable[[pd.DataFrame, Sequence[str]], bytes]
"""(features plus a column `prediction`, names of nominal columns) → a reference profile's bytes."""
Report = Callable[[str, dict[str, Any]], None]
"""Told of each stage as it begins, with its figures. It may raise to stop the run between two stages."""

STAGES = ("dataset", "split", "fit", "export", "evaluate", "profile", "register", "gate", "promote")
LIBRARIES = ("scikit-learn", "onnx", "onnxruntime", "numpy", "pandas", "joblib")


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Fresh `rows`, which are split and judged on, and older `history`, which may help to fit."""

    rows: LabelledRows
    source: str
    history: LabelledRows | None = None
    offsets: dict[str, dict[str, int]] | None = None
    left_out: dict[str, int] = field(default_factory=dict)

    def sha256(self) -> str:
        """The hash of all rows, history among them."""
        parts = [self.rows] if self.history is None or not len(self.history) else [self.rows, self.history]
        return concatenate(parts).sha256()


@dataclass(frozen=True, slots=True)
class Artefacts:
    """A version before it is registered."""

    files: dict[str, bytes]
    manifest: dict[str, Any]


def train(data: TrainingSet, settings: TrainerSettings, build_profile: ProfileBuilder, report: Report) -> Artefacts:
    """Make a version of the rows.

    Raises:
        DataError: the split leaves too few rows on a side.
        IntegrityError: the exported model does not keep the parity rule.

    """
    schema, parameters = data.rows.columns.schema, Parameters(seed=settings.seed)
    mask = test_mask(data.rows.columns.keys, settings.test_share)
    fresh, test = data.rows.split(mask)
    _check_split(fresh, test)
    history = (
        None
        if data.history is None
        else data.history.split(test_mask(data.history.columns.keys, settings.test_share))[0]
    )
    balance = strata.report(strata.strata(*_stratified(data.rows), mask))
    report("split", {"train": len(fresh), "test": len(test), "strata_balanced": balance["balanced"]})
    recipe = recipe_for(schema)
    report("fit", {"rows": len(fresh), "history": 0 if history is None else len(history)})
    choice = choose(fresh, history, recipe, parameters)
    pipeline = fit(fresh, history, choice.candidate, recipe, parameters)
    report("export", {"trees": int(pipeline.named_steps["trees"].n_iter_), "training_set": choice.candidate.name})
    onnx = to_onnx(pipeline)
    model = ServedModel.load(onnx)
    served, expected = model.predict(test.columns), predict(pipeline, test)
    parity = compare(served, expected, test.target, test.columns.record_ids)
    parity.require()
    measured = metrics(served, test.target, group_codes(test.columns.keys))
    report("evaluate", {"rmse": round(measured["rmse"], 6), "r2": measured["r2"], "parity": parity.largest})
    report("profile", {"rows": len(data.rows)})
    profile = build_profile(_reference(data.rows, mask, choice.out_of_fold, served), [f.name for f in schema.nominal])
    baseline = _baseline(fresh, test)
    manifest = _manifest(
        data, schema, parameters, choice, {**measured, "rows_train": len(fresh), "rows_test": len(test)}
    )
    manifest |= {"baseline": baseline, "parity": parity.to_dict(), "split": _split_report(settings, balance)}
    manifest |= _proof(model, pipeline, test)
    return Artefacts({"model.onnx": onnx, "pipeline.joblib": _dumped(pipeline), "profile": profile}, manifest)


def test_rows(data: TrainingSet, settings: TrainerSettings) -> LabelledRows:
    """The fresh rows nothing was ever fitted on: the gate's."""
    return data.rows.split(test_mask(data.rows.columns.keys, settings.test_share))[1]


def _check_split(train_rows: LabelledRows, test: LabelledRows) -> None:
    key = train_rows.columns.schema.key
    for name, rows in (("training", train_rows), ("test", test)):
        if len(rows) < MIN_TEST_ROWS:
            raise DataError(
                f"the split by hash of {key} leaves {len(rows)} {name} rows, {MIN_TEST_ROWS} are needed",
                mend="give more rows, with more different ids, or change LONGSHORE_TRAINER__TEST_SHARE",
            )
    if np.ptp(train_rows.target) == 0:
        raise DataError(f"every training row has the target {train_rows.target[0]:g}", mend="give more varied rows")


def _stratified(rows: LabelledRows) -> tuple[Floats, Floats]:
    """The values whose strata are reported, and the strata's edges."""
    schema = rows.columns.schema
    name = stratum_column(schema)
    if name is None:
        return rows.target, strata.quantile_edges(rows.target)
    position = [field.name for field in schema.numeric].index(name)
    return rows.columns.numeric[:, position], np.array(STRATUM_EDGES)


def _reference(rows: LabelledRows, test: Mask, out_of_fold: Floats, served: Floats) -> pd.DataFrame:
    """Every fresh row with a prediction by a model that never saw its entity: what the stream is compared with.

    History is left out: it is the world before the drift, and a model's era is measured from its own.
    """
    prediction = np.empty(len(rows))
    prediction[~test], prediction[test] = out_of_fold, served
    return rows.columns.frame().assign(prediction=prediction)


def _baseline(train_rows: LabelledRows, test: LabelledRows) -> dict[str, float]:
    mean = float(train_rows.target.mean())
    return {"prediction": mean, "rmse": float(np.sqrt(np.mean((test.target - mean) ** 2)))}


def _proof(model: ServedModel, pipeline: Any, test: LabelledRows) -> dict[str, Any]:
    """What a scorer must have to serve the version, and what it must get from it."""
    schema, (numeric, nominal) = test.columns.schema, (list(model.numeric), list(model.nominal))
    needs = {"serving": SERVING, "target": schema.target, "numeric": numeric, "nominal": nominal}
    fitted = ServedPipeline(pipeline, "")
    return {"needs": needs, "golden": golden.choose(test.columns, model.predict, fitted.predict, (numeric, nominal))}


def _split_report(settings: TrainerSettings, balance: dict[str, Any]) -> dict[str, Any]:
    return {"by": "hash of the entity id", "test_share": settings.test_share, **balance}


def _manifest(
    data: TrainingSet, schema: Schema, parameters: Parameters, choice: Choice, measured: dict[str, Any]
) -> dict[str, Any]:
    history = 0 if data.history is None else len(data.history)
    dataset = {"sha256": data.sha256(), "rows": len(data.rows) + history, "source": data.source}
    if data.offsets is not None:
        dataset |= {"offsets": data.offsets, "history": history, "left_out": data.left_out}
    cross_validation = {"rmse": choice.rmse, "chosen": choice.candidate.name}
    return {
        "schema": describe(schema),
        "metrics": measured,
        "parameters": {**parameters.to_dict(), "cross_validation": cross_validation},
        "dataset": dataset,
        "code_version": importlib.metadata.version("longshore"),
        "libraries": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
        },
        "signature": None,
    }


def _dumped(pipeline: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer, compress=3)
    return buffer.getvalue()
