"""`model export-wandb`: what is in the run's file, read by its own format (`make extras-check` has W&B)."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
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

extra("wandb")
BLOCK, HEADER = 32_768, 7
"""A `.wandb` file is LevelDB's log: blocks of pieces, each with checksum, length and kind (1: whole, 4: last)."""


def records(file: Path) -> Iterator[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = file.read_bytes(), 7, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        size, kind = struct.unpack("<HB", data[at + 4 : at + HEADER])
        parts += data[at + HEADER : at + HEADER + size]
        at += HEADER + size
        if kind in (1, 4):
            found = Record()
            found.ParseFromString(parts)
            parts = b""
            yield found


def test_a_version_is_an_offline_run_with_its_figures_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    registry = Registry.open(str(tmp_path / "registry"), "default")
    manifest = {
        **proof(districts(), 7.0),
        "metrics": {"rmse": 4.5, "rmse_interval": [4.0, 5.0]},
        "parameters": {"boosting": {"max_iter": 150}},
    }
    registry.register({"model.onnx": constant_model(7.0), "profile": b"p"}, manifest)
    app = App(Settings(home=tmp_path, registry_url=str(tmp_path / "registry")))
    arguments = ["export-wandb", "v1", "--to", str(tmp_path), "--output", "json"]
    done = json.loads(CliRunner().invoke(model, arguments, obj=app, catch_exceptions=False).stdout)
    (file,) = Path(done["folder"]).glob("*.wandb")
    found = list(records(file))
    (run,) = [one.run for one in found if one.WhichOneof("record_type") == "run"]
    assert (run.run_id, run.project) == (done["run_id"], "longshore-default") == ("default-v1", "longshore-default")
    config = {one.key: json.loads(one.value_json) for one in run.config.update}
    assert config["parameters.boosting.max_iter"] == "150" and config["metrics.rmse_interval"] == "[4.0,5.0]"
    summary = {
        "".join([item.key, *item.nested_key]): json.loads(item.value_json)
        for one in found
        if one.WhichOneof("record_type") == "summary"
        for item in one.summary.update
    }
    assert summary["rmse"] == 4.5
    (logged,) = [one.artifact for one in found if one.WhichOneof("record_type") == "artifact"]
    assert {entry.path for entry in logged.manifest.contents} == {"model.onnx", "profile"}
