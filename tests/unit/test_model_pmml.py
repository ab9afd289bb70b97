"""PMML: what another program's evaluator (JPMML, on Java; `make extras-check` has it) makes of a version's rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from tests.extras import extra

from longshore.cli.app import App
from longshore.cli.model import model
from longshore.cli.train import train
from longshore.config import Settings, TrainerSettings
from longshore.errors import ConfigurationError, SignatureError
from longshore.producers.generator import districts_frame
from longshore.registry import Registry
from longshore.schema import districts
from longshore.trainer.export_model import MODEL, SCALE
from longshore.trainer.features import Features
from longshore.trainer.housing import recipe_for
from longshore.trainer.pmml import to_pmml
from longshore.trainer.recipe import Curve, Preparation, Recipe
from longshore.trainer.rows import LabelledRows, from_frame

ROWS = from_frame(districts_frame(700, 5), districts())
CURVES = (Curve("log_rooms", "total_rooms", "log"), Curve("root_people", "population", "root"))
PLAIN = recipe_for(districts(), Preparation())
BOOSTING = HistGradientBoostingRegressor(max_iter=20, random_state=1)


def fitted(estimator: Any, recipe: Recipe, *, scale: bool = False) -> Pipeline:
    scaler = [(SCALE, StandardScaler())] if scale else []
    pipeline = Pipeline([("features", Features(recipe)), *scaler, (MODEL, estimator)])
    return pipeline.fit(ROWS.columns.frame(), ROWS.target)


def unseen() -> LabelledRows:
    """With what is missing, a denominator of 0, and a category nobody has seen."""
    rows = from_frame(districts_frame(300, 6), districts())
    numeric, (words,) = rows.columns.numeric.copy(), rows.columns.nominal
    numeric[::7, 4], numeric[::11, 6], numeric[::13, 3] = np.nan, 0.0, np.nan
    words = [None if i % 17 == 0 else "MOON" if i % 19 == 0 else word for i, word in enumerate(words)]
    return LabelledRows(replace(rows.columns, numeric=numeric, nominal=[words]), rows.target)


@pytest.fixture(scope="module")
def evaluate() -> Any:
    """A document's answers for rows, by JPMML."""
    evaluator = extra("jpmml_evaluator")
    backend = evaluator.make_backend("jpype")

    def answers(path: Path, rows: LabelledRows) -> np.ndarray:
        loaded = evaluator.make_evaluator(str(path), backend=backend).verify()
        frame = rows.columns.frame()
        found = [loaded.evaluate(_arguments(row)) for row in frame.to_dict(orient="records")]
        return np.array([one["prediction"] for one in found], dtype=np.float64)

    return answers


def _arguments(row: dict[Any, Any]) -> dict[str, Any]:
    """Without what is missing."""
    return {name: value for name, value in row.items() if value is not None and value == value}  # noqa: PLR0124


@pytest.mark.parametrize(
    ("estimator", "recipe", "scale"),
    [
        pytest.param(BOOSTING, PLAIN, False, id="boosting"),
        pytest.param(RandomForestRegressor(8, random_state=1), replace(PLAIN, curves=CURVES), False, id="forest"),
        pytest.param(
            VotingRegressor([("a", ExtraTreesRegressor(5, random_state=1)), ("b", BOOSTING)], weights=[0.3, 0.7]),
            PLAIN,
            False,
            id="mixture",
        ),
        pytest.param(Ridge(2.0), replace(PLAIN, curves=CURVES), True, id="line"),
    ],
)
def test_an_independent_evaluator_says_what_scikit_learn_says(
    evaluate: Any, tmp_path: Path, estimator: Any, recipe: Recipe, scale: bool
) -> None:
    pipeline, rows = fitted(estimator, recipe, scale=scale), unseen()
    data = to_pmml(pipeline, "median_house_value")
    assert data == to_pmml(pipeline, "median_house_value")
    path = tmp_path / "model.pmml"
    path.write_bytes(data)
    # scikit-learn multiplies a line out in float32; trees are equal to the last digits of float64.
    np.testing.assert_allclose(
        evaluate(path, rows), pipeline.predict(rows.columns.frame()), rtol=1e-6 if scale else 1e-9
    )


def test_a_step_without_such_a_form_is_named() -> None:
    recipe = recipe_for(districts(), Preparation(curves=True, clusters=4))
    with pytest.raises(ConfigurationError, match=r"clusters on the map, likeness to typical values, ordinal buckets"):
        to_pmml(fitted(BOOSTING, recipe), "median_house_value")


def test_a_version_is_exported_and_nothing_is_unpickled_that_nobody_trusted_signed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, bootstrap_servers=None, redis_url=None, trainer=TrainerSettings(min_rows=500))
    app, file = App(settings), tmp_path / "rows.csv"
    districts_frame(700, 5).to_csv(file, index=False)
    trained = CliRunner().invoke(train, ["--data", str(file), "--quick"], obj=app)
    assert trained.exit_code == 0, trained.output
    arguments = ["export-pmml", "champion", "--to", str(tmp_path / "v1.pmml"), "--output", "json"]
    result = CliRunner().invoke(model, arguments, obj=app)
    assert json.loads(result.stdout)["bytes"] == (tmp_path / "v1.pmml").stat().st_size
    assert b"<Node" in (tmp_path / "v1.pmml").read_bytes()
    for key in (tmp_path / "keys").glob("*.pub"):
        key.unlink()
    refused = CliRunner().invoke(model, arguments, obj=app)
    assert isinstance(refused.exception, SignatureError)
    assert Registry.open(settings.registry(), "default").versions() == ["v1"]
