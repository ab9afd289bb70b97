"""The model: its pipeline, its out-of-fold predictions, and the choice between training sets by cross-validation.

Pure: rows in, fitted pipelines and predictions out, the same for the same seed. Only training rows come here; the test
rows judge what was chosen (`longshore.trainer.evaluate`, `longshore.trainer.gate`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import joblib
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from longshore.columns import Floats
from longshore.trainer.export_model import MODEL, NEIGHBOURS
from longshore.trainer.features import Features
from longshore.trainer.recipe import Recipe
from longshore.trainer.rows import LabelledRows, concatenate
from longshore.trainer.split import Mask, fold_of, group_codes

ONE_THREAD_BELOW = 50_000
FOLDS = 3
"""Each costs one fit; the profile's predictions come from models trained on two thirds of the rows."""


@dataclass(frozen=True, slots=True)
class Boosting:
    """One setting of gradient boosting. Trees are few, because they are served."""

    learning_rate: float
    max_iter: int
    max_leaf_nodes: int
    min_samples_leaf: int
    l2_regularization: float
    max_features: float
    early_stopping: bool


MANY_ROWS = Boosting(0.15, 150, 31, 20, 1.0, 0.3, early_stopping=True)
"""By cross-validation on the 1990 census. Early stopping sets a tenth of the rows aside."""
FEW_ROWS = Boosting(0.05, 150, 8, 10, 5.0, 0.5, early_stopping=False)
"""By cross-validation on a thousand generated districts: 5 % less RMSE there than with the setting for many rows."""


class Maker(Protocol):
    """Whatever makes an unfitted pipeline: `Parameters`, or a `longshore.trainer.designs.Design`."""

    def pipeline(self, rows: int, recipe: Recipe) -> Pipeline:
        """The pipeline for so many training rows."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """How to boost with fewer than `few_below` rows, and with more."""

    few: Boosting = FEW_ROWS
    many: Boosting = MANY_ROWS
    few_below: int = 3_000
    seed: int = 42

    def for_rows(self, rows: int) -> Boosting:
        """The setting for so many training rows."""
        return self.few if rows < self.few_below else self.many

    def pipeline(self, rows: int, recipe: Recipe) -> Pipeline:
        """Features and boosted trees."""
        trees = HistGradientBoostingRegressor(
            **self.settings(rows), n_iter_no_change=15, validation_fraction=0.1, random_state=self.seed
        )
        return Pipeline([("features", Features(recipe)), (MODEL, trees)])

    def settings(self, rows: int) -> dict[str, Any]:
        """The setting for so many training rows as plain values."""
        return asdict(self.for_rows(rows))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A training set: fresh rows, with history at `history_weight` (None: without) of a fresh row's weight."""

    name: str
    history_weight: float | None = None


