"""Schemas of two classes: the figures are scikit-learn's, and such a schema goes through training to its pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn import metrics as reference
from tests.trainer_rows import make_rows

from longshore.cli.app import App
from longshore.cli.dataset import dataset
from longshore.cli.train import train
from longshore.config import Settings, TrainerSettings
from longshore.errors import DataError
from longshore.registry import Registry
from longshore.schema import TargetKind, load_schema
from longshore.served_model import ServedModel
from longshore.trainer.classes import area_under_roc, classification

SCHEMA = """
name = "pumps"
key = "pump"
target = "fails"
target_kind = "binary"
fields = [{ name = "flow", kind = "numeric" }, { name = "heat", kind = "numeric" }]
"""


@pytest.mark.parametrize("seed", range(5))
def test_the_figures_are_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = (rng.random(400) < 0.3).astype(np.float64)
    prediction = np.round(np.clip(0.4 * target + rng.normal(0.3, 0.2, 400), 0, 1), 2)  # rounded: with ties
    found, said = classification(prediction, target, np.arange(400)), prediction >= 0.5
    (spared, wrong), (missed, right) = reference.confusion_matrix(target, said).tolist()
    assert found["confusion"] == {
        "true_positive": right, "false_positive": wrong, "false_negative": missed, "true_negative": spared,
    }  # fmt: skip
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(target, said))
    assert found["precision"] == pytest.approx(reference.precision_score(target, said))
    assert found["recall"] == pytest.approx(reference.recall_score(target, said))
    assert found["f1"] == pytest.approx(reference.f1_score(target, said))
    assert found["auc_roc"] == pytest.approx(reference.roc_auc_score(target, prediction))
    assert found["accuracy_interval"][0] < found["accuracy"] < found["accuracy_interval"][1]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_what_cannot_be_divided_is_none_and_a_looped_replay_narrows_nothing() -> None:
    never = classification(np.zeros(10), np.repeat([0.0, 1.0], 5), np.arange(10))
    assert (never["precision"], never["recall"], never["f1"], never["auc_roc"]) == (None, 0.0, 0.0, 0.5)
    assert area_under_roc(np.arange(4.0), np.ones(4, dtype=np.bool_)) is None
    once = np.random.default_rng(1).random(50), (np.arange(50) % 2).astype(np.float64), np.arange(50)
    thrice = tuple(np.tile(column, 3) for column in once)
    assert classification(*thrice)["accuracy_interval"] == pytest.approx(classification(*once)["accuracy_interval"])


@pytest.fixture
def app(tmp_path: Path) -> App:
    (tmp_path / "pumps.toml").write_text(SCHEMA)
    settings = Settings(
        home=tmp_path,
        schema_file=tmp_path / "pumps.toml",
        bootstrap_servers=None,
        redis_url=None,
        trainer=TrainerSettings(min_rows=500),
    )
    return App(settings)


def csv(folder: Path, change: Any = lambda fails: fails) -> Path:
    rows = make_rows(load_schema(folder / "pumps.toml"), 900, seed=4)
    fails = change((rows.target > np.median(rows.target)).astype(np.float64))
    frame: pd.DataFrame = rows.columns.frame().assign(pump=rows.columns.keys, fails=fails)
    frame.to_csv(folder / "pumps.csv", index=False)
    return folder / "pumps.csv"


def run(app: App, data: Path) -> Any:
    return CliRunner().invoke(train, ["--data", str(data), "--quick", "--output", "json"], obj=app)


def test_a_schema_of_two_classes_is_trained_judged_and_told(app: App, tmp_path: Path) -> None:
    result = run(app, csv(tmp_path))
    assert result.exit_code == 0, result.output
    done = json.loads(result.stdout)
    found = done["metrics"]["classification"]
    assert done["promoted"] and found["accuracy"] > 0.85 and found["auc_roc"] > 0.93
    assert sum(found["confusion"].values()) == done["metrics"]["rows_test"]
    registry = Registry.open(app.settings.registry(), "default")
    assert ServedModel.load(registry.read("v1", "model.onnx")).numeric == ("flow", "heat")
    for page in ("report.html", "card.md"):
        text = registry.read("v1", page).decode()
        assert "AUC-ROC" in text and "confusion matrix" in text
    assert registry.manifest("v1")["schema"]["target_kind"] == TargetKind.BINARY
    verified = CliRunner().invoke(dataset, ["verify", "--output", "json"], obj=app)
    assert verified.exit_code == 0, verified.output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda fails: np.where(np.arange(len(fails)) == 7, 2.0, fails), "else in 1 of 900 rows (for example 2)"),
        (np.zeros_like, "is 0 in every row"),
    ],
)
def test_other_labels_are_refused(app: App, tmp_path: Path, change: Any, words: str) -> None:
    result = run(app, csv(tmp_path, change))
    assert isinstance(result.exception, DataError) and words in str(result.exception)
    assert Registry.open(app.settings.registry(), "default").versions() == []
