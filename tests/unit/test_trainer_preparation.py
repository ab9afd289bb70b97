"""Choices of preparation do what they are called, and the search tries each of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.trainer_rows import NUMBERS, WORDS, make_rows

from longshore.schema import districts
from longshore.trainer.designs import Design
from longshore.trainer.features import Features
from longshore.trainer.fit import CANDIDATES, FOLDS, complete, fit, predict
from longshore.trainer.housing import recipe_for
from longshore.trainer.recipe import Preparation, Recipe
from longshore.trainer.rows import LabelledRows
from longshore.trainer.search import plan, prepared, space
from longshore.trainer.search.running import Runner
from longshore.trainer.search.scoring import Scored, bounded, figures, folds_of

FRAME = pd.DataFrame(
    {"size": [1.0, 2.0, 2.0, np.nan, 9.0, 10.0], "whole": [5.0] * 6, "hue": ["b", "a", "b", None, "c", "b"]}
)
RECIPE = Recipe(("size", "whole"), ("hue",))
GIVEN = pd.DataFrame({"size": [np.nan, 4.0], "whole": [5.0, 5.0], "hue": [None, "new"]})


def matrix(recipe: Recipe) -> list[list[float]]:
    found: list[list[float]] = Features(recipe).fit(FRAME).transform(GIVEN).tolist()
    return found


def test_what_stands_for_what_is_missing() -> None:
    none = [0.0, 0.0, 0.0]
    assert matrix(RECIPE) == [[2.0, 5.0, *none], [4.0, 5.0, *none]]
    assert matrix(replace(RECIPE, missing="most frequent")) == [[2.0, 5.0, 0.0, 1.0, 0.0], [4.0, 5.0, *none]]
    odd = FRAME.assign(size=[9.0, 9.0, 1.0, 1.0, 3.0, 4.0])
    assert Features(replace(RECIPE, missing="most frequent")).fit(odd).medians_.tolist() == [1.0, 5.0]


def test_a_dropped_column_is_the_same_in_every_row() -> None:
    (first, *_), (second, *_) = matrix(replace(RECIPE, missing="drop column"))
    assert first == second
    assert [row[1] for row in matrix(replace(RECIPE, missing="drop column"))] == [5.0, 5.0]


def test_ordinal_codes_count_from_one_and_a_new_category_is_none_of_them() -> None:
    features = Features(replace(RECIPE, ordinal=True)).fit(FRAME)
    assert features.transform(FRAME)[:, 2].tolist() == [2, 1, 2, 0, 3, 2]
    assert features.transform(GIVEN)[:, 2].tolist() == [0, 0]
    assert features.get_feature_names_out().tolist() == ["size", "whole", "hue"]
    frequent = Features(replace(RECIPE, ordinal=True, missing="most frequent")).fit(FRAME)
    assert frequent.transform(GIVEN)[:, 2].tolist() == [2, 0]


def test_dropped_rows_are_not_fitted_on_and_still_answered() -> None:
    rows = make_rows(districts(), 300)
    design = Design("x", "boosting", Preparation(missing="drop row"), (("max_iter", 5),))
    whole = rows.take(np.flatnonzero(complete(rows)))
    assert 0 < len(whole) < len(rows)
    recipe = recipe_for(districts(), design.preparation)
    found, expected = (fit(each, None, CANDIDATES[0], recipe, design) for each in (rows, whole))
    np.testing.assert_array_equal(predict(found, rows), predict(expected, rows))
    nothing = rows.take(np.flatnonzero(~complete(rows)))
    assert complete(nothing).all(), "where no row is complete, all are taken"


def test_bounded_predictions_stay_within_the_targets_that_were_seen() -> None:
    rows = make_rows(NUMBERS, 300)
    design = Design("x", "linear", Preparation(bounded=True), (("alpha", 1.0),))
    numeric = rows.columns.numeric * 1e4
    far = LabelledRows(replace(rows.columns, numeric=numeric), rows.target)
    found, free = (
        predict(fit(rows, None, CANDIDATES[0], recipe_for(NUMBERS), each), far)
        for each in (design, replace(design, preparation=Preparation()))
    )
    assert rows.target.max() < free.max() - 1
    np.testing.assert_allclose(found, np.clip(free, rows.target.min(), rows.target.max()), rtol=1e-6)


def test_bounds_of_a_scored_design_are_the_other_folds() -> None:
    rows = make_rows(NUMBERS, 300)
    folds = folds_of(rows, FOLDS)
    wild = np.where(np.arange(300) % 2 == 0, 1e6, -1e6)
    kept = bounded(Scored(Design("x", "linear"), "settings", 1.0, wild, figures(wild, folds)), folds)
    for i in range(FOLDS):
        others, inside = rows.target[folds.fold != i], kept.out_of_fold[folds.fold == i]
        assert (inside.min(), inside.max()) == (others.min(), others.max())
    assert kept.design.preparation.bounded and kept.design.name == "x bounded" and kept.fits == 0


def test_every_choice_has_its_turn() -> None:
    """What changes() offers is in PREPARING, and only what makes a difference is tried."""
    linear = space.shortlist(1)[0]
    offered = space.changes(linear, positive=True, incomplete=0.1)
    assert sorted(offered) == sorted(name for step in space.PREPARING for name in step)
    assert "drop row" not in space.changes(linear, positive=True, incomplete=0.9)
    without = space.changes(Design("x", "boosting"), positive=False, incomplete=0.0)
    assert not {"log", "min-max", "most frequent", "drop column", "drop row"} & set(without)
    rows = make_rows(WORDS, 100)
    runner = Runner(LabelledRows(rows.columns, np.exp(rows.target)), FOLDS, 100)
    start = Design("x", "tree")
    tried = [design.name for step in space.PREPARING for _, design in plan._different(runner, start, step)]
    missing = ["x +most frequent", "x +drop column", "x +drop row"]
    assert tried == ["x +select", "x +ordinal", "x +log", "x +root", *missing]


def test_several_choices_together() -> None:
    design = space.together(
        Design("x", "tree"), [{"missing": "drop row"}, {"missing": "drop column"}, {"clusters": 20}, {"derived": False}]
    )
    assert design.preparation == Preparation(missing="drop row", clusters=20, derived=False)


def test_a_search_prepares_rows_once_for_all_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers as without a cache, and what is prepared for one design is there for the next."""
    rows, fitted = make_rows(districts(), 300), []
    original = prepared.front
    monkeypatch.setattr(prepared, "front", lambda *given: (fitted.append(given), original(*given))[1])
    start = Design("boosting", "boosting", Preparation(hood=True), (("max_iter", 5),))
    designs = [replace(start, name=name, settings=(("max_iter", trees),)) for name, trees in (("a", 5), ("b", 7))]
    plain = Runner(rows, FOLDS, 100).score("settings", designs)
    made = len(fitted)
    assert made == 2 * FOLDS
    kept = Runner(rows, FOLDS, 100, cache=tmp_path)
    cached = kept.score("settings", designs)
    assert len(fitted) == made + FOLDS
    for one, other in zip(plain, cached, strict=True):
        np.testing.assert_array_equal(one.out_of_fold, other.out_of_fold)
        assert one.train_rmse == other.train_rmse
    kept.forget()
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_prepared_rows_give_what_a_whole_pipeline_gives() -> None:
    rows = make_rows(districts(), 300)
    design = Design("x", "boosting", Preparation(hood=True, missing="drop row"), (("max_iter", 5),))
    runner = Runner(rows, FOLDS, 100)
    (one,) = runner.score("settings", [design])
    for fold in range(FOLDS):
        outside, inside = runner._split((design, 1.0, fold))
        pipeline = fit(rows.take(outside), None, CANDIDATES[0], recipe_for(districts(), design.preparation), design)
        np.testing.assert_array_equal(one.out_of_fold[inside], predict(pipeline, rows.take(inside)))


def test_a_mixtures_curve_is_drawn_from_its_members_fits() -> None:
    rows, runner = make_rows(NUMBERS, 300), Runner(make_rows(NUMBERS, 300), FOLDS, 1_000)
    members = [Design(name, name, settings=settings) for name, settings in MEMBERS]
    scored = runner.score("settings", members)
    mixture = Design("m", "voting", members=((members[0], 0.25), (members[1], 0.75)))
    fits = runner.fits
    found = runner._weighed(mixture, 1.0)
    assert runner.fits == fits
    np.testing.assert_allclose(found.out_of_fold, 0.25 * scored[0].out_of_fold + 0.75 * scored[1].out_of_fold)
    (whole,) = runner.score("settings", [mixture])
    np.testing.assert_allclose(found.out_of_fold, whole.out_of_fold, rtol=1e-9)
    assert found.train_rmse == pytest.approx(whole.train_rmse, rel=1e-5)
    held = runner._weighed(replace(mixture, preparation=Preparation(bounded=True)), 1.0)
    assert held.out_of_fold.max() <= rows.target.max() and runner.fits == fits + FOLDS


MEMBERS: list[tuple[str, Any]] = [("tree", (("min_samples_leaf", 5),)), ("linear", (("alpha", 1.0),))]
