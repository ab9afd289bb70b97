"""`model export-mlflow`, as MLflow itself has it afterwards (`make extras-check` has MLflow)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.extras import extra
from tests.model_world import proof
from tests.unit.test_scorer import constant_model

from longshore.cli.app import App
from longshore.cli.model import model
from longshore.config import Settings
from longshore.registry import Registry
from longshore.schema import districts

mlflow = extra("mlflow")


def test_a_version_is_one_run_and_one_registered_model_that_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow keeps the files of a database without a server
    registry = Registry.open(str(tmp_path / "registry"), "default")
    manifest = {
        **proof(districts(), 7.0),
        "metrics": {"rmse": 4.5, "rmse_interval": [4.0, 5.0]},
        "parameters": {"boosting": {"max_iter": 150}},
    }
    registry.register({"model.onnx": constant_model(7.0), "profile": b"p"}, manifest)
    registry.move_alias("champion", "v1", expected_generation=0, trigger_id="", actor="a", reason="r")
    app = App(Settings(home=tmp_path, registry_url=str(tmp_path / "registry")))
    uri = f"sqlite:///{tmp_path}/mlflow.db"

    def run() -> Any:
        arguments = ["export-mlflow", "champion", "--to", uri, "--output", "json"]
        result = CliRunner().invoke(model, arguments, obj=app, catch_exceptions=False)
        return json.loads(result.stdout)

    done = run()
    assert run() == done
    client = mlflow.MlflowClient(uri)
    found = client.get_run(done["run_id"])
    assert found.data.metrics == {"rmse": 4.5}
    assert found.data.params["parameters.boosting.max_iter"] == "150"
    assert found.data.params["metrics.rmse_interval"] == "[4.0,5.0]"
    assert int(client.get_model_version_by_alias(done["name"], "champion").version) == done["registered"]
    assert {file.path for file in client.list_artifacts(done["run_id"], "files")} == {
        "files/model.onnx",
        "files/profile",
    }
    loaded = mlflow.onnx.load_model(f"models:/{done['name']}@champion")
    assert loaded.SerializeToString() == registry.read("v1", "model.onnx")
