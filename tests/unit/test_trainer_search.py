"""The search: on training rows only, within its budget, the same every time, resumed after a kill."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.trainer_rows import NUMBERS, SCHEMAS, make_rows

from longshore.cli.app import App
from longshore.cli.train import _asked, _report_stage
from longshore.config import Settings, TrainerSettings
from longshore.errors import ConfigurationError, IntegrityError
from longshore.schema import districts
from longshore.served_model import ServedModel
from longshore.trainer import making, neighbours
from longshore.trainer.designs import Design
from longshore.trainer.export import to_onnx
from longshore.trainer.fit import CANDIDATES, FOLDS, Parameters, fit, predict
from longshore.trainer.housing import recipe_for
from longshore.trainer.making import Made, make
from longshore.trainer.neighbours import Neighbours
from longshore.trainer.recipe import Preparation
from longshore.trainer.rows import LabelledRows
from longshore.trainer.search import plan, running, space
from longshore.trainer.search.backends import Backend
from longshore.trainer.search.running import Runner
from longshore.trainer.search.scoring import Scored, figures, folds_of, stacking, voting
from longshore.trainer.split import test_mask as is_test
from longshore.trainer.training import TrainingSet, train

SMALL: dict[str, dict[str, Any]] = {
    "linear": {"alpha": 1.0},
    "tree": {"min_samples_leaf": 10},
    "extra trees": {"n_estimators": 5, "min_samples_leaf": 3},
    "boosting": {"max_iter": 10},
    "k-neighbours": {"n_neighbors": 5},
}
RANGES: dict[str, dict[str, tuple[Any, ...]]] = {
    "linear": {"alpha": (1.0, 2.0)},
    "tree": {"min_samples_leaf": (5, 10)},
    "extra trees": {"n_estimators": (5,), "min_samples_leaf": (2, 3)},
    "boosting": {"max_iter": (5, 10, 20), "max_leaf_nodes": (7, 15)},
}
QUIET: Any = lambda *_: None  # noqa: E731
FULL = TrainerSettings(search="full", jobs=1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search whose every fit takes milliseconds, allowed on few rows."""
    monkeypatch.setattr(space, "START", SMALL)
    monkeypatch.setattr(space, "RANGES", RANGES)
    monkeypatch.setattr(plan, "RUNGS", ((0.35, 3), (1.0, 1)))
    monkeypatch.setattr(plan, "OTHERS_RUNGS", ((0.35, 2), (1.0, 1)))
    monkeypatch.setattr("longshore.trainer.making.Parameters", lambda seed: Parameters(seed=seed, few_below=100))


def positive(rows: LabelledRows) -> LabelledRows:
    return LabelledRows(rows.columns, np.exp(rows.target / 5))


def made(settings: TrainerSettings = FULL, rows: LabelledRows | None = None, **given: Any) -> Made:
    return make(rows or make_rows(NUMBERS, 300), None, settings, QUIET, **given)


