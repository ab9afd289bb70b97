"""A loss regressor: how far a version's predictions will be off, from predictions by models that never saw the row.

Two boosted ensembles. One for rows among what the model knows: |error| out of fold, from the features, the prediction
and the errors around a row. One for rows outside: |error| of models to which whole regions were unknown (four fits with
a quarter of sixteen regions left out), from the features without the place and how far the row is from what is known.
How much of the second's excess is believed is chosen by cross-validation by region. No row is used whose prediction
knew it; what is fitted here changes no prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor

from longshore.columns import Floats
from longshore.loss_model import Fields, LossSpec, Texts, outside_of
from longshore.schema import Schema
from longshore.support import LEAST_POINTS, Known, Look, Marks, Places, Space, blocks
from longshore.trainer.fit import CANDIDATES, fit, one_thread, predict
from longshore.trainer.rows import LabelledRows
from longshore.trainer.split import group_codes

LEAST_ROWS = 500
MOST_ROWS = 20_000
"""Of more rows as many by chance: the four fits cost as much as the model's own."""

FOLDS, DEPTH = 4, 4
FALSE_SHARE = 0.03
"""Of rows among what is known that novelty marks."""

BELIEVED = 0.5
"""Of the weight that is best in cross-validation, where the model that is asked knows less than the served one will."""

FINE = 5
"""Regions are judged by 2^5 of them."""

FEWEST = 30
"""Rows of a region whose mean error says something."""

WITHIN = {"max_iter": 60, "learning_rate": 0.1, "max_leaf_nodes": 12, "min_samples_leaf": 30}
OUTSIDE = {"max_iter": 40, "learning_rate": 0.1, "max_leaf_nodes": 6, "min_samples_leaf": 60}
"""Few trees, because they are asked where records are counted; more were no better in cross-validation."""
SAME: dict[str, Any] = {"l2_regularization": 5.0, "max_features": 0.5, "early_stopping": False}

Refit = Callable[[LabelledRows, LabelledRows], Floats]
"""(rows to fit on, rows never seen) → predictions of the latter."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Fitted: two ensembles over columns of the same matrix, what the metadata says, and the points."""

    within: HistGradientBoostingRegressor
    outside: HistGradientBoostingRegressor
    columns: tuple[tuple[int, ...], tuple[int, ...]]
    spec: LossSpec
    points: Floats
    errors: Floats


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows as the regressor sees them, with what they came to."""

    matrix: Any
    errors: Floats
    outside: Marks


def refit_of(pipeline: Any) -> Refit:
    """The version's own design, fitted anew."""

    def again(rows: LabelledRows, unseen: LabelledRows) -> Floats:
        recipe = pipeline.named_steps["features"].recipe
        return predict(fit(rows, None, CANDIDATES[0], recipe, _Again(pipeline)), unseen)

    return again


@dataclass(frozen=True, slots=True)
class _Again:
    fitted: Any

    def pipeline(self, rows: int, recipe: Any) -> Any:
        return clone(self.fitted)


def fit_loss(rows: LabelledRows, predictions: Floats, refit: Refit, *, seed: int) -> Loss | None:
    """From rows and predictions of models that saw no row of their entity; None where there are too few, or no number.

    The same rows, predictions and seed give the same regressor.
    """
    if len(rows) < LEAST_ROWS or not rows.columns.schema.numeric:
        return None
    if len(rows) > MOST_ROWS:
        chosen = np.sort(np.random.default_rng([seed, 1]).permutation(len(rows))[:MOST_ROWS])
        rows, predictions = rows.take(chosen), predictions[chosen]
    entity = group_codes(rows.columns.keys)
    if int(entity.max()) + 1 < LEAST_POINTS:
        return None
    with one_thread(len(rows)):
        return _fitted(rows, predictions, entity, refit, seed)


def _fitted(rows: LabelledRows, predictions: Floats, entity: Places, refit: Refit, seed: int) -> Loss:
    schema, errors = rows.columns.schema, np.abs(predictions - rows.target)
    values, texts = _values(rows, predictions), rows.columns.nominal
    spec = _described(rows, values, errors)
    fields = Fields(spec, schema)
    points, known = _points(fields.points(values), errors, entity)
    look = known.look_without(fields.points(values), entity)
    spec = msgspec.structs.replace(spec, novel_from=float(np.quantile(look.novelty, 1 - FALSE_SHARE)))
    usual = _part(spec, fields, (values, texts), look, errors)
    spec = msgspec.structs.replace(spec, false_share=float(usual.outside.mean()))
    region = blocks(points, DEPTH, seed)[entity]
    fold = np.random.default_rng([seed, 2]).permutation(2**DEPTH)[region] % FOLDS
    strange = _strange((rows, errors), (entity, fold), (spec, fields), refit)
    held = points, known.errors
    return _assembled(spec, (usual, strange), held, (entity, fold), seed)


