"""What a back end must hold to be written to: concurrent creators, in processes of their own, and killed writers.

Invariants: of several creators of one key exactly one wins; nothing half-written is ever seen; numbers have no gaps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.extras import extra

from longshore.errors import ConfigurationError, ConflictError
from longshore.registry import Registry, open_store

Race = Callable[[str, str, int], list[list[Any]]]

RACERS = 8


@pytest.mark.parametrize("action", ["create", "create_folder"])
def test_of_concurrent_creators_of_a_key_one_wins(action: str, race: Race, store_url: str) -> None:
    rounds = 15
    won = race(store_url, action, rounds)
    assert sorted(turn for turns in won for turn in turns) == list(range(rounds))
    assert sorted(open_store(store_url).names("race"), key=int) == [str(turn) for turn in range(rounds)]


def test_concurrent_registrars_get_different_numbers_without_gaps(race: Race, store_url: str) -> None:
    rounds = 5
    won = race(store_url, "register", rounds)
    registry = Registry.open(store_url, "m")
    assert registry.versions() == [f"v{number}" for number in range(1, RACERS * rounds + 1)]
    assert sorted(version for versions in won for version in versions) == sorted(registry.versions())
    for number, versions in enumerate(won):
        assert [registry.manifest(version)["by"] for version in versions] == [number] * rounds
    assert [registry.verify(version) for version in registry.versions()] == [[]] * RACERS * rounds


def test_one_request_gets_one_version_whoever_registers(race: Race, store_url: str) -> None:
    rounds = 5
    won = race(store_url, "register_trigger", rounds)
    assert sorted(version for versions in won for version in versions) == [f"v{n}" for n in range(1, rounds + 1)]


def test_concurrent_movers_make_each_generation_once(race: Race, store_url: str) -> None:
    rounds = 6
    registry = Registry.open(store_url, "m")
    registry.register({"model.onnx": b"x"}, {})
    won = race(store_url, "move", rounds)
    history = registry.history()
    assert [record.generation for record in history] == list(range(1, RACERS * rounds + 1))
    for number, generations in enumerate(won):
        assert [r.generation for r in history if r.actor == str(number)] == generations


@pytest.mark.parametrize("action", ["claim", "renew"])
def test_of_concurrent_claimants_one_wins(action: str, race: Race, store_url: str) -> None:
    rounds = 10
    registry = Registry.open(store_url, "m", clock=lambda: 0.0)
    for turn in range(0, rounds, 2):
        assert registry.claim(f"t{turn}", owner="dead", ttl_s=1) is not None
    won = race(store_url, action, rounds)
    assert sorted(turn for turns in won for turn in turns) == list(range(rounds))


def test_a_key_is_created_once_and_its_folder_is_listed(store_url: str) -> None:
    store = open_store(store_url)
    assert store.names("a") == []
    assert store.read("a/b") is None
    store.create("a/b", b"1")
    store.create_folder("a/c", {"d": b"2"})
    for again in (lambda: store.create("a/b", b"3"), lambda: store.create_folder("a/c", {"d": b"3"})):
        with pytest.raises(ConflictError):
            again()
    assert (store.read("a/b"), store.read("a/c/d"), sorted(store.names("a"))) == (b"1", b"2", ["b", "c"])
    store.remove("a/b")
    store.remove("a/b")
    assert store.read("a/b") is None


def test_files_are_cleared_one_by_one_and_the_rest_of_a_folder_stays(store_url: str) -> None:
    store = open_store(store_url)
    store.create_folder("versions/v1", {"model.onnx": b"1", "manifest.json": b"2"})
    store.clear(["versions/v1/model.onnx"])
    assert store.names("versions/v1") == ["manifest.json"]
    assert (store.read("versions/v1/model.onnx"), store.read("versions/v1/manifest.json")) == (None, b"2")
    assert store.names("versions") == ["v1"]
    assert store.leftovers() == {}
    with pytest.raises(ConflictError):
        store.create_folder("versions/v1", {"model.onnx": b"3"})


def test_a_back_end_that_was_not_proven_is_read_and_never_written() -> None:
    fsspec = extra("fsspec")
    fsspec.filesystem("memory").pipe_file("/copied/m/versions/v1/manifest.json", b"{}")
    store = open_store("memory://copied/m")
    assert store.names("versions") == ["v1"]
    assert store.read("versions/v1/manifest.json") == b"{}"
    assert store.address("versions/v1/manifest.json") == "memory:///copied/m/versions/v1/manifest.json"
    for write in (lambda: store.create("a", b""), lambda: store.create_folder("b", {}), lambda: store.remove("a")):
        with pytest.raises(ConfigurationError, match=r"memory://copied/m can only be read: .*local folder or s3"):
            write()
