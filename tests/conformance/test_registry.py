"""What a registry promises, on every back end: versions that never change, aliases that only move on, claims."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from longshore.errors import ConfigurationError, ConflictError, FormatError, IntegrityError
from longshore.registry import AliasRecord, Registry
from longshore.registry.local_folder import INCOMING, LEFTOVER_AGE_S


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(registry_url: str, clock: Clock) -> Registry:
    return Registry.open(registry_url, "m", clock=clock)


def registered(registry: Registry, count: int) -> None:
    for number in range(count):
        registry.register({"model.onnx": b"%d" % number}, {"trigger_id": f"t{number}"})


def move(registry: Registry, version: str, expected: int, kind: str = "promoted") -> AliasRecord:
    return registry.move_alias(
        "champion", version, expected_generation=expected, trigger_id="", actor="a", reason="r", kind=kind
    )


def file_of(registry: Registry, *parts: str) -> Path:
    """A file in the store, to damage it: versions' files are the only ones with a public path."""
    return Path(registry.store.address("/".join(parts)))


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_version_holds_its_files_and_a_manifest_that_describes_them(registry: Registry) -> None:
    version = registry.register({"model.onnx": b"onnx", "profile": b""}, {"metrics": {"rmse": 1.5}, "trigger_id": "t"})
    assert version == "v1"
    manifest = registry.manifest("v1")
    assert manifest["files"] == {
        "model.onnx": {"sha256": hashlib.sha256(b"onnx").hexdigest(), "bytes": 4},
        "profile": {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "bytes": 0},
    }
    assert (manifest["version"], manifest["model"], manifest["format"]) == ("v1", "m", 1)
    assert manifest["created"] == "1970-01-12T13:46:40.000+00:00"
    assert manifest["metrics"] == {"rmse": 1.5}
    assert registry.read("v1", "model.onnx") == b"onnx"
    assert registry.path("v1", "profile").is_absolute()
    assert json.loads(registry.path("v1", "profile").with_name("manifest.json").read_text()) == manifest
    assert registry.find_trigger("t") == "v1"
    assert registry.find_trigger("") is None


def test_a_manifest_in_hand_cannot_change_the_registry(registry: Registry) -> None:
    registered(registry, 1)
    registry.manifest("v1")["version"] = "v9"
    assert registry.manifest("v1")["version"] == "v1"


def test_a_request_is_registered_once(registry: Registry) -> None:
    registered(registry, 1)
    with pytest.raises(ConflictError, match="v1 is registered for t0"):
        registry.register({"model.onnx": b"y"}, {"trigger_id": "t0"})
    assert registry.register({"model.onnx": b"y"}, {}) == "v2"
    assert registry.register({"model.onnx": b"y"}, {"trigger_id": None}) == "v3"


def test_an_unknown_version_says_what_there_is(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r"empty: run `longshore train`"):
        registry.manifest("v1")
    registered(registry, 2)
    with pytest.raises(ConfigurationError, match=r"'v7': there are v1, v2"):
        registry.manifest("v7")
    with pytest.raises(ConfigurationError, match=r"no file 'x'.*model.onnx"):
        registry.read("v1", "x")
    with pytest.raises(ConfigurationError):
        move(registry, "v7", 0)


def test_files_of_a_version_are_read_only(registry: Registry) -> None:
    registered(registry, 1)
    assert not registry.path("v1", "model.onnx").stat().st_mode & 0o222


@pytest.mark.parametrize("damage", [b"", b"other", None])
def test_damage_is_found_by_its_sha256(registry: Registry, registry_url: str, damage: bytes | None) -> None:
    registered(registry, 2)
    path = registry.path("v1", "model.onnx")
    overwrite(path, damage) if damage is not None else path.unlink()
    with pytest.raises(IntegrityError, match=r"model.onnx is (missing|not what)"):
        registry.read("v1", "model.onnx")
    assert len(Registry.open(registry_url, "m").verify("v1")) == 1
    assert registry.verify("v2") == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "version": "v1", "files": 3}'])
