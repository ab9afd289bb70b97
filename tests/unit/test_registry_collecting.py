"""`model gc`: what anybody may ask for stays; what goes leaves its manifest; a kill half-way is gone on from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from longshore.cli.app import App
from longshore.cli.model import model
from longshore.config import Settings
from longshore.errors import IntegrityError, LongshoreError
from longshore.registry import Registry
from longshore.registry.collecting import UNDECIDED_AGE_S, UNFINISHED_AGE_S, Collector
from longshore.registry.local_folder import LEFTOVER_AGE_S

Run = Callable[..., Any]
LATER = 1_000_000.0 + UNDECIDED_AGE_S + 1


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return filled(tmp_path / "registry", 8)


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


def filled(folder: Path, count: int) -> Registry:
    registry = Registry.open(str(folder), "default", clock=lambda: 1_000_000.0)
    for number in range(1, count + 1):
        registry.register({"model.onnx": b"x" * number}, {"trigger_id": f"t{number}", "metrics": {}})
    return registry


def move(registry: Registry, version: str, alias: str = "champion", kind: str = "promoted") -> None:
    current = registry.alias(alias)
    registry.move_alias(
        alias, version, expected_generation=current.generation if current else 0,
        trigger_id="", actor="a", reason="r", kind=kind,
    )  # fmt: skip


def test_only_what_nobody_will_ask_for_goes(registry: Registry) -> None:
    for version in ("v1", "v2", "v3"):
        move(registry, version)
    move(registry, "v4", "challenger")
    assert registry.claim("t5", owner="me", ttl_s=1) is not None
    plan = Collector(registry, keep=1, moves=1).plan(LATER)
    assert plan.kept == {
        "v2": "previous",
        "v3": "champion",
        "v4": "challenger",
        "v5": "request t5 is not finished",
        "v8": "among the newest 1",
    }
    assert plan.versions == {"v1": 1, "v6": 6, "v7": 7}
    assert plan.total() == 14
    move(registry, "v6", "challenger")
    assert Collector(registry, keep=1, moves=1).plan(LATER).kept["v4"] == "waits for approval"
    assert "v1" not in Collector(registry, keep=1, moves=3).plan(LATER).versions


def test_what_is_younger_than_a_day_may_still_be_decided_on(registry: Registry) -> None:
    assert Collector(registry, keep=0, moves=1).plan(LATER - 2).versions == {}


def test_nothing_goes_without_yes(run: Run, registry: Registry) -> None:
    move(registry, "v8")
    found = run("gc", "--keep", "0")
    assert (found["deleted"], sorted(found["versions"])) == (False, [f"v{n}" for n in range(1, 8)])
    assert found["bytes"] == sum(range(1, 8))
    assert all(registry.verify(version) == [] for version in registry.versions())


def test_a_collected_version_is_its_manifest_and_its_place_in_history(run: Run, registry: Registry) -> None:
    move(registry, "v1")
    move(registry, "v8")
    move(registry, "v7")
    events = registry.events()
    assert run("gc", "--keep", "1", "--moves", "2", "--yes")["deleted"]
    assert registry.versions() == ["v7", "v8"]
    assert [row["version"] for row in run("list")] == ["v7", "v8"]
    assert registry.events() == events
    assert registry.find_trigger("t3") == "v3"
    assert run("show", "v3")["trigger_id"] == "t3"
    assert "was collected by" in registry.verify("v3")[0]
    assert not registry.path("v3", "model.onnx").exists()
    with pytest.raises(IntegrityError, match="collected"):
        move(registry, "v3")
    assert [row["ok"] for row in run("verify")] == [True, True]
    # Its number is not given again, although it was neither champion nor listed any more.
    assert registry.register({"model.onnx": b""}, {}) == "v9"


def test_a_version_that_is_promoted_meanwhile_is_spared(registry: Registry) -> None:
    collector = Collector(registry, keep=0, moves=1)
    move(registry, "v1")
    plan = collector.plan(LATER)
    move(registry, "v5")
    gone = collector.collect(plan, actor="a", reason="r")
    assert gone.kept["v5"] == "champion"
    assert "v5" not in gone.versions
    assert registry.verify("v5") == []


def test_a_killed_collection_is_finished_by_the_next(registry: Registry) -> None:
    registry.mark_collected("v2", actor="a", reason="r")
    assert registry.path("v2", "model.onnx").exists()
    collector = Collector(registry, keep=8, moves=1)
    plan = collector.plan(LATER)
    assert plan.leftovers == {"versions/v2/model.onnx": 2}
    collector.collect(plan, actor="a", reason="r")
    assert not registry.path("v2", "model.onnx").exists()
    assert collector.plan(LATER).total() == 0


def test_what_killed_writers_left_goes_after_an_hour(registry: Registry) -> None:
    folder = registry.path("v1", "model.onnx").parents[2]
    old, young = folder / ".incoming" / "old", folder / ".incoming" / "young"
    unfinished = folder / "versions" / "v9"
    for place in (old, young, unfinished):
        place.mkdir(parents=True)
        (place / "model.onnx").write_bytes(b"half")
    for place, age in ((old, LEFTOVER_AGE_S), (unfinished, UNFINISHED_AGE_S)):
        stamp = place.stat().st_mtime - age - 1
        os.utime(place, (stamp, stamp))
    collector = Collector(registry, keep=8, moves=1)
    plan = collector.plan(LATER)
    assert plan.leftovers == {".incoming/old": 4, "versions/v9/model.onnx": 4}
    collector.collect(plan, actor="a", reason="r")
    assert (old.exists(), young.exists(), list(unfinished.iterdir())) == (False, True, [])


@hypothesis_settings(max_examples=20)
@given(st.lists(st.integers(1, 6), max_size=8), st.integers(0, 3), st.integers(1, 4))
def test_champion_previous_and_the_last_moves_always_stay(
    tmp_path_factory: pytest.TempPathFactory, moves: list[int], keep: int, last: int
) -> None:
    registry = filled(tmp_path_factory.mktemp("r") / "registry", 6)
    for number in moves:
        move(registry, f"v{number}")
    plan = Collector(registry, keep=keep, moves=last).plan(LATER)
    asked = {record.version for record in registry.history()[-last:]} | set(registry.versions()[6 - keep :])
    asked |= {record.version for name in ("champion", "previous") if (record := registry.alias(name))}
    assert asked.isdisjoint(plan.versions)
    assert asked | set(plan.versions) | set(plan.kept) == set(registry.versions())
    assert set(plan.kept) == asked
