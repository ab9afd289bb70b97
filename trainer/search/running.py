"""Fits on folds, side by side: in processes here or on a cluster (joblib), within a budget, resumed after a kill.

A shell: it starts processes, looks at the clock, and keeps finished fits and prepared rows in files until the search is
over. What is fitted and what follows from it is decided elsewhere; the numbers are the same whatever the backend and
the number of jobs.
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
from sklearn.pipeline import Pipeline

from longshore.columns import Floats
from longshore.config import TrainerSettings
from longshore.trainer.designs import Design
from longshore.trainer.features import Singles
from longshore.trainer.fit import CANDIDATES, complete, fit
from longshore.trainer.recipe import Preparation, Recipe
from longshore.trainer.rows import LabelledRows
from longshore.trainer.search.backends import Backend, Run, in_turn
from longshore.trainer.search.explain import importance, importances, rmse
from longshore.trainer.search.prepared import fitted_on, matrices, recipe_of
from longshore.trainer.search.scoring import Folds, Scored, figures, folds_of, kept_within
from longshore.trainer.split import Indexes, Mask, positions

CURVE_SHARES = (0.125, 0.35)
"""Parts of the training rows that the learning curve is drawn from, before the whole: the second is that of the first
rung of settings, whose fits are there."""
REUSED = ("settings", "learning curve")
"""Stages whose designs share a preparation: its rows are kept."""
LIBRARIES = ("scikit-learn", "numpy", "scipy", "longshore")
GIVEN = ["rows", "outside", "inside", "recipe", "seed"]
"""What the key of prepared rows stands for."""
HERE = ("loky", "threading")
"""Backends whose workers see this machine's files."""

Told = Callable[[Scored], object]
"""Hears of every design when it has its score."""
Task = tuple[Design, float, int]
"""A design, on a share of the rows, and the fold to predict."""


@dataclass(frozen=True, slots=True)
class FoldFit:
    """One fit: predictions float64 of the fold's rows and float32 of those fitted on, seconds of processor time."""

    prediction: Floats
    learned: Singles
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
    shared: bool = True
    """Whether the workers see the folder `cache`."""
    fits: int = 0
    stopped: str | None = None
    folds: Folds = field(init=False)
    _place: Floats = field(init=False)
    _complete: Mask = field(init=False)
    _name: str = field(init=False)
    _began: float = field(init=False)
    _made: dict[tuple[Design, float], list[FoldFit]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        keys = self.rows.columns.keys
        self.folds = folds_of(self.rows, self.folds_wanted)
        self._place = positions(keys, b"rung")
        self._complete = complete(self.rows)
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
        fitted = self._fitted([(design, share, i) for design in taken for i in range(self.folds.count)], stage)
        for design in taken:
            parts = [next(fitted) for _ in range(self.folds.count)]
            self.fits += len(parts)
            self._made[_bare(design), share] = parts
            found.append(self._scored(design, stage, share, parts))
            told(found[-1])
        return found

    @property
    def incomplete(self) -> float:
        """The share of rows that miss a feature."""
        return 1.0 - float(self._complete.mean())

    def effect(self, design: Design) -> tuple[Recipe, Preparation]:
        """What a design's preparation comes to with this schema: equal for choices that it has no columns for."""
        recipe, asked = recipe_of(self.rows, design), design.preparation
        return recipe, Preparation(select=asked.select, scale=asked.scale, target=asked.target, bounded=asked.bounded)

    def explain(self, chosen: Scored) -> tuple[dict[str, Any], Pipeline]:
        """The chosen design's learning curve and importances, beyond the budget if need be; and it, fitted on all rows.

        The importances are those of one fold: a mixture is fitted again for them.
        """
        design = chosen.design
        curve = [self._point(self._weighed(design, share)) for share in (*CURVE_SHARES, 1.0)]
        calls = [joblib.delayed(fit_all)(self.rows, design)]
        largest = int(np.bincount(self.folds.fold).argmax())
        calls.append(joblib.delayed(explain_fold)(self.rows, *self._split((design, 1.0, largest)), design))
        pipeline, found = self.run(calls)
        self.fits += 1
        return {"learning_curve": curve, "importances": importances([found])}, pipeline

    def forget(self) -> None:
        """The search is over: what was kept for a resumption is removed."""
        if self.cache is not None:
            shutil.rmtree(self.cache / self._name, ignore_errors=True)

    def _weighed(self, design: Design, share: float) -> Scored:
        """A design's score on a share of the rows: a mixture's is its members', weighed, whose fits may be there."""
        members = design.members or ((design, 1.0),)
        missing = [member for member, _ in members if (_bare(member), share) not in self._made]
        self.score("learning curve", missing, share, needed=len(missing))
        fits = [self._made[_bare(member), share] for member, _ in members]
        weights = np.array([weight for _, weight in members])
        parts = []
        for i in range(self.folds.count):
            of_fold = [parts_of[i] for parts_of in fits]
            prediction = weights @ np.array([part.prediction for part in of_fold])
            learned = weights @ np.array([part.learned for part in of_fold])
            if design.preparation.bounded:
                seen = self.rows.target[self._split((design, share, i))[0]]
                prediction, learned = kept_within(seen, prediction), kept_within(seen, learned)
            parts.append(FoldFit(prediction, learned.astype(np.float32), 0.0))
        return self._scored(design, "learning curve", share, parts)

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
        prediction, errors = np.empty(len(self.rows)), []
        for i, part in enumerate(parts):
            prediction[self.folds.fold == i] = part.prediction
            learned = self.rows.target[self._split((design, share, i))[0]]
            errors.append(rmse(part.learned.astype(np.float64), learned) if len(learned) else 0.0)
        train_rmse = float(np.sqrt(np.mean(np.square(errors))))
        seconds = sum(part.seconds for part in parts)
        return Scored(
            design, stage, share, prediction, figures(prediction, self.folds), train_rmse, len(parts), seconds
        )

    def _fitted(self, tasks: list[Task], stage: str) -> Iterator[FoldFit]:
        """The tasks' fits in order, each as soon as it and those before it are there."""
        kept = {task: self._kept(task) for task in tasks}
        missing = [task for task in tasks if kept[task] is None]
        made = self.run(
            joblib.delayed(fit_fold)(self.rows, *self._split(task), self._folder(task, stage), task[0])
            for task in missing
        )
        for task in tasks:
            found = kept[task]
            if found is None:
                found = next(made)
                self._keep(task, found)
            yield found

    def _split(self, task: Task) -> tuple[Indexes, Indexes]:
        """Row numbers to fit on and to predict; a smaller share's rows are among a larger one's."""
        design, share, fold = task
        inside = self.folds.fold == fold
        outside = ~inside & (self._place < share)
        if design.preparation.missing == "drop row" and (outside & self._complete).any():
            outside &= self._complete
        return np.flatnonzero(outside), np.flatnonzero(inside)

    def _folder(self, task: Task, stage: str) -> tuple[str, str] | None:
        """Where prepared rows are kept, and what names them; None where they are made for one design only."""
        if self.cache is None or not self.shared or stage not in REUSED:
            return None
        return str(self.cache / self._name / "prepared"), repr((task[1:], self.folds.count))

    def _file(self, task: Task) -> Path | None:
        if self.cache is None:
            return None
        return self.cache / self._name / (hashlib.sha256(repr((task, self.folds.count)).encode()).hexdigest() + ".npz")

    def _kept(self, task: Task) -> FoldFit | None:
        path = self._file(task)
        if path is None:
            return None
        try:
            with np.load(path) as arrays:
                return FoldFit(arrays["prediction"], arrays["learned"], float(arrays["seconds"]))
        except (OSError, KeyError):  # there is none yet, another run has just ended, or another program wrote it
            return None

    def _keep(self, task: Task, made: FoldFit) -> None:
        path = self._file(task)
        if path is None:
            return
        with suppress(OSError):  # what cannot be kept is fitted again
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f"{uuid.uuid4().hex}.draft")
            with draft.open("wb") as file:
                np.savez(file, prediction=made.prediction, learned=made.learned, seconds=made.seconds)
            draft.replace(path)