TARGETS: tuple[Any, ...] = ("plain", "log", "root")
MISSING: tuple[tuple[Any, bool], ...] = (
    *(("most frequent", False), ("most frequent", True), ("median", True)),
    *(("drop column", False), ("drop row", False)),
)
DESIGNS = [
    *space.shortlist(1)[:5],
    Design("turned back", "linear", Preparation(curves=True, clusters=4, scale="min-max", target="log")),
    *(
        Design(target, "boosting", Preparation(hood=True, clusters=5, curves=True, select=True, target=target),
               (("max_iter", 20),))  # type: ignore[arg-type]
        for target in ("plain", "log", "root")
    ),
    *(
        Design(f"{missing} {ordinal}", "boosting", Preparation(missing=missing, ordinal=ordinal), (("max_iter", 20),))
        for missing, ordinal in MISSING
    ),
    *(
        Design(f"bounded {target}", "linear", Preparation(scale="min-max", target=target, bounded=True))
        for target in TARGETS
    ),
    Design(
        "mixed",
        "stacking",
        Preparation(hood=True),
        members=((Design("a", "boosting"), 0.3), (Design("b", "extra trees", settings=(("n_estimators", 5),)), 0.7)),
    ),
]  # fmt: skip


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: f"{design.name} {design.preparation.target}")
def test_every_servable_design_says_the_same_as_onnx(design: Design) -> None:
    """Every preparation, custom transformers among them, on unseen rows with missing values and new categories."""
    rows, unseen = positive(make_rows(districts(), 500)), make_rows(districts(), 300, seed=5)
    pipeline = fit(rows, None, CANDIDATES[0], recipe_for(districts(), design.preparation), design)
    served = ServedModel.load(to_onnx(pipeline)).predict(unseen.columns)
    np.testing.assert_allclose(served, predict(pipeline, unseen), rtol=1e-5)
    names = pipeline.named_steps["features"].get_feature_names_out()
    assert len(names) == pipeline.named_steps["features"].transform(unseen.columns.frame()).shape[1]
    assert design.servable


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_design_fits_any_schema(name: str) -> None:
    """What a schema has no columns for is left out: no place, no numbers, no words."""
    preparation = Preparation(hood=True, clusters=5, curves=True)
    rows, unseen = make_rows(SCHEMAS[name], 300), make_rows(SCHEMAS[name], 100, seed=1)
    design = Design("x", "boosting", preparation, (("max_iter", 5),))
    pipeline = fit(rows, None, CANDIDATES[0], recipe_for(SCHEMAS[name], preparation), design)
    served = ServedModel.load(to_onnx(pipeline)).predict(unseen.columns)
    np.testing.assert_allclose(served, predict(pipeline, unseen), rtol=1e-5)


def test_what_has_no_onnx_form_is_compared_and_never_chosen(small: None) -> None:
    nearest = Design("k", "k-neighbours")
    rows = make_rows(NUMBERS, 300)
    pipeline = fit(rows, None, CANDIDATES[0], recipe_for(NUMBERS), nearest)
    with pytest.raises(IntegrityError, match="KNeighborsRegressor has no ONNX form"):
        to_onnx(pipeline)
    search = made().search
    assert [entry["servable"] for entry in search["candidates"] if entry["name"] == "k-neighbours"] == [False]
    assert search["chosen"] != "k-neighbours"


def test_a_row_s_own_price_is_not_in_its_neighbourhood() -> None:
    """Nor its entity's other rows': changing an entity's prices leaves its own feature as it was, and moves others'."""
    rng = np.random.default_rng(0)
    matrix = np.repeat(rng.normal(size=(100, 2)), 2, axis=0).astype(np.float32)
    groups, prices = np.repeat(np.arange(100), 2), rng.normal(size=200)
    changed = prices.copy()
    changed[:2] += 1_000
    before, after = (Neighbours((0, 1)).fit_transform(matrix, y, groups)[:, 2:] for y in (prices, changed))
    np.testing.assert_allclose(before[:2], after[:2], rtol=1e-6)
    assert np.count_nonzero(np.abs(after - before) > 1) >= 2
    assert abs(np.corrcoef(before[:, 0], prices)[0, 1]) < 0.5


def test_an_unseen_row_gets_the_mean_of_those_around_it() -> None:
    matrix = np.array([[x, 0.0] for x in range(40)], dtype=np.float32)
    prices = np.where(np.arange(40) < 20, 10.0, 30.0)
    found = (
        Neighbours((0, 1), leaves=(3,)).fit(matrix, prices).transform(np.array([[3.2, 0], [36.1, 0]], dtype=np.float32))
    )
    np.testing.assert_allclose(found[:, 2], [10, 30], rtol=0.15)  # now and then a cut leaves a wide neighbourhood


