"""`longshore train` as its users run it: a process, a file, one JSON value on stdout, one line for a fault."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from longshore.codec import Codec
from longshore.dataset import read_csv
from longshore.producers.generator import districts_frame
from longshore.registry import Registry
from longshore.schema import districts
from longshore.served_model import ServedModel
from longshore.trainer.rows import from_frame

TOML = """
name = "pumps"
key = "pump"
target = "wear"
fields = [{ name = "flow", kind = "numeric" }, { name = "maker", kind = "nominal" }]
"""


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "districts.csv"
    districts_frame(3_000, 5).drop(columns="district_id").to_csv(path, index=False)
    return path


def train(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
    ours |= {"LONGSHORE_HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder), **environment}
    return subprocess.run(
        [sys.executable, "-m", "longshore.cli.main", "train", *arguments],
        cwd=folder,
        env=ours,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def registry(folder: Path) -> Registry:
    return Registry.open(str(folder / "home" / "registry"), "default")


def test_train_on_a_csv_promotes_and_prints_the_contract(tmp_path: Path, csv: Path) -> None:
    done = train(tmp_path, "--data", str(csv), "--output", "json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert list(printed) == ["version", "promoted", "reason", "metrics"]
    assert printed["version"] == "v1" and printed["promoted"] and "RMSE" in printed["reason"]
    assert printed["metrics"]["rmse_interval"][0] < printed["metrics"]["rmse"] < printed["metrics"]["rmse_interval"][1]
    assert "Redis and Kafka are not set" in done.stderr
    champion = registry(tmp_path).alias()
    assert champion is not None and champion.version == "v1" and champion.generation == 1


def test_the_scorer_s_columns_and_the_stored_pipeline_agree_on_decoded_records(tmp_path: Path, csv: Path) -> None:
    assert train(tmp_path, "--data", str(csv)).returncode == 0
    names = list(districts().feature_names)
    frame = districts_frame(500, 6)[names]
    frame.loc[0, "households"], frame.loc[1, "ocean_proximity"] = 0, "MOON"
    records = [
        {"record_id": str(i), "district_id": str(i), "event_time": i, **json.loads(row.to_json())}
        for i, row in frame.iterrows()
    ]
    columns = Codec(districts()).decode([json.dumps(record).encode() for record in records]).columns
    assert len(columns) == 500
    served = ServedModel.load(registry(tmp_path).read("v1", "model.onnx")).predict(columns)
    pipeline = joblib.load(io.BytesIO(registry(tmp_path).read("v1", "pipeline.joblib")))
    np.testing.assert_allclose(served, pipeline.predict(pd.DataFrame(records)), rtol=1e-5)


@pytest.mark.long
def test_the_same_trigger_resumes_and_the_same_seed_repeats(tmp_path: Path, csv: Path) -> None:
    first, again = (train(tmp_path, "--data", str(csv), "--trigger-id", "t", "--output", "json") for _ in range(2))
    assert json.loads(first.stdout) == json.loads(again.stdout)
    assert train(tmp_path, "--data", str(csv), "--output", "json").returncode == 0
    assert registry(tmp_path).read("v1", "model.onnx") == registry(tmp_path).read("v2", "model.onnx")


@pytest.mark.long
def test_elsewhere_and_in_another_order_the_same_rows_give_the_same_model_to_the_byte(tmp_path: Path) -> None:
    """Another home, file, order of rows, hash seed, time zone and threads; `make repeat-check` makes two venvs."""
    rows = districts_frame(3_200, 5)
    found, unseen = [], districts_frame(300, 9)
    unseen.to_csv(tmp_path / "unseen.csv", index=False)
    for name, frame, environment in (
        ("here", rows, {"PYTHONHASHSEED": "1", "TZ": "UTC", "LONGSHORE_TRAINER__JOBS": "1"}),
        (
            "there",
            rows.sample(frac=1, random_state=3),
            {"PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu", "OMP_NUM_THREADS": "2", "LONGSHORE_TRAINER__JOBS": "2"},
        ),
    ):
        folder = tmp_path / name
        folder.mkdir()
        frame.to_csv(folder / f"{name}.csv", index=False)
        done = train(folder, "--data", f"{name}.csv", "--quick", "--seed", "7", "--output", "json", **environment)
        assert done.returncode == 0, done.stderr
        model = registry(folder)
        served = ServedModel.load(model.read("v1", "model.onnx"))
        columns = from_frame(read_csv(tmp_path / "unseen.csv", districts(), require_target=True), districts()).columns
        manifest = model.manifest("v1")
        predicted = served.predict(columns).tobytes()
        found.append(
            (manifest["dataset"]["sha256"], served.sha256, manifest["metrics"], manifest["segments"], predicted)
        )
    assert found[0] == found[1]


def test_a_rejection_exits_zero(tmp_path: Path, csv: Path) -> None:
    assert train(tmp_path, "--data", str(csv)).returncode == 0
    noise = pd.read_csv(csv).assign(median_house_value=np.random.default_rng(1).permutation(3_000) * 100.0)
    noise.to_csv(tmp_path / "noise.csv", index=False)
    done = train(tmp_path, "--data", str(tmp_path / "noise.csv"), "--output", "json")
    assert done.returncode == 0 and json.loads(done.stdout)["promoted"] is False
    champion = registry(tmp_path).alias()
    assert champion is not None and champion.version == "v1"


@pytest.mark.long
def test_without_data_the_generator_is_used_and_another_schema_works(tmp_path: Path) -> None:
    assert json.loads(train(tmp_path, "--rows", "1500", "--output", "json").stdout)["promoted"]
    (tmp_path / "pumps.toml").write_text(TOML)
    rng = np.random.default_rng(1)
    flow, maker = rng.normal(5, 2, 800), rng.choice(["acme", "zenith"], 800)
    frame = pd.DataFrame({"pump": range(800), "flow": flow, "maker": maker, "wear": flow * 2 + (maker == "acme")})
    frame.to_csv(tmp_path / "pumps.csv", index=False)
    schema = {"LONGSHORE_SCHEMA_FILE": str(tmp_path / "pumps.toml"), "LONGSHORE_MODEL": "pumps"}
    done = train(tmp_path, "--data", str(tmp_path / "pumps.csv"), "--output", "json", **schema)
    assert done.returncode == 0 and json.loads(done.stdout)["promoted"], done.stderr
    refused = train(tmp_path, **schema)
    assert refused.returncode == 2 and "no generator for the schema pumps" in refused.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="households"), "households"),
        (lambda frame: frame.drop(columns="median_house_value"), "median_house_value"),
        (lambda frame: frame.assign(households="many"), "not a number"),
        (lambda frame: frame.head(30), "too few"),
        (lambda frame: frame.assign(median_house_value=7.0), "nothing to learn"),
        (lambda frame: frame.assign(total_bedrooms=np.nan), "total_bedrooms is empty"),
    ],
)
def test_bad_files_are_refused_in_one_line_and_nothing_is_registered(
    tmp_path: Path, csv: Path, change: object, words: str
) -> None:
    change(pd.read_csv(csv)).to_csv(csv, index=False)  # type: ignore[operator]
    done = train(tmp_path, "--data", str(csv))
    lines = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    assert done.returncode == 1 and len(lines) == 1 and words in lines[0], done.stderr
    assert done.stdout == "" and registry(tmp_path).versions() == []


def test_usage_errors_exit_two(tmp_path: Path, csv: Path) -> None:
    assert train(tmp_path, "--data", str(csv), "--from", "stream").returncode == 2
    assert train(tmp_path, "--data", str(csv), "--trigger-id", "../x").returncode == 2
    assert train(tmp_path, "--data", str(csv), "--seed", "-1").returncode == 2
    assert train(tmp_path, "--follow", "--label-wait", "nan").returncode == 2
    assert train(tmp_path, "--data", str(tmp_path / "none.csv")).returncode == 1
