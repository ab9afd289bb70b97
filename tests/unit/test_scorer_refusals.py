"""Nothing unproven is ever parsed, and what is refused changes nothing.

Invariants of each refusal: the model in use stays, the reason is told once, in its class and in words, and what is
refused for what it is, not for what it answers, never reached ONNX Runtime or the unpickler.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.model_world import STRANGER, World, answer, swaps, watch_parsers
from tests.unit.test_scorer import constant_model

from longshore.schema import districts
from longshore.scorer.checks import Admitted, Reason, RefusedError, Rules
from longshore.signing import SIGNATURE


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reached a parser, in order."""
    return watch_parsers(monkeypatch)


def _in_both(change: Callable[[bytes], bytes]) -> Callable[[World], None]:
    def do(world: World) -> None:
        data = change(world.path("v2", "model.onnx").read_bytes())
        assert world.cache.pointer is not None
        world.cache.blobs[world.cache.pointer.sha256] = data
        world.overwrite("v2", "model.onnx", data)

    return do


def _resigned(change: Callable[[dict[str, Any]], object]) -> Callable[[World], None]:
    return lambda world: world.rewrite("v2", change, signer=world.signer)


def _forged(change: Callable[[dict[str, Any]], object]) -> Callable[[World], None]:
    return lambda world: world.rewrite("v2", change)