def test_a_neighbourhood_tells_who_lives_there_and_how_far_it_reaches() -> None:
    """A town of the old beside a country of the young: a row's own age is not in its feature, the unseen get both."""
    rng = np.random.default_rng(0)
    town = np.arange(200) < 100
    place = np.where(town, rng.uniform(0, 1, 200), rng.uniform(100, 200, 200))
    age = np.where(town, 60.0, 20.0) + rng.normal(size=200)
    matrix = np.column_stack([place, np.zeros(200), age]).astype(np.float32)
    other = matrix.copy()
    other[0, 2] += 1_000
    step = Neighbours((0, 1), (2,), leaves=(3,))
    before, after = (step.fit_transform(each, np.zeros(200))[:, 3:6] for each in (matrix, other))
    assert before[0, 1] == after[0, 1] and np.count_nonzero(np.abs(after[:, 1] - before[:, 1]) > 1) >= 2
    unseen = step.fit(matrix, np.zeros(200)).transform(np.array([[0.5, 0, 0], [150, 0, 0]], dtype=np.float32))[:, 3:7]
    np.testing.assert_allclose(unseen[:, 1], [60, 20], atol=1.5)
    np.testing.assert_array_equal(unseen[:, 3], -unseen[:, 1])  # their own ages, which are 0, above those around
    assert before[town, 2].mean() + 5 < before[~town, 2].mean() and unseen[0, 2] + 5 < unseen[1, 2]


def test_rows_that_are_all_in_one_place_have_finite_features() -> None:
    matrix = np.column_stack([np.ones((50, 2)), np.arange(50)]).astype(np.float32)
    step = Neighbours((0, 1), (2,))
    assert np.isfinite(step.fit_transform(matrix, np.arange(50.0))).all()
    assert np.isfinite(step.transform(matrix)).all()


def test_a_larger_map_has_no_more_neighbourhoods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "FINE_UNTIL", 500)
    matrix = np.random.default_rng(0).normal(size=(5_000, 2)).astype(np.float32)

    def leaves(rows: int) -> int:
        step = Neighbours((0, 1), trees=2).fit(matrix[:rows], np.zeros(rows))
        return sum(len(value) for values in step.values_ for value in values)

    assert leaves(5_000) < 1.5 * leaves(500)


def test_the_same_rows_seed_and_budget_give_the_same_model_whoever_works(small: None) -> None:
    """One job or two, resumed or not; another seed gives another."""
    first, shared = made(), made(FULL.model_copy(update={"jobs": 2, "backend": "threading"}))
    assert first.onnx == shared.onnx
    assert _timeless(first.search) == _timeless(shared.search)
    np.testing.assert_array_equal(first.out_of_fold, shared.out_of_fold)
    assert made(FULL.model_copy(update={"seed": 7})).onnx != first.onnx


def _timeless(search: dict[str, Any]) -> dict[str, Any]:
    return search | {"candidates": [{**entry, "seconds": 0} for entry in search["candidates"]]}


def test_another_process_makes_the_same_bytes() -> None:
    """With another order of hashes: what a process leaves to chance is not in the model."""
    environment = os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": str(Path(__file__).parents[2])}
    script = "from tests.unit.test_trainer_search import mixture_sha256; print(mixture_sha256())"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == mixture_sha256()


def mixture_sha256() -> str:
    rows, design = positive(make_rows(districts(), 300)), DESIGNS[-1]
    pipeline = fit(rows, None, CANDIDATES[0], recipe_for(districts(), design.preparation), design)
    return hashlib.sha256(to_onnx(pipeline)).hexdigest()