def fit_fold(
    rows: LabelledRows, outside: Indexes, inside: Indexes, kept: tuple[str, str] | None, design: Design
) -> FoldFit:
    """Fit a design on the rows `outside` and predict those `inside`; `kept`: where and as what prepared rows are."""
    began, recipe = time.thread_time(), recipe_of(rows, design)
    folder, key = kept or (None, "")
    prepare = joblib.Memory(folder, verbose=0).cache(matrices, ignore=GIVEN)  # no folder: nothing is kept
    made = prepare(rows, outside, inside, recipe, seed=design.seed, key=repr((key, recipe, design.seed)))
    prediction, learned = fitted_on(design, made, rows.target[outside])
    return FoldFit(prediction, learned.astype(np.float32), time.thread_time() - began)


def fit_all(rows: LabelledRows, design: Design) -> Pipeline:
    """Fit a design on all rows."""
    return fit(rows, None, CANDIDATES[0], recipe_of(rows, design), design)


def explain_fold(rows: LabelledRows, outside: Indexes, inside: Indexes, design: Design) -> dict[str, float]:
    """Fit a design on the rows `outside`: its importances on those `inside`."""
    return importance(fit_all(rows.take(outside), design), rows.take(inside), design.seed)


def _bare(design: Design) -> Design:
    """The design as fits go by it: its name says nothing, and bounds are set upon predictions."""
    return replace(design, name="", preparation=replace(design.preparation, bounded=False))


@contextmanager
def opened(rows: LabelledRows, settings: TrainerSettings, folds: int, kept: str | None) -> Iterator[Runner]:
    """A runner as the settings ask for; what it kept is removed when the block ends well."""
    backend = Backend(settings.backend, settings.jobs or os.cpu_count() or 1, settings.cluster)
    with backend.open() as run:
        cache = None if kept is None else Path(kept)
        shared = settings.backend in HERE
        runner = Runner(rows, folds, settings.search_fits, settings.search_seconds, run, cache, shared)
        yield runner
        runner.forget()