def _set(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


def _replay(world: World) -> None:
    """Whoever writes to Redis points to an older version that was signed in its day."""
    world.point("v1", generation=9)


def _old_bytes(world: World) -> None:
    assert world.cache.pointer is not None
    world.cache.pointer = None
    world.point("v2", sha256=world.registry.manifest("v1")["files"]["model.onnx"]["sha256"])
    world.overwrite("v2", "manifest.json", world.path("v1", "manifest.json").read_bytes())


def _old_manifest(world: World) -> None:
    world.overwrite("v2", "manifest.json", world.path("v1", "manifest.json").read_bytes())
    world.point("v2")


def _stripped(world: World) -> None:
    """An unsigned manifest in Redis and a broken one in the registry."""
    world.rewrite("v2", lambda document: document.pop(SIGNATURE))


BEFORE_PARSING: dict[str, tuple[Callable[[World], None], Reason]] = {
    "tampered bytes": (_in_both(lambda data: data[:-1] + b"\0"), Reason.DAMAGED),
    "truncated bytes": (_in_both(lambda data: data[:100]), Reason.DAMAGED),
    "no bytes": (_in_both(lambda data: b""), Reason.DAMAGED),
    "unsigned": (_stripped, Reason.UNSIGNED),
    "signed by a stranger": (lambda world: world.rewrite("v2", lambda _: None, signer=STRANGER), Reason.UNKNOWN_KEY),
    "signature of nonsense": (_forged(_set(SIGNATURE, "value", to="!?")), Reason.BAD_SIGNATURE),
    "signature cut": (_forged(_set(SIGNATURE, "value", to="AAAA")), Reason.BAD_SIGNATURE),
    "signature of another kind": (_forged(_set(SIGNATURE, to="yes")), Reason.BAD_SIGNATURE),
    "another scheme": (_forged(_set(SIGNATURE, "scheme", to="none")), Reason.BAD_SIGNATURE),
    "changed after signing": (_forged(_set("golden", "tolerance", to=0.01)), Reason.BAD_SIGNATURE),
    "other bytes than signed": (_forged(_set("files", "model.onnx", "sha256", to="0" * 64)), Reason.BAD_SIGNATURE),
    "another model": (_resigned(_set("model", to="other")), Reason.WRONG_VERSION),
    "v1 called v2, signed": (_old_manifest, Reason.WRONG_VERSION),
    "v2 with the bytes of v1": (_old_bytes, Reason.WRONG_VERSION),
    "a newer format": (_resigned(_set("format", to=99)), Reason.FORMAT),
    "a newer serving contract": (_resigned(_set("needs", "serving", to=99)), Reason.FORMAT),
    "a manifest that is none": (lambda world: (world.overwrite("v2", "manifest.json", b"{"), world.point("v2"))[1],
                                Reason.FORMAT),
    "a damaged proof": (_resigned(_set("golden", "prediction", to="1")), Reason.FORMAT),
    "columns that are not here": (_resigned(_set("needs", "numeric", to=["depth"])), Reason.SCHEMA),
    "a column of another kind": (_resigned(_set("needs", "nominal", to=[districts().numeric[0].name])), Reason.SCHEMA),
    "another target": (_resigned(_set("needs", "target", to="wear")), Reason.SCHEMA),
    "an old version again, in Redis alone": (_replay, Reason.UNCONFIRMED),
}  # fmt: skip


@pytest.mark.parametrize("name", BEFORE_PARSING)
def test_what_is_not_proven_is_refused_before_it_is_parsed(world: World, parsed: list[str], name: str) -> None:
    do, reason = BEFORE_PARSING[name]
    world.promote(1.0)
    models = world.models()
    assert models.refresh()
    if reason is not Reason.UNCONFIRMED:
        world.promote(2.0)
    do(world)
    parsed.clear()
    before = swaps("refused", reason.value)
    for _ in range(4):
        assert not models.refresh()
    assert parsed == []
    assert answer(models) == 1.0
    assert [refusal.reason for refusal in world.refusals] == [reason]
    assert world.refusals[0].text
    assert swaps("refused", reason.value) == before + 1


@pytest.mark.parametrize("name", BEFORE_PARSING)
def test_a_sound_version_after_a_refused_one_is_served_at_once(world: World, name: str) -> None:
    world.promote(1.0)
    models = world.models()
    models.refresh()
    world.promote(2.0)
    BEFORE_PARSING[name][0](world)
    models.refresh()
    world.path("v2", "manifest.json").chmod(0o644)
    world.registry = type(world.registry).open(str(world.folder / "registry"), "default")
    world.promote(3.0)
    assert models.refresh()
    assert answer(models) == 3.0


AFTER_PARSING: dict[str, tuple[bytes, float, Reason]] = {
    "not ONNX": (b"not onnx", 2.0, Reason.UNREADABLE),
    "answers NaN": (constant_model(float("nan")), 2.0, Reason.FAILED),
    "answers otherwise than it did": (constant_model(2.001), 2.0, Reason.GOLDEN),
}


@pytest.mark.parametrize("name", AFTER_PARSING)
def test_a_model_that_does_not_answer_as_it_did_is_refused(world: World, name: str) -> None:
    data, promised, reason = AFTER_PARSING[name]
    world.promote(1.0)
    models = world.models()
    models.refresh()
    world.promote(promised, {"model.onnx": data})
    assert not models.refresh()
    assert answer(models) == 1.0
    assert [refusal.reason for refusal in world.refusals] == [reason]


def test_bytes_without_any_manifest_are_unsigned(world: World, tmp_path: Path, parsed: list[str]) -> None:
    """Somebody else's program writes a pointer and bytes to Redis, and no registry says otherwise."""
    world.promote(1.0)
    elsewhere = World(tmp_path / "elsewhere", signer=world.signer, cache=world.cache)
    world.point("v1", manifest="")
    assert not elsewhere.models().refresh()
    assert (elsewhere.refusals[0].reason, parsed) == (Reason.UNSIGNED, [])
    elsewhere.trusted = []
    assert elsewhere.models().refresh()


@pytest.mark.parametrize("change", [{"size": 7}, {"sha256": "0" * 64}], ids=["size", "sha256"])
def test_bytes_are_checked_right_before_parsing_wherever_they_came_from(
    world: World, parsed: list[str], change: dict[str, Any]
) -> None:
    data = constant_model(1.0)
    sound = Admitted(hashlib.sha256(data).hexdigest(), len(data))
    rules = Rules(districts())
    assert rules.load(data, sound)
    parsed.clear()
    with pytest.raises(RefusedError) as caught:
        rules.load(data, replace(sound, **change))
    assert (caught.value.reason, parsed) == (Reason.DAMAGED, [])


def test_golden_answers_within_the_tolerance_pass(world: World) -> None:
    world.promote(2.0, {"model.onnx": constant_model(2.000001)})
    assert world.models().refresh()


def test_golden_answers_are_asked_of_large_batches_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.promote(2.0)
    monkeypatch.setattr("longshore.served_model.flattened", lambda _: constant_model(2.1))
    assert not world.models().refresh()
    assert world.refusals[0].reason is Reason.GOLDEN


def test_a_bug_in_a_model_library_is_a_refusal_and_not_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*args: Any) -> Any:
        raise MemoryError("no room")

    world.promote(1.0)
    monkeypatch.setattr("longshore.served_model.ServedModel.predict", explode)
    assert not world.models().refresh()
    assert world.refusals[0].reason is Reason.FAILED