def test_the_manifest_tells_of_every_candidate(small: None) -> None:
    version = made()
    search = json.loads(json.dumps(version.search))
    assert search["profile"] == "full" and search["stopped"] is None and search["fits"] > 30
    best = search["candidates"][0]
    assert {"shortlist", "preparation", "settings", "mixture"} <= {entry["stage"] for entry in search["candidates"]}
    assert best["interval"][0] < best["rmse"] < best["interval"][1] and len(best["fold_rmse"]) == FOLDS
    assert search["chosen"] in {entry["name"] for entry in search["candidates"]}
    assert [point["rows"] for point in search["learning_curve"]] == [25, 70, 200]
    assert all(point["train_rmse"] < point["rmse"] for point in search["learning_curve"])
    assert {entry["column"] for entry in search["importances"]} == {"flow", "heat"}
    with np.load(io.BytesIO(version.files["candidates.npz"])) as kept:
        assert set(kept) == {entry["name"] for entry in search["candidates"][:10]} and kept[best["name"]].shape == (
            300,
        )
    quick = made(TrainerSettings(search="quick")).search
    assert quick["profile"] == "quick" and quick["chosen"] == "fresh" and quick["importances"][0]["rmse_increase"] > 0
    assert set(quick) == set(search)


def test_the_budget_in_fits_is_kept_and_its_end_is_told(small: None) -> None:
    search = made(FULL.model_copy(update={"search_fits": 36})).search
    curve_and_importances = 2 * FOLDS * 4 + 1  # of a mixture, each member's
    assert search["fits"] <= 36 + curve_and_importances and search["stopped"] == "fits"


def test_no_time_still_makes_a_model(small: None) -> None:
    search = made(FULL.model_copy(update={"search_seconds": 1e-9})).search
    assert search["stopped"] == "seconds" and search["chosen"]


def test_a_killed_search_goes_on_where_it_was(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    done: list[str] = []

    def report(stage: str, told: dict[str, Any]) -> None:
        done.append(stage)
        if len(done) == 8:
            raise Killed

    rows = make_rows(NUMBERS, 300)
    with pytest.raises(Killed):
        make(rows, None, FULL, report, str(tmp_path))
    fitted: list[Design] = []
    real = running.fit_fold
    monkeypatch.setattr(running, "fit_fold", lambda *given: (fitted.append(given[-1]), real(*given))[1])
    resumed = make(rows, None, FULL, QUIET, str(tmp_path))
    assert 0 < len(fitted) < resumed.search["fits"] - 15
    assert resumed.onnx == made(rows=rows).onnx
    assert not any(path.is_file() for path in tmp_path.rglob("*")), "what was kept is removed at the end"


def test_few_rows_are_answered_by_the_quick_profile() -> None:
    assert made().search["profile"] == "quick"


def scored(name: str, prediction: Any, rows: LabelledRows, family: str = "boosting", trees: int = 10) -> Scored:
    design = Design(name, family, settings=(("max_iter", trees),))
    return Scored(design, "settings", 1.0, prediction, figures(prediction, folds_of(rows, FOLDS)))


def test_mixtures_of_known_predictions() -> None:
    """Errors that cancel: the mean has none; least squares leaves noise out, and finds unequal weights."""
    rows = make_rows(NUMBERS, 300)
    folds, error = folds_of(rows, FOLDS), np.random.default_rng(0).normal(size=300)
    over, under = scored("a", rows.target + error, rows), scored("b", rows.target - error, rows)
    assert voting("v", [over, under], folds).rmse < 1e-9
    noise = scored("n", np.random.default_rng(1).normal(size=300), rows)
    far = scored("c", rows.target - 3 * error, rows)
    found = stacking("s", [over, far, noise], folds)
    assert found.rmse < 1e-6
    assert {design.name: round(weight, 6) for design, weight in found.design.members} == {"a": 0.75, "c": 0.25}


def test_the_choice_takes_fewer_trees_where_that_is_as_good() -> None:
    rows = make_rows(NUMBERS, 300)
    error = np.random.default_rng(0).normal(size=300)
    best = scored("best", rows.target + error, rows, trees=600)
    near = scored("near", rows.target + 1.0005 * error, rows, trees=100)
    worse = scored("worse", rows.target + 1.1 * error, rows, trees=1)
    assert plan.choice([best, near, worse])[0] is near
    assert plan.choice([best, worse])[0] is best


def test_a_backend_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match="needs the package ray"), Backend("ray").open():
        pass


