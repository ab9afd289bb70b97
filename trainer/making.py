"""From training rows to a chosen, fitted and exported model. Nothing in here is ever given a test row.

The quick profile fits one setting of boosted trees and chooses the training set by cross-validation; few rows are
always answered so, because a search could not tell its candidates apart on them. The full profile searches the design
first (`longshore.trainer.search`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from longshore.columns import Floats
from longshore.config import TrainerSettings
from longshore.trainer.export import to_onnx
from longshore.trainer.fit import CANDIDATES, FOLDS, Choice, Parameters, choose, fit
from longshore.trainer.housing import recipe_for
from longshore.trainer.rows import LabelledRows
from longshore.trainer.search import described
from longshore.trainer.search.plan import search
from longshore.trainer.search.running import Runner, opened
from longshore.trainer.search.scoring import Scored

Report = Callable[[str, dict[str, Any]], None]
"""Told of each stage as it begins, with its figures. It may raise to stop the run between two stages."""


@dataclass(frozen=True, slots=True)
class Made:
    """The chosen model, fitted on all training rows; `out_of_fold` float64[n] predicts each of them unseen.

    `parameters` and `search` are plain values for the manifest, `files` go with the version.
    """

    pipeline: Any
    onnx: bytes
    out_of_fold: Floats
    parameters: dict[str, Any]
    search: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)


def make(
    rows: LabelledRows,
    history: LabelledRows | None,
    settings: TrainerSettings,
    report: Report,
    kept: str | None = None,
) -> Made:
    """Choose, fit and export; `kept` is a folder from which a search that was killed goes on."""
    report("fit", {"rows": len(rows), "history": 0 if history is None else len(history)})
    parameters = Parameters(seed=settings.seed)
    if settings.search != "full" or len(rows) < parameters.few_below:
        return _quick(rows, history, parameters, report)
    with opened(rows, settings, FOLDS, kept) as runner:
        return _searched(runner, history, settings, report)


def _quick(rows: LabelledRows, history: LabelledRows | None, parameters: Parameters, report: Report) -> Made:
    recipe = recipe_for(rows.columns.schema)
    choice = choose(rows, history, recipe, parameters)
    pipeline = fit(rows, history, choice.candidate, recipe, parameters)
    report("export", {"training_set": choice.candidate.name})
    values = {**parameters.to_dict(), "cross_validation": choice.to_dict()}
    return Made(pipeline, to_onnx(pipeline), choice.out_of_fold, values, described.quick(rows, choice, parameters))


def _searched(runner: Runner, history: LabelledRows | None, settings: TrainerSettings, report: Report) -> Made:
    rows = runner.rows

    def told(one: Scored) -> None:
        figures = {"step": one.stage, "candidate": one.design.name, "rmse": round(one.rmse, 6)}
        report("fit", {**figures, "fits": runner.fits})

    found = search(runner, settings.seed, settings.max_trees, told)
    design = found.chosen.design
    explained, pipeline = runner.explain(found.chosen)
    recipe, fresh = recipe_for(rows.columns.schema, design.preparation), CANDIDATES[0]
    choice = Choice(fresh, {fresh.name: found.chosen.out_of_fold}, {fresh.name: found.chosen.rmse})
    if history is not None and len(history):
        choice = choose(rows, history, recipe, design)
    if choice.candidate != fresh:
        pipeline = fit(rows, history, choice.candidate, recipe, design)
    report("export", {"training_set": choice.candidate.name, "trees": design.trees})
    values = {**design.to_dict(), "cross_validation": choice.to_dict()}
    made = described.full(found, runner, explained, settings.search_fits)
    files = {described.CANDIDATES_FILE: described.predictions(found)}
    return Made(pipeline, to_onnx(pipeline), choice.out_of_fold, values, made, files)
