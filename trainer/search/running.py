"""Fits on folds, side by side: in processes here or on a cluster (joblib), within a budget, resumed after a kill.

A shell: it starts processes, looks at the clock, and keeps finished fits in files until the search is over. What is
fitted and what follows from it is decided elsewhere; the numbers are the same whatever the backend and the number of
jobs.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from longshore.columns import Floats
from longshore.config import TrainerSettings
from longshore.trainer.designs import Design
from longshore.trainer.fit import CANDIDATES, fit, predict
from longshore.trainer.housing import recipe_for
from longshore.trainer.recipe import Preparation, Recipe
from longshore.trainer.rows import LabelledRows
from longshore.trainer.search.backends import Backend, Run, in_turn
from longshore.trainer.search.explain import importance, importances, rmse
from longshore.trainer.search.scoring import Folds, Scored, figures, folds_of
from longshore.trainer.split import positions

CURVE_SHARES = (0.125, 0.25, 0.5)
"""Parts of the training rows that the learning curve is drawn from, before the whole."""
LIBRARIES = ("scikit-learn", "numpy", "scipy", "longshore")


Told = Callable[[Scored], object]
"""Hears of every design when it has its score."""


@dataclass(frozen=True, slots=True)
class FoldFit:
    """One fit: predictions float64 of the fold's rows, the RMSE on the rows fitted on, seconds of processor time."""

    prediction: Floats
    train_rmse: float
    seconds: float


@dataclass(slots=True)
class Runner:
    """Scores designs by cross-validation on `rows`; `fits` counts, and `stopped` says why no more are made."""

    rows: LabelledRows
    folds_wanted: int
    fits_allowed: int
    seconds_allowed: float | None = None
    run: Run = in_turn
    cache: Path | None = None
    fits: int = 0
    stopped: str | None = None
    folds: Folds = field(init=False)
    _place: Floats = field(init=False)
    _name: str = field(init=False)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        keys = self.rows.columns.keys
        self.folds = folds_of(self.rows, self.folds_wanted)
        self._place = positions(keys, b"rung")
        self._began = time.monotonic()
        versions = [importlib.metadata.version(name) for name in LIBRARIES]
        self._name = hashlib.sha256(repr((self.rows.sha256(), self.rows.columns.keys, versions)).encode()).hexdigest()

    def score(
        self, stage: str, designs: list[Design], share: float = 1.0, *, told: Told = lambda _: None, needed: int = 0
    ) -> list[Scored]:
        """Cross-validate designs in their order; past the first `needed`, those without room in the budget are left."""
        taken = designs[: max(self._room(), needed)]
        if len(taken) < len(designs):
            self.stopped = self.stopped or "fits"
        found = []
        fitted = self._fitted([(design, share, i) for design in taken for i in range(self.folds.count)])
        for design in taken:
            parts = [next(fitted) for _ in range(self.folds.count)]
            found.append(self._scored(design, stage, share, parts))
            told(found[-1])
        return found

    def effect(self, design: Design) -> tuple[Recipe, Preparation]:
        """What a design's preparation comes to with this schema: equal for choices that it has no columns for."""
        recipe, asked = recipe_for(self.rows.columns.schema, design.preparation), design.preparation
        return recipe, Preparation(select=asked.select, scale=asked.scale, target=asked.target)

    def explain(self, chosen: Scored) -> dict[str, Any]:
        """The chosen design's learning curve and importances; it is fitted again, beyond the budget if need be."""
        points = [self.score("learning curve", [chosen.design], share, needed=1)[0] for share in CURVE_SHARES]
        tasks = [(chosen.design, 1.0, fold) for fold in range(self.folds.count)]
        parts = list(self.run(joblib.delayed(explain_fold)(self.rows, *self._split(task), task[0]) for task in tasks))
        self.fits += len(parts)
        whole = replace(chosen, train_rmse=float(np.sqrt(np.mean([train**2 for _, train in parts]))))
        curve = [self._point(point) for point in (*points, whole)]
        return {"learning_curve": curve, "importances": importances([found for found, _ in parts])}

    def forget(self) -> None:
        """The search is over: what was kept for a resumption is removed."""
        if self.cache is not None:
            shutil.rmtree(self.cache / self._name, ignore_errors=True)

    def _point(self, one: Scored) -> dict[str, Any]:
        rows = round(one.share * len(self.rows) * (self.folds.count - 1) / self.folds.count)
        return {"rows": rows, "train_rmse": one.train_rmse, "rmse": one.rmse, "interval": one.figures["interval"]}

    def _room(self) -> int:
        """How many designs may still be scored."""
        if self.seconds_allowed is not None and time.monotonic() - self._began > self.seconds_allowed:
            self.stopped = "seconds"
            return 0
        return (self.fits_allowed - self.fits) // self.folds.count

    def _scored(self, design: Design, stage: str, share: float, parts: list[FoldFit]) -> Scored:
        prediction = np.empty(len(self.rows))
        for i, part in enumerate(parts):
            prediction[self.folds.fold == i] = part.prediction
        train_rmse = float(np.sqrt(np.mean([part.train_rmse**2 for part in parts])))
        seconds = sum(part.seconds for part in parts)
        self.fits += len(parts)
        return Scored(
            design, stage, share, prediction, figures(prediction, self.folds), train_rmse, len(parts), seconds
        )

    def _fitted(self, tasks: list[tuple[Design, float, int]]) -> Iterator[FoldFit]:
        """The tasks' fits in order, each as soon as it and those before it are there."""
        kept = {task: self._kept(task) for task in tasks}
        missing = [task for task in tasks if kept[task] is None]
        made = self.run(joblib.delayed(fit_fold)(self.rows, *self._split(task), task[0]) for task in missing)
        for task in tasks:
            found = kept[task]
            if found is None:
                found = next(made)
                self._keep(task, found)
            yield found

    def _split(self, task: tuple[Design, float, int]) -> tuple[Any, Any]:
        """Row numbers to fit on and to predict; a smaller share's rows are among a larger one's."""
        _, share, fold = task
        inside = self.folds.fold == fold
        return np.flatnonzero(~inside & (self._place < share)), np.flatnonzero(inside)

    def _file(self, task: tuple[Design, float, int]) -> Path | None:
        if self.cache is None:
            return None
        return self.cache / self._name / (hashlib.sha256(repr((task, self.folds.count)).encode()).hexdigest() + ".npz")

    def _kept(self, task: tuple[Design, float, int]) -> FoldFit | None:
        path = self._file(task)
        if path is None:
            return None
        try:
            with np.load(path) as arrays:
                return FoldFit(arrays["prediction"], float(arrays["train_rmse"]), float(arrays["seconds"]))
        except OSError:  # there is none yet, or another run of the same search has just ended
            return None

    def _keep(self, task: tuple[Design, float, int], made: FoldFit) -> None:
        path = self._file(task)
        if path is None:
            return
        with suppress(OSError):  # what cannot be kept is fitted again
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f"{uuid.uuid4().hex}.draft")
            with draft.open("wb") as file:
                np.savez(file, prediction=made.prediction, train_rmse=made.train_rmse, seconds=made.seconds)
            draft.replace(path)


