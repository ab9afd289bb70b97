"""`longshore model`: the JSON other programs rely on, and one line for what cannot be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from longshore.cli.app import App
from longshore.cli.model import model
from longshore.config import Settings
from longshore.errors import ConfigurationError, IntegrityError, LongshoreError
from longshore.registry import Registry

Run = Callable[..., Any]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.open(str(tmp_path / "registry"), "default")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    app = App(Settings(home=tmp_path, registry_url=str(tmp_path / "registry"), bootstrap_servers=None, redis_url=None))

    def invoke(*arguments: str) -> Any:
        result = CliRunner().invoke(model, [*arguments, "--output", "json"], obj=app)
        if isinstance(result.exception, LongshoreError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return invoke


def fill(registry: Registry, count: int = 3) -> None:
    for number in range(count):
        registry.register({"model.onnx": b"%d" % number, "profile": b"p"}, {"metrics": {"rmse": 5.0 - number}})


def test_show_champion_is_the_manifest_with_version_generation_and_paths(run: Run, registry: Registry) -> None:
    fill(registry)
    run("promote", "v2")
    shown = run("show", "champion")
    assert (shown["version"], shown["generation"], shown["metrics"]) == ("v2", 1, {"rmse": 4.0})
    assert set(shown["files"]) == {"model.onnx", "profile"}
    assert Path(shown["files"]["model.onnx"]).read_bytes() == b"1"
    assert Path(shown["files"]["model.onnx"]).is_absolute()
    assert run("show", "v3")["generation"] is None


def test_promote_and_rollback_move_one_generation_each(run: Run, registry: Registry) -> None:
    fill(registry)
    assert run("promote", "v1", "--reason", "first") == {
        "version": "v1", "generation": 1, "changed": True, "previous": None,
        "pending": ["redis: redis_url is not set", "model.events: bootstrap_servers is not set"],
    }  # fmt: skip
    for version in ("v2", "v3"):
        run("promote", version)
    again = run("promote", "v3")
    assert (again["changed"], again["generation"]) == (False, 3)
    assert run("show", "previous")["version"] == "v2"
    assert [run("rollback")["version"] for _ in range(2)] == ["v2", "v1"]
    with pytest.raises(ConfigurationError, match="no previous version"):
        run("rollback")
    moves = [(move["generation"], move["kind"], move["from"], move["version"]) for move in run("history")]
    assert moves == [
        (1, "promoted", None, "v1"),
        (2, "promoted", "v1", "v2"),
        (3, "promoted", "v2", "v3"),
        (4, "rolled_back", "v3", "v2"),
        (5, "rolled_back", "v2", "v1"),
    ]
    assert run("history")[0]["reason"] == "first"
    assert "@" in run("history")[0]["actor"]


def test_list_names_each_version_and_what_points_at_it(run: Run, registry: Registry) -> None:
    assert run("list") == []
    fill(registry, 2)
    run("promote", "v1")
    run("promote", "v2")
    assert [(row["version"], row["aliases"]) for row in run("list")] == [("v1", ["previous"]), ("v2", ["champion"])]


@pytest.mark.parametrize(
    "arguments", [("show", "champion"), ("show", "v1"), ("promote", "v1"), ("rollback",), ("verify",)]
)
def test_an_empty_registry_says_how_to_fill_it(run: Run, arguments: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="run `longshore train`") as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments", [("show", "v7"), ("promote", "v7"), ("verify", "v7"), ("show", "../v1")])
def test_an_unknown_version_lists_those_there_are(run: Run, registry: Registry, arguments: tuple[str, ...]) -> None:
    fill(registry, 2)
    with pytest.raises(ConfigurationError, match="there are v1, v2"):
        run(*arguments)


def test_damage_is_told_and_never_promoted(tmp_path: Path, run: Run, registry: Registry) -> None:
    fill(registry, 2)
    assert [row["ok"] for row in run("verify", "--all")] == [True, True]
    path = registry.path("v2", "profile")
    path.chmod(0o644)
    path.write_bytes(b"")
    app = App(Settings(home=tmp_path, registry_url=str(tmp_path / "registry")))
    result = CliRunner().invoke(model, ["verify", "--output", "json"], obj=app)
    assert result.exit_code == 1
    assert [row["ok"] for row in json.loads(result.stdout)] == [True, False]
    with pytest.raises(IntegrityError, match="v2 is damaged"):
        run("promote", "v2")
    assert run("history") == []
