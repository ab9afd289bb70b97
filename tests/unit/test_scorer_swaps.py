"""Which model is taken into use, from where, and when again: whatever a place says, hides or has lost."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.model_world import STRANGER, World, answer, swaps, watch_parsers

from longshore.schema import Field, Kind, Schema, districts
from longshore.scorer.checks import Reason
from longshore.scorer.moves import OBJECTIONS
from longshore.scorer.waits import MAX_WAIT
from longshore.signing import Signer


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reached a parser, in order."""
    return watch_parsers(monkeypatch)


def test_damage_in_redis_is_made_good_by_the_registry(world: World) -> None:
    version = world.promote(1.0)
    models = world.models()
    pointer = world.cache.pointer
    assert pointer is not None
    for sha256 in (pointer.sha256, pointer.manifest):
        world.cache.blobs[sha256] = b"damaged"
    assert models.refresh()
    assert answer(models) == 1.0
    assert world.refusals == []
    world.promote(2.0)
    world.cache.blobs.clear()
    assert models.refresh()
    assert answer(models) == 2.0 and version == "v1"


def test_damage_in_the_registry_is_made_good_by_redis(world: World) -> None:
    world.promote(1.0)
    world.overwrite("v1", "model.onnx", b"damaged")
    world.overwrite("v1", "manifest.json", b"{")
    models = world.models()
    assert models.refresh()
    assert answer(models) == 1.0


def test_a_pointer_without_a_manifest_is_completed_from_the_registry(world: World) -> None:
    world.promote(1.0)
    world.point("v1", manifest="")
    assert world.models().refresh()


def test_a_pointer_that_is_gone_or_behind_does_not_hide_the_registry(world: World) -> None:
    world.promote(1.0)
    models = world.models()
    models.refresh()
    behind = world.cache.pointer
    world.promote(2.0)
    world.cache.pointer = behind
    assert models.refresh()
    world.promote(3.0)
    world.cache.pointer = None
    assert models.refresh()
    assert answer(models) == 3.0


def test_a_forged_pointer_does_not_hide_the_next_champion(world: World) -> None:
    world.promote(1.0)
    models = world.models()
    models.refresh()
    world.promote(2.0)
    world.point("v1", generation=999)
    assert models.refresh()
    assert answer(models) == 2.0


def test_redis_alone_is_enough_where_no_registry_can_be_asked(world: World, tmp_path: Path) -> None:
    world.promote(1.0)
    elsewhere = World(tmp_path / "elsewhere", signer=world.signer, cache=world.cache)
    models = elsewhere.models()
    assert models.refresh()
    assert answer(models) == 1.0


@pytest.mark.parametrize("planted", [{"version": "v1", "generation": 999}, {"version": "v1", "generation": 2}])
def test_a_model_taken_while_the_registry_was_away_gives_way_once_it_answers(
    world: World, planted: dict[str, Any]
) -> None:
    world.promote(1.0)
    world.promote(2.0)
    world.point(**planted)
    aliases = world.path("v1", "").parents[1] / "aliases"
    away = aliases.rename(aliases.with_name("away"))
    models = world.models()
    assert models.refresh() and answer(models) == 1.0
    assert not models.refresh()
    away.rename(aliases)
    assert [models.refresh() for _ in range(OBJECTIONS)] == [False] * (OBJECTIONS - 1) + [True]
    assert answer(models) == 2.0
    assert [(r.version, r.reason) for r in world.refusals][:1] == [("v1", Reason.UNCONFIRMED)]
    assert not models.refresh()
    away = aliases.rename(aliases.with_name("away"))
    assert not any(models.refresh() for _ in range(5)), "what was objected to is not taken in the next outage"
    away.rename(aliases)
    world.promote(3.0)
    assert models.refresh()
    assert answer(models) == 3.0


def test_a_model_taken_while_the_registry_was_away_stays_where_it_was_right(world: World) -> None:
    world.promote(1.0)
    aliases = world.path("v1", "").parents[1] / "aliases"
    away = aliases.rename(aliases.with_name("away"))
    models = world.models()
    assert models.refresh()
    away.rename(aliases)
    assert not models.refresh()
    world.point("v1", generation=999)
    assert not models.refresh()
    assert answer(models) == 1.0