def test_halved_settings_see_nested_rows(small: None) -> None:
    """A smaller share's rows are among a larger one's, so a design's scores can be compared between rungs."""
    runner = Runner(make_rows(NUMBERS, 300), FOLDS, 100)
    design = Design("x", "linear")
    few, many = (set(runner._split((design, share, 0))[0].tolist()) for share in (0.3, 0.8))
    assert few < many and 0.2 < len(few) / 200 < 0.4
    assert [one.share for one in runner.score("s", [replace(design, name="y")], 0.3)] == [0.3]


events: list[str] = []


class Guarded(LabelledRows):
    """Rows that tell when somebody takes test rows out of them."""

    def take(self, rows: Any) -> LabelledRows:
        if is_test([self.columns.keys[i] for i in rows.tolist()], FULL.test_share).any():
            events.append("test rows")
        return LabelledRows.take(self, rows)


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_the_test_rows_are_taken_once_when_everything_is_chosen(
    small: None, monkeypatch: pytest.MonkeyPatch, profile: Any
) -> None:
    rows = make_rows(NUMBERS, 300)
    monkeypatch.setattr(making, "to_onnx", lambda pipeline: (events.append("chosen"), to_onnx(pipeline))[1])
    events.clear()
    guarded = TrainingSet(Guarded(rows.columns, rows.target), "test")
    train(guarded, TrainerSettings(search=profile, jobs=1), lambda *_: b"", QUIET)
    assert events == ["chosen", "test rows"]


def test_nothing_of_a_test_row_is_in_the_model(small: None) -> None:
    """Other values and targets in the test rows: the same bytes. In one training row: others."""
    rows = make_rows(NUMBERS, 300)
    test = np.flatnonzero(is_test(rows.columns.keys, FULL.test_share))
    first = int(np.flatnonzero(~is_test(rows.columns.keys, FULL.test_share))[0])

    def model(changed: Any) -> bytes:
        numeric, target = rows.columns.numeric.copy(), rows.target.copy()
        numeric[changed], target[changed] = numeric[changed][:, ::-1] * 2, target[changed] + 5
        data = TrainingSet(LabelledRows(replace(rows.columns, numeric=numeric), target), "test")
        settings = TrainerSettings(search="quick")
        return train(data, settings, lambda *_: b"", QUIET).files["model.onnx"]

    assert model(test[:0]) == model(test) != model(np.array([first]))


@pytest.mark.parametrize(
    ("setting", "quick", "follow", "searched"),
    [("auto", False, False, "full"), ("auto", True, False, "quick"), ("auto", False, True, "quick"),
     ("full", False, True, "full"), ("quick", False, False, "quick"), ("full", True, False, "quick")],
)  # fmt: skip
def test_a_batch_run_searches_and_a_request_is_answered_quickly(
    setting: Any, quick: bool, follow: bool, searched: str
) -> None:
    """Unless the setting or the option says otherwise."""
    settings = Settings(trainer=TrainerSettings(search=setting, seed=5))
    asked = _asked(App(settings), None, quick=quick, follow=follow).settings.trainer
    assert (asked.search, asked.seed) == (searched, 5)
    assert _asked(App(settings), 9, quick=quick, follow=follow).settings.trainer.seed == 9


def test_what_a_search_reports_can_be_logged_by_a_follower(small: None) -> None:
    """Beside the stage, whose name is taken; each candidate's figures come with its step."""
    told: list[dict[str, Any]] = []

    def report(stage: str, figures: dict[str, Any]) -> None:
        _report_stage(stage, figures)
        told.append(figures)

    make(make_rows(NUMBERS, 300), None, FULL, report)
    assert {"shortlist", "preparation", "settings"} <= {figures["step"] for figures in told if "step" in figures}
