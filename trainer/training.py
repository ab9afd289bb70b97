"""From labelled rows to a version's files and manifest: split, choose, fit, evaluate, export, compare, profile, pages.

Pure but for the profile builder it is given (services never import one another; the command line wires the monitor's
in). Nothing is stored here: `longshore.trainer.run` registers the result, or nothing at all.
"""

from __future__ import annotations

import importlib.metadata
import io
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import pandas as pd

from longshore.columns import Floats
from longshore.config import TrainerSettings
from longshore.errors import DataError
from longshore.loss_model import FILE as LOSS
from longshore.manifest import SERVING
from longshore.schema import Schema, describe
from longshore.served_model import ServedModel, ServedPipeline
from longshore.trainer import golden, strata
from longshore.trainer.figures import figures
from longshore.trainer.fit import predict
from longshore.trainer.framing import Framing, described
from longshore.trainer.gate import MIN_TEST_ROWS
from longshore.trainer.loss import fit_loss, refit_of
from longshore.trainer.loss_export import loss_onnx
from longshore.trainer.making import Made, Report, make
from longshore.trainer.pages.version import version_pages
from longshore.trainer.parity import compare
from longshore.trainer.rows import LabelledRows
from longshore.trainer.segments import stratified
from longshore.trainer.split import Mask, test_mask
from longshore.trainer.training_set import TrainingSet

ProfileBuilder = Callable[[pd.DataFrame, Sequence[str], Floats], bytes]
"""(features plus a column `prediction`, names of nominal columns, the truth by row) → a reference profile's bytes."""
STAGES = ("dataset", "split", "fit", "export", "evaluate", "profile", "register", "gate", "promote")
LIBRARIES = ("scikit-learn", "onnx", "onnxruntime", "numpy", "pandas", "joblib")


@dataclass(frozen=True, slots=True)
class Artefacts:
    """A version before it is registered."""

    files: dict[str, bytes]
    manifest: dict[str, Any]


def train(
    data: TrainingSet,
    settings: TrainerSettings,
    build_profile: ProfileBuilder,
    report: Report,
    *,
    kept: str | None = None,
    asked: Framing | None = None,
    previous: bytes | None = None,
) -> Artefacts:
    """Make a version of the rows; `kept` is the folder from which a killed search goes on, `asked` the framing.

    `previous` is the last version's `summary.json`: the pages tell what has changed since.

    Raises:
        DataError: the split leaves too few rows on a side.
        IntegrityError: the exported model does not keep the parity rule.

    """
    schema = data.rows.columns.schema
    mask = test_mask(data.rows.columns.keys, settings.test_share)
    fresh, count = data.rows.take(np.flatnonzero(~mask)), int(mask.sum())
    _check_split(fresh, count)
    history = (
        None
        if data.history is None
        else data.history.split(test_mask(data.history.columns.keys, settings.test_share))[0]
    )
    report("split", {"train": len(fresh), "test": count})
    made = make(fresh, history, settings, report, kept)
    test = data.rows.take(np.flatnonzero(mask))  # the first look at any of them: everything is chosen
    model = ServedModel.load(made.onnx)
    served, expected = model.predict(test.columns), predict(made.pipeline, test)
    parity = compare(served, expected, test.target, test.columns.record_ids)
    parity.require()
    found = figures(fresh, made.out_of_fold, test, served, seed=settings.seed)
    measured = found["metrics"]
    report("evaluate", {"rmse": round(measured["rmse"], 6), "r2": measured["r2"], "parity": parity.largest})
    report("profile", {"rows": len(data.rows)})
    unseen, nominal = _unseen(mask, made.out_of_fold, served), [f.name for f in schema.nominal]
    reference = data.rows.columns.frame().assign(prediction=unseen)
    profile = build_profile(reference, nominal, np.asarray(data.rows.target, dtype=np.float64))
    loss, described_loss = _loss(data.rows, unseen, made.pipeline, settings.seed)
    _, values, edges = stratified(data.rows)
    balance = strata.report(strata.strata(values, edges, mask))
    manifest = _manifest(data, schema, made) | found | {"parity": parity.to_dict()}
    manifest |= {"split": _split_report(settings, balance)}
    if asked is not None:
        manifest["framing"] = described(asked, data.rows)
    manifest |= _proof(model, made.pipeline, test) | described_loss
    files = {
        "model.onnx": made.onnx,
        "pipeline.joblib": _dumped(made.pipeline),
        "profile": profile,
        **made.files,
        **loss,
    }
    sizes = {name: len(content) for name, content in files.items()}
    return Artefacts(files | version_pages(fresh, test, served, manifest, sizes=sizes, previous=previous), manifest)


def _check_split(train_rows: LabelledRows, test_rows: int) -> None:
    key = train_rows.columns.schema.key
    for name, rows in (("training", len(train_rows)), ("test", test_rows)):
        if rows < MIN_TEST_ROWS:
            raise DataError(
                f"the split by hash of {key} leaves {rows} {name} rows, {MIN_TEST_ROWS} are needed",
                mend="give more rows, with more different ids, or change LONGSHORE_TRAINER__TEST_SHARE",
            )
    if np.ptp(train_rows.target) == 0:
        raise DataError(f"every training row has the target {train_rows.target[0]:g}", mend="give more varied rows")


def _unseen(test: Mask, out_of_fold: Floats, served: Floats) -> Floats:
    """Of every fresh row the prediction by a model that never saw its entity: what the stream is compared with.

    History is left out: it is the world before the drift, and a model's era is measured from its own.
    """
    prediction = np.empty(len(test))
    prediction[~test], prediction[test] = out_of_fold, served
    return prediction


def _loss(rows: LabelledRows, unseen: Floats, pipeline: Any, seed: int) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The version's loss regressor: its file, and what the manifest says of it; neither where rows are too few."""
    loss = fit_loss(rows, unseen, refit_of(pipeline), seed=seed)
    if loss is None:
        return {}, {}
    told = ("mae", "rows", "weight", "false_share", "caught_share", "misfit", "misfit_outside")
    return {LOSS: loss_onnx(loss)}, {"loss": {name: getattr(loss.spec, name) for name in told}}


def _proof(model: ServedModel, pipeline: Any, test: LabelledRows) -> dict[str, Any]:
    """What a scorer must have to serve the version, and what it must get from it."""
    schema, (numeric, nominal) = test.columns.schema, (list(model.numeric), list(model.nominal))
    needs = {"serving": SERVING, "target": schema.target, "numeric": numeric, "nominal": nominal}
    fitted = ServedPipeline(pipeline, "")
    return {"needs": needs, "golden": golden.choose(test.columns, model.predict, fitted.predict, (numeric, nominal))}


def _split_report(settings: TrainerSettings, balance: dict[str, Any]) -> dict[str, Any]:
    return {"by": "hash of the entity id", "test_share": settings.test_share, **balance}


def _manifest(data: TrainingSet, schema: Schema, made: Made) -> dict[str, Any]:
    return {
        "schema": describe(schema),
        "parameters": made.parameters,
        "search": made.search,
        "dataset": data.described(),
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