def fit_fold(rows: LabelledRows, outside: Any, inside: Any, design: Design) -> FoldFit:
    """Fit a design on the rows `outside` and predict those `inside`."""
    began = time.thread_time()
    learned = rows.take(outside)
    pipeline = fit(learned, None, CANDIDATES[0], recipe_for(rows.columns.schema, design.preparation), design)
    prediction = predict(pipeline, rows.take(inside))
    return FoldFit(prediction, rmse(predict(pipeline, learned), learned.target), time.thread_time() - began)


def explain_fold(rows: LabelledRows, outside: Any, inside: Any, design: Design) -> tuple[dict[str, float], float]:
    """Fit a design on the rows `outside`: its importances on those `inside`, and the RMSE on those it was fitted on."""
    learned = rows.take(outside)
    pipeline = fit(learned, None, CANDIDATES[0], recipe_for(rows.columns.schema, design.preparation), design)
    found = importance(pipeline, rows.take(inside), design.seed)
    return found, rmse(predict(pipeline, learned), learned.target)


@contextmanager
def opened(rows: LabelledRows, settings: TrainerSettings, folds: int, kept: str | None) -> Iterator[Runner]:
    """A runner as the settings ask for; what it kept is removed when the block ends well."""
    backend = Backend(settings.backend, settings.jobs or os.cpu_count() or 1, settings.cluster)
    with backend.open() as run:
        cache = None if kept is None else Path(kept)
        runner = Runner(rows, folds, settings.search_fits, settings.search_seconds, run, cache)
        yield runner
        runner.forget()