def _strange(
    given: tuple[LabelledRows, Floats], numbered: tuple[Places, Places], known: tuple[LossSpec, Fields], refit: Refit
) -> _Part:
    """All rows as if their region had never been seen, and what a model that never saw it is off by."""
    (rows, errors), (entity, fold), (spec, fields) = given, numbered, known
    parts = []
    for k in range(FOLDS):
        seen, unseen = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        there = rows.take(unseen)
        found = refit(rows.take(seen), there)
        values = _values(there, found)
        _, held = _points(fields.points(_values(rows.take(seen), errors[seen])), errors[seen], _numbered(entity[seen]))
        look = held.look(fields.points(values))
        parts.append(_part(spec, fields, (values, there.columns.nominal), look, np.abs(found - there.target)))
    order = np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(FOLDS)]))
    return _Part(
        np.concatenate([part.matrix for part in parts])[order],
        np.concatenate([part.errors for part in parts])[order],
        np.concatenate([part.outside for part in parts])[order],
    )


def _assembled(
    spec: LossSpec,
    parts: tuple[_Part, _Part],
    points: tuple[Floats, Floats],
    numbered: tuple[Places, Places],
    seed: int,
) -> Loss:
    """Both ensembles, and what each is worth where it was not fitted: cross-fitted by region."""
    (usual, strange), (entity, fold) = parts, numbered
    width = usual.matrix.shape[1]
    place = {spec.numeric.index(name) for name in spec.space_columns} if not spec.space_curved else set()
    inner = tuple(range(width - 2))
    outer = tuple(i for i in range(width) if i not in place)
    within, outside = _Boosted(WITHIN, inner, seed), _Boosted(OUTSIDE, outer, seed)
    first, second, beside = np.empty(len(fold)), np.empty(len(fold)), np.empty(len(fold))
    marked = strange.outside
    for k in range(FOLDS):
        here = fold == k
        one = within.fit(usual, ~here)
        first[here], beside[here] = one(usual.matrix[here]), one(strange.matrix[here])
        learn = marked & ~here if int((marked & ~here).sum()) >= FEWEST else ~here
        second[here] = outside.fit(strange, learn)(strange.matrix[here])
    fine = blocks(points[0], FINE, seed + 1)[entity]
    weight = BELIEVED * _weight(beside, second, strange, fine)
    mixed = beside + weight * (second - beside)
    spread = float(np.sqrt(np.mean((usual.errors - first) ** 2) / max(float(np.mean(first**2)), 1e-300)))
    every = np.ones(len(fold), dtype=np.bool_)
    learn = marked if int(marked.sum()) >= FEWEST else every
    spec = msgspec.structs.replace(
        spec,
        weight=weight,
        caught_share=float(marked.mean()),
        spread=spread,
        misfit=_misfit(first, usual.errors, fine),
        misfit_outside=_misfit(mixed[marked], strange.errors[marked], fine[marked]),
    )
    return Loss(within.model(usual, every), outside.model(strange, learn), (inner, outer), spec, points[0], points[1])


@dataclass(frozen=True, slots=True)
class _Boosted:
    setting: dict[str, Any]
    columns: tuple[int, ...]
    seed: int

    def model(self, part: _Part, rows: Marks) -> HistGradientBoostingRegressor:
        made = HistGradientBoostingRegressor(**self.setting, **SAME, random_state=self.seed)
        return made.fit(part.matrix[rows][:, list(self.columns)], part.errors[rows])

    def fit(self, part: _Part, rows: Marks) -> Callable[[Any], Floats]:
        model, columns = self.model(part, rows), list(self.columns)
        return lambda matrix: np.asarray(model.predict(matrix[:, columns]), dtype=np.float64)


def _weight(beside: Floats, second: Floats, part: _Part, region: Places) -> float:
    """How much of the excess is believed: the weight by which regions' mean |error| is told best, in mean deviation."""
    rows = part.outside
    if int(rows.sum()) < FEWEST:
        return 1.0
    tried = np.arange(0.0, 1.05, 0.1)
    found = [
        _deviation(beside[rows] + weight * (second - beside)[rows], part.errors[rows], region[rows]) for weight in tried
    ]
    return round(float(tried[int(np.argmin(found))]), 2)