CANDIDATES = (Candidate("fresh"), Candidate("fresh+history", 0.2))


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate of least cross-validated RMSE, and each one's float64[n] predictions for fresh rows by its name.

    `witness`: a pipeline of the chosen candidate, and fresh rows it was not fitted on (None where a fold was empty).
    """

    candidate: Candidate
    predictions: dict[str, Floats]
    rmse: dict[str, float]
    witness: tuple[Pipeline, LabelledRows] | None = None

    @property
    def out_of_fold(self) -> Floats:
        """The chosen candidate's predictions."""
        return self.predictions[self.candidate.name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return {"rmse": self.rmse, "chosen": self.candidate.name}


def fit(
    rows: LabelledRows, history: LabelledRows | None, candidate: Candidate, recipe: Recipe, parameters: Maker
) -> Pipeline:
    """Fit features and model on what the candidate takes."""
    data, weights = rows, None
    if candidate.history_weight is not None and history is not None and len(history):
        data = concatenate([rows, history])
        weights = np.concatenate([np.ones(len(rows)), np.full(len(history), candidate.history_weight)])
    if recipe.missing == "drop row":
        kept = np.flatnonzero(complete(data))
        data, weights = data.take(kept), None if weights is None else weights[kept]
    pipeline = parameters.pipeline(len(data), recipe)
    known: dict[str, Any] = {} if weights is None else {f"{MODEL}__sample_weight": weights}
    if NEIGHBOURS in pipeline.named_steps:
        known |= {f"{NEIGHBOURS}__groups": group_codes(data.columns.keys), f"{NEIGHBOURS}__weights": weights}
    with one_thread(len(data)), in_turn():
        return pipeline.fit(data.columns.frame(), data.target, **known)


def complete(rows: LabelledRows) -> Mask:
    """Which rows miss no feature; all where none is so."""
    there: Mask = np.asarray(np.isfinite(rows.columns.numeric).all(axis=1), dtype=np.bool_)
    for values in rows.columns.nominal:
        there = there & np.array([value is not None for value in values], dtype=np.bool_)
    return there if there.any() else np.ones(len(rows), dtype=np.bool_)


def predict(pipeline: Pipeline, rows: LabelledRows) -> Floats:
    """Scikit-learn's predictions, float64[n]."""
    if not len(rows):
        return np.empty(0)
    with one_thread(len(rows)), in_turn():
        prediction: Floats = pipeline.predict(rows.columns.frame()).astype(np.float64)
    return prediction


def choose(
    rows: LabelledRows, history: LabelledRows | None, recipe: Recipe, parameters: Maker, *, folds: int = FOLDS
) -> Choice:
    """Cross-validate the candidates on `rows`, entities kept together; ties go to the simpler candidate."""
    usable = CANDIDATES if history is not None and len(history) else CANDIDATES[:1]
    fitted: dict[Candidate, list[tuple[Pipeline, LabelledRows]]] = {c: [] for c in usable}
    found = {c: out_of_fold(rows, history, c, recipe, parameters, folds=folds, fitted=fitted[c]) for c in usable}
    rmse = {c: float(np.sqrt(np.mean((prediction - rows.target) ** 2))) for c, prediction in found.items()}
    best = min(usable, key=rmse.__getitem__)
    predictions = {c.name: prediction for c, prediction in found.items()}
    return Choice(best, predictions, {c.name: value for c, value in rmse.items()}, next(iter(fitted[best]), None))


def out_of_fold(
    rows: LabelledRows,
    history: LabelledRows | None,
    candidate: Candidate,
    recipe: Recipe,
    parameters: Maker,
    *,
    folds: int = FOLDS,
    fitted: list[tuple[Pipeline, LabelledRows]] | None = None,
) -> Floats:
    """Each row's prediction by a model that saw no row of its entity, float64[n].

    `fitted` takes the pipelines, each with the rows that it was not fitted on.
    """
    fold = fold_of(rows.columns.keys, folds)
    past = None if history is None else fold_of(history.columns.keys, folds)
    prediction = np.full(len(rows), rows.target.mean())
    for i in range(folds):
        inside, outside = np.flatnonzero(fold == i), np.flatnonzero(fold != i)
        if len(inside) and len(outside):
            known = None if history is None or past is None else history.take(np.flatnonzero(past != i))
            pipeline = fit(rows.take(outside), known, candidate, recipe, parameters)
            unseen = rows.take(inside)
            prediction[inside] = predict(pipeline, unseen)
            if fitted is not None:
                fitted.append((pipeline, unseen))
    return prediction


def one_thread(rows: int) -> Any:
    """One OpenMP thread for small data: on busy cores its threads wait for each other (41 s for 0.6 s of work)."""
    return threadpool_limits(1 if rows < ONE_THREAD_BELOW else None, user_api="openmp")


def in_turn() -> Any:
    """A forest's trees one after the other, also in a cluster's worker: side by side they add up in any order."""
    return joblib.parallel_config(backend="sequential", n_jobs=1)
