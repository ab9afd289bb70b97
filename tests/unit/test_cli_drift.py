"""`longshore drift compare`: its JSON, its exit codes, and one line for each thing it cannot use."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from longshore.cli.drift import compare, picture
from longshore.errors import DataError
from longshore.monitor.report import Bins

STREAM_KEYS = {"name", "kind", "alert", "p_value", "psi", "kl", "js", "wasserstein", "wasserstein_sigma", "ks"}


@pytest.fixture
def files(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=2_000), "kind": random.integers(0, 3, 2_000)})
    paths = {name: tmp_path / f"{name}.csv" for name in ("reference", "same", "moved", "narrow", "empty", "binary")}
    frame[:1_000].to_csv(paths["reference"], index=False)
    frame[1_000:].to_csv(paths["same"], index=False)
    frame[1_000:].assign(x=frame["x"] + 1).to_csv(paths["moved"], index=False)
    frame[["x"]].to_csv(paths["narrow"], index=False)
    paths["empty"].touch()
    paths["binary"].write_bytes(b"\xff\xfe\x00")
    return {name: str(path) for name, path in paths.items()}


def run(*arguments):
    return CliRunner().invoke(compare, list(arguments))


def test_json_has_the_contracts_keys_and_ranks(files):
    result = run(files["reference"], files["moved"], "--categorical", "kind", "--output", "json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["alert"] is True
    assert [stream["name"] for stream in report["streams"]] == ["x", "kind"]
    assert all(stream.keys() >= STREAM_KEYS for stream in report["streams"])
    assert report["streams"][1]["kind"] == "nominal"


def test_exit_codes(files):
    assert run(files["reference"], files["moved"]).exit_code == 0
    assert run(files["reference"], files["moved"], "--fail-on-alert").exit_code == 1
    assert run(files["reference"], files["same"], "--fail-on-alert").exit_code == 0
    assert run(files["reference"], files["reference"] + ".not").exit_code == 2


def test_the_table_names_what_moved_first(files):
    lines = run(files["reference"], files["moved"]).stdout
    assert "DRIFT in 1 of 2 columns" in lines
    assert lines.index("x ") < lines.index("kind")


@pytest.mark.parametrize(("name", "words"), [("narrow", "kind"), ("empty", "empty.csv"), ("binary", "binary.csv")])
def test_unusable_data_is_named(files, name, words):
    error = run(files["reference"], files[name]).exception
    assert isinstance(error, DataError)
    assert words in str(error)
    assert "\n" not in str(error)


def test_the_picture_has_a_bar_for_every_bin():
    assert picture(Bins(["a", "b", "c"], [], [5, 5, 0], [10, 0, 0])) == "▅▅  → █  "