def _deviation(expected: Floats, errors: Floats, region: Places) -> float:
    numbers, means = _means(region, expected, errors)
    return float(np.abs(means[0] - means[1])[numbers >= min(FEWEST, int(numbers.max()))].mean())


def _misfit(expected: Floats, errors: Floats, region: Places) -> float:
    """The standard deviation of a region's mean |error| over what was expected of it, beyond what chance explains."""
    if not len(errors):
        return 0.0
    numbers, (told, came) = _means(region, expected, errors)
    kept = numbers >= min(FEWEST, int(numbers.max()))
    ratio = came[kept] / np.maximum(told[kept], 1e-300) - 1.0
    chance = float(np.var(errors - expected)) / numbers[kept] / np.maximum(told[kept], 1e-300) ** 2
    return float(np.sqrt(max(float(np.mean(ratio**2 - chance)), 0.0)))


def _means(region: Places, *values: Floats) -> tuple[Floats, list[Floats]]:
    numbers = np.bincount(region).astype(np.float64)
    there = numbers > 0
    return numbers[there], [np.bincount(region, each)[there] / numbers[there] for each in values]


def _part(spec: LossSpec, fields: Fields, rows: tuple[Floats, Texts], look: Look, errors: Floats) -> _Part:
    numbers, codes = fields.numbers(rows[0]), fields.codes(rows[1])
    return _Part(fields.matrix(numbers, codes, look), errors, outside_of(spec, numbers, codes, look.novelty))


def _values(rows: LabelledRows, predictions: Floats) -> Floats:
    return np.concatenate([rows.columns.numeric, predictions[:, np.newaxis]], axis=1).T


def _points(points: Floats, errors: Floats, entity: Places) -> tuple[Floats, Known]:
    """One point an entity, with its rows' mean place and |error|; as float32 holds them, since so they are stored."""
    count = np.bincount(entity)
    places = np.column_stack([np.bincount(entity, column) / count for column in points.T])
    held = np.column_stack([places, np.bincount(entity, errors) / count]).astype(np.float32).astype(np.float64)
    return held[:, :-1], Known(held[:, :-1], held[:, -1])


def _numbered(entity: Places) -> Places:
    return np.unique(entity, return_inverse=True)[1].astype(np.intp)


def _described(rows: LabelledRows, values: Floats, errors: Floats) -> LossSpec:
    """All that can be said before anything is fitted."""
    schema: Schema = rows.columns.schema
    numeric = tuple(field.name for field in schema.numeric)
    place = schema.place or numeric
    space = Space.of(place, values[[numeric.index(name) for name in place]].T, curved=schema.place is None)
    nominal = tuple(
        (field.name, _frequent(column)) for field, column in zip(schema.nominal, rows.columns.nominal, strict=True)
    )
    ratios = tuple((derived.numerator, derived.denominator) for derived in schema.derived)
    spec = LossSpec(
        numeric, ratios, nominal, (), (), (), space.columns, space.centre, space.scale, space.curved,
        novel_from=np.inf, weight=1.0, false_share=0.0, caught_share=1.0, spread=0.0, misfit=0.0, misfit_outside=0.0,
        scale=_scale(errors), mae=float(errors.mean()), rows=len(rows),
    )  # fmt: skip
    numbers = Fields(spec, schema).numbers(values)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    empty = np.isnan(numbers).all(axis=0)
    numbers[:, empty] = 0.0
    bounds = [np.nanmin(numbers, axis=0), np.nanmax(numbers, axis=0)]
    bounds[0][empty], bounds[1][empty] = -np.finfo(np.float64).max, np.finfo(np.float64).max
    middle = np.nanmedian(numbers, axis=0)
    low, high, medians = (tuple(each.tolist()) for each in (*bounds, middle))
    return msgspec.structs.replace(spec, medians=medians, low=low, high=high)


def _frequent(column: list[str | None]) -> tuple[str, ...]:
    known: dict[str, int] = {}
    for text in column:
        if text is not None:
            known[text] = known.get(text, 0) + 1
    return tuple(sorted(known, key=lambda text: (-known[text], text)))


def _scale(errors: Floats) -> float:
    """A power of two, so that the mean |error| has some 2¹² steps."""
    mean = float(errors.mean())
    return float(2.0 ** round(12 - np.log2(mean))) if mean > 0 else 1.0
