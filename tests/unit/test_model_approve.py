"""`longshore model approve | reject | checks`: a person ends what waits, once, and only against the champion it met."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from longshore.cli.app import App
from longshore.cli.model import model
from longshore.config import Settings
from longshore.errors import ConfigurationError, ConflictError, LongshoreError
from longshore.records import ModelEventKind
from longshore.registry import Registry
from longshore.registry.formats import Approval, Judgement

Run = Callable[..., Any]
CHECK = {"name": "fresh rows", "status": "passed", "detail": "RMSE 4 against 5", "figures": {"challenger": 4.0}}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """v1 is champion; v2, made for the request t2, passed against it and waits."""
    registry = Registry.open(str(tmp_path / "registry"), "default")
    for number in (1, 2, 3):
        registry.register({"model.onnx": b"%d" % number}, {"trigger_id": f"t{number}", "metrics": {}})
    registry.move_alias("champion", "v1", expected_generation=0, trigger_id="t1", actor="trainer", reason="first")
    registry.notes.judge(
        Judgement(
            version="v2", champion="v1", generation=1, trigger_id="t2", actor="trainer", decision="ask",
            reason="passed, RMSE 4 against 5", checks=[CHECK], time=1,
        )
    )  # fmt: skip
    registry.move_alias(
        "challenger", "v2", expected_generation=0, trigger_id="t2", actor="trainer", reason="passed, RMSE 4 against 5",
        kind=ModelEventKind.AWAITING_APPROVAL,
    )  # fmt: skip
    return registry


@pytest.fixture
def invoke(tmp_path: Path) -> Run:
    app = App(Settings(home=tmp_path, registry_url=str(tmp_path / "registry"), bootstrap_servers=None, redis_url=None))

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(model, list(arguments), obj=app)
        if isinstance(result.exception, LongshoreError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return run


def ends(registry: Registry, version: str) -> list[tuple[str, str]]:
    return [(event.kind.value, event.trigger_id) for event in registry.events() if event.version == version][1:]


@pytest.mark.parametrize("name", ["v2", "challenger"])
def test_approval_promotes_for_the_request_that_asked(invoke: Run, registry: Registry, name: str) -> None:
    moved = json.loads(invoke("approve", name, "--reason", "looks right", "--output", "json").stdout)
    assert (moved["version"], moved["generation"], moved["previous"]) == ("v2", 2, "v1")
    champion = registry.alias()
    assert champion is not None and champion.trigger_id == "t2" and "@" in champion.actor
    assert champion.reason == "looks right; the gate: passed, RMSE 4 against 5"
    assert ends(registry, "v2") == [("awaiting_approval", "t2"), ("promoted", "t2")]
    assert "already champion" in invoke("approve", "v2").stdout and len(registry.history()) == 2


def test_rejection_ends_the_requests_attempt_and_is_final(invoke: Run, registry: Registry) -> None:
    invoke("reject", "v2", "--reason", "too good to be true")
    invoke("reject", "v2", "--reason", "again")
    assert ends(registry, "v2") == [("awaiting_approval", "t2"), ("rejected", "t2")]
    with pytest.raises(ConflictError, match=r"v2 was rejected by .*: too good to be true"):
        invoke("approve", "v2")
    champion = registry.alias()
    assert champion is not None and champion.version == "v1"


def test_an_approved_version_cannot_be_rejected_any_more(invoke: Run, registry: Registry) -> None:
    invoke("approve", "v2")
    with pytest.raises(ConflictError, match="v2 was approved by"):
        invoke("reject", "v2", "--reason", "no")
    assert ends(registry, "v2")[-1] == ("promoted", "t2")


def test_a_champion_it_was_not_judged_against_keeps_it_out(invoke: Run, registry: Registry) -> None:
    registry.move_alias("champion", "v3", expected_generation=1, trigger_id="t3", actor="op", reason="meanwhile")
    with pytest.raises(ConflictError, match="v2 was not judged against v3"):
        invoke("approve", "v2")
    invoke("approve", "v2", "--anyway")
    champion = registry.alias()
    assert champion is not None and champion.version == "v2"


def test_a_repeated_approval_does_not_undo_a_later_move(invoke: Run, registry: Registry) -> None:
    invoke("approve", "v2")
    invoke("rollback")
    with pytest.raises(ConflictError, match="approved and promoted already; v1 is champion since"):
        invoke("approve", "v2")
    assert [record.version for record in registry.history()] == ["v1", "v2", "v1"]


def test_what_does_not_wait_cannot_be_answered(invoke: Run, registry: Registry) -> None:
    for command in (("approve", "v3"), ("reject", "v3", "--reason", "no")):
        with pytest.raises(ConfigurationError, match="v3 does not wait for approval"):
            invoke(*command)
    assert registry.notes.approval("v3") is None


def test_checks_lists_what_the_gate_found(invoke: Run, registry: Registry) -> None:
    (judged,) = json.loads(invoke("checks", "v2", "--output", "json").stdout)
    assert judged["decision"] == "ask" and judged["checks"] == [CHECK]
    lines = invoke("checks", "v2").stdout.splitlines()
    assert lines[0] == "v2 against champion v1, generation 1: ask" and "passed" in lines[2]
    assert "was not judged" in invoke("checks", "v1").stderr


def test_of_two_answers_and_of_two_verdicts_the_first_counts(registry: Registry) -> None:
    yes, no = (Approval(version="v2", approved=b, actor=str(b), reason="", time=1) for b in (True, False))
    assert registry.notes.answer(yes) == registry.notes.answer(no) == registry.notes.approval("v2") == yes
    (first,) = registry.notes.judgements("v2")
    assert registry.notes.judge(msgspec.structs.replace(first, decision="reject")) == first
    later = msgspec.structs.replace(first, generation=10, decision="reject")
    assert registry.notes.judge(later) == later
    assert registry.notes.judge(msgspec.structs.replace(first, generation=0)).generation == 0
    assert [judged.generation for judged in registry.notes.judgements("v2")] == [0, 1, 10]