def test_a_damaged_manifest_is_named_and_blocks_no_other_version(registry_url: str, text: str) -> None:
    registered(registry := Registry.open(registry_url, "m"), 2)
    overwrite(file_of(registry, "versions/v1/manifest.json"), text.encode())
    afresh = Registry.open(registry_url, "m")
    assert afresh.versions() == ["v1", "v2"]
    assert "versions/v1/manifest.json is damaged" in afresh.verify("v1")[0]
    assert afresh.verify("v2") == []
    with pytest.raises(FormatError, match=r"versions/v1/manifest.json"):
        afresh.manifest("v1")
    assert [event.version for event in afresh.events()] == ["v2"]
    assert afresh.register({"model.onnx": b"3"}, {"trigger_id": "t2"}) == "v3"


@pytest.mark.parametrize("key", ["versions/v1/manifest.json", "aliases/champion/1.json"])
def test_a_newer_format_is_refused_with_the_mend(registry: Registry, registry_url: str, key: str) -> None:
    registered(registry, 1)
    move(registry, "v1", 0)
    path = file_of(registry, key)
    overwrite(path, json.dumps({**json.loads(path.read_text()), "format": 2, "new": True}).encode())
    with pytest.raises(FormatError, match=r"format 2.*up to 1: update longshore"):
        Registry.open(registry_url, "m").events()


def test_an_alias_moves_one_generation_at_a_time(registry: Registry) -> None:
    registered(registry, 2)
    first = move(registry, "v1", 0)
    assert (first.generation, first.version, first.kind, first.time) == (1, "v1", "promoted", 1_000_000_000)
    for expected in (0, 2, 5):
        with pytest.raises(ConflictError, match="at generation 1"):
            move(registry, "v2", expected)
    move(registry, "v2", 1)
    back = move(registry, "v1", 2, "rolled_back")
    assert registry.alias() == back
    assert [record.version for record in registry.history()] == ["v1", "v2", "v1"]
    assert registry.alias("challenger") is None


def test_previous_is_derived_and_cannot_be_moved(registry: Registry) -> None:
    registered(registry, 2)
    assert registry.alias("previous") is None
    move(registry, "v1", 0)
    move(registry, "v2", 1)
    previous = registry.alias("previous")
    assert previous is not None
    assert (previous.alias, previous.version, previous.generation) == ("previous", "v1", 1)
    with pytest.raises(ConfigurationError):
        registry.move_alias("previous", "v1", expected_generation=0, trigger_id="t", actor="a", reason="r")
    with pytest.raises(ConfigurationError):
        move(registry, "v1", 2, "registered")


def test_what_a_killed_writer_left_is_neither_seen_nor_kept_for_ever(registry: Registry) -> None:
    registered(registry, 1)
    old, young = file_of(registry, INCOMING, "old"), file_of(registry, INCOMING, "young")
    for folder in (old, young):
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"half")
    stamp = old.stat().st_mtime - LEFTOVER_AGE_S - 1
    os.utime(old, (stamp, stamp))
    file_of(registry, "versions", "v2").mkdir()
    assert registry.versions() == ["v1"]
    assert registry.register({"model.onnx": b"y"}, {}) == "v3"
    assert [path.name for path in old.parent.iterdir()] == ["young"]


def test_a_rejection_is_noted_once(registry: Registry, clock: Clock) -> None:
    registered(registry, 1)
    for trigger_id in ("t0", "t0", "", ""):
        registry.record_rejection("v1", trigger_id=trigger_id, actor="gate", reason=f"worse at {clock.now}")
        clock.now += 1
    rejected = [event for event in registry.events() if event.kind == "rejected"]
    assert [(event.trigger_id, event.reason) for event in rejected] == [
        ("t0", "worse at 1000000.0"),
        ("", "worse at 1000002.0"),
    ]