def test_a_move_that_the_registry_shows_a_moment_later_is_no_refusal(world: World) -> None:
    world.promote(1.0)
    models = world.models()
    models.refresh()
    world.promote(2.0)
    later = world.path("v2", "").parents[1] / "aliases" / "champion" / "2.json"
    hidden = later.rename(later.with_name("hidden"))
    assert not models.refresh()
    hidden.rename(later)
    assert models.refresh()
    assert world.refusals == []


def test_a_place_that_is_away_is_asked_less_often_and_again(world: World) -> None:
    world.promote(1.0)
    models = world.models()
    asked: list[int] = []
    real = world.cache.active

    def active() -> Any:
        asked.append(len(asked))
        return real()

    world.cache.active = active  # type: ignore[method-assign]
    world.cache.away = True
    for _ in range(16):
        models.refresh()
    assert answer(models) == 1.0
    assert 4 <= len(asked) <= 6
    world.cache.away = False
    for _ in range(4):
        models.refresh()
    assert len(asked) > 6


def test_a_refused_version_is_tried_again_less_and_less_often(
    world: World, monkeypatch: pytest.MonkeyPatch, parsed: list[str]
) -> None:
    world.promote(2.0, {"model.onnx": b"not onnx"})
    models = world.models()
    for _ in range(2 * MAX_WAIT):
        models.refresh()
    assert 4 <= len(parsed) <= 8
    assert len(world.refusals) == 1


def test_a_key_that_becomes_trusted_ends_the_waiting(world: World) -> None:
    world.trusted = [STRANGER]
    world.promote(1.0)
    models = world.models()
    for _ in range(3):
        assert not models.refresh()
    assert world.refusals[0].reason is Reason.UNKNOWN_KEY
    assert world.signer is not None
    world.trusted = [STRANGER, world.signer]
    assert models.refresh()


def test_a_detached_signature_is_as_good_as_the_manifests_own(world: World) -> None:
    world.promote(1.0)
    new = Signer.generate()
    world.trusted = [new]
    assert not world.models().refresh()
    assert world.registry.notes.sign("v1", world.registry.manifest("v1"), new)
    assert not world.registry.notes.sign("v1", world.registry.manifest("v1"), new)
    assert world.models().refresh()


def test_without_a_trusted_key_models_go_unsigned_and_it_is_said_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.signer = None
    world.promote(1.0)
    models = world.models()
    assert models.refresh()
    world.promote(2.0)
    assert models.refresh()
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count("MODELS ARE NOT SIGNED") == 1
    assert REGISTRY.get_sample_value("longshore_model_trusted_keys") == 0


def test_bytes_that_have_not_come_yet_are_late_and_not_refused(world: World) -> None:
    world.promote(1.0)
    kept, world.cache.blobs = world.cache.blobs, {}
    moved = world.path("v1", "").rename(world.folder / "away")
    before = swaps("late", "missing")
    models = world.models()
    assert not models.refresh()
    assert not models.refresh()
    assert swaps("late", "missing") == before + 1
    assert world.refusals == []
    world.cache.blobs = kept
    assert models.refresh()
    assert moved.exists()


def test_the_old_model_is_freed(world: World) -> None:
    world.promote(1.0)
    models = world.models()
    models.refresh()
    active = models.active()
    assert active is not None
    old = weakref.ref(active.model)
    del active
    world.promote(2.0)
    models.refresh()
    gc.collect()
    assert old() is None


def test_a_bug_in_a_place_does_not_end_the_following(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.promote(1.0)
    models = world.models()
    failures = [KeyError("a bug")]

    def active() -> Any:
        if failures:
            raise failures.pop()
        return world.cache.pointer

    monkeypatch.setattr(world.cache, "active", active)
    stop, wake = threading.Event(), threading.Event()
    thread = threading.Thread(target=models.follow, args=(stop, wake, 0.01))
    thread.start()
    try:
        while models.active() is None and thread.is_alive():
            stop.wait(0.005)
        assert models.active() is not None
    finally:
        stop.set()
        thread.join(10)


def test_a_schema_that_has_more_than_a_version_needs_still_serves_it(world: World) -> None:
    world.promote(1.0)
    first = districts()
    wider = Schema("districts", (Field("new", Kind.NUMERIC), *first.fields), first.key, first.target, first.topic)
    models = world.models()
    models._rules = type(models._rules)(wider, "default")
    assert models.refresh()