def test_events_are_the_same_for_every_reader(registry: Registry, registry_url: str) -> None:
    registered(registry, 2)
    move(registry, "v1", 0)
    registry.record_rejection("v2", trigger_id="t1", actor="gate", reason="worse")
    move(registry, "v2", 1)
    move(registry, "v1", 2, "rolled_back")
    found = registry.events()
    assert found == Registry.open(registry_url, "m").events()
    assert [(event.kind.value, event.version, event.generation, event.trigger_id) for event in found] == [
        ("registered", "v1", 0, "t0"),
        ("registered", "v2", 0, "t1"),
        ("rejected", "v2", 0, "t1"),
        ("promoted", "v1", 1, ""),
        ("promoted", "v2", 2, ""),
        ("rolled_back", "v1", 3, ""),
    ]


def test_a_request_is_held_by_one_until_it_expires(registry: Registry, clock: Clock) -> None:
    first = registry.claim("t", owner="a", ttl_s=10)
    assert first is not None
    assert registry.claim("t", owner="b", ttl_s=10) is None
    assert registry.claim("t", owner="a", ttl_s=10) is None
    clock.now += 9
    first.renew()
    clock.now += 9
    assert registry.claim("t", owner="b", ttl_s=10) is None
    clock.now += 2
    second = registry.claim("t", owner="b", ttl_s=10)
    assert second is not None
    assert second.token > first.token
    for late in (first.renew, first.release, lambda: first.finish({"promoted": True})):
        with pytest.raises(ConflictError, match="taken over"):
            late()
    second.finish({"promoted": False})
    assert registry.outcome("t") == {"promoted": False}


def test_an_expired_claim_that_nobody_took_is_still_its_holders(registry: Registry, clock: Clock) -> None:
    claim = registry.claim("t", owner="a", ttl_s=10)
    assert claim is not None
    clock.now += 100
    claim.renew()
    assert registry.claim("t", owner="b", ttl_s=10) is None


def test_a_finished_request_is_never_claimed_again(registry: Registry, clock: Clock) -> None:
    assert registry.outcome("t") is None
    claim = registry.claim("t", owner="a", ttl_s=10)
    assert claim is not None
    claim.finish({"version": "v1"})
    claim.finish({"version": "v1"})
    clock.now += 100
    assert registry.claim("t", owner="b", ttl_s=10) is None
    assert registry.outcome("t") == {"version": "v1"}
    with pytest.raises(ConflictError):
        claim.renew()


def test_a_released_claim_is_free_at_once(registry: Registry) -> None:
    claim = registry.claim("t", owner="a", ttl_s=600)
    assert claim is not None
    claim.release()
    assert registry.claim("t", owner="b", ttl_s=600) is not None


def test_a_long_run_leaves_few_claim_files(registry: Registry, clock: Clock) -> None:
    claim = registry.claim("t", owner="a", ttl_s=10)
    assert claim is not None
    for _ in range(50):
        clock.now += 3
        claim.renew()
    assert len(list(file_of(registry, "claims", "t").iterdir())) <= 8
    claim.finish({})
    names: list[Any] = sorted(path.name for path in file_of(registry, "claims", "t").iterdir())
    assert names == ["51.json", "outcome.json"]


def test_a_request_is_promoted_once_and_by_hand_as_often_as_one_likes(registry: Registry) -> None:
    """Two runs of one request may both judge its version: the second then finds that version to be the champion."""
    registered(registry, 2)

    def promote(version: str, expected: int, trigger_id: str, kind: str = "promoted") -> AliasRecord:
        return registry.move_alias(
            "champion", version, expected_generation=expected, trigger_id=trigger_id, actor="a", reason="r", kind=kind
        )

    promote("v1", 0, "t0")
    with pytest.raises(ConflictError, match=r"t0 was promoted already, as v1 in generation 1"):
        promote("v1", 1, "t0")
    promote("v2", 1, "t1")
    promote("v1", 2, "manual", "rolled_back")
    with pytest.raises(ConflictError, match="t1 was promoted already"):
        promote("v2", 3, "t1")
    for generation in (3, 4):
        promote("v2", generation, "manual")
    assert registry.alias("champion") == registry.history()[-1]
    assert len(registry.history()) == 5
