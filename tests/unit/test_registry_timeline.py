"""What happened, derived from files: one step back, and an order that survives clocks that disagree."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.records import ModelEventKind
from longshore.registry.formats import AliasRecord, RefusalRecord, Rejection
from longshore.registry.timeline import events, identity, previous_champion


def moves(*steps: str) -> list[AliasRecord]:
    """`v2` promotes, `<v1` rolls back."""
    return [
        AliasRecord(
            alias="champion",
            model="m",
            version=step.lstrip("<"),
            generation=number,
            kind=ModelEventKind.ROLLED_BACK if step.startswith("<") else ModelEventKind.PROMOTED,
            trigger_id="t",
            actor="a",
            reason="r",
            time=number,
        )
        for number, step in enumerate(steps, 1)
    ]


def manifest(second: int, trigger_id: str = "") -> dict[str, Any]:
    return {"created": f"2026-01-01T00:00:{second:02}.000+00:00", "trigger_id": trigger_id}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((), None),
        (("v1",), None),
        (("v1", "v2"), "v1"),
        (("v1", "v2", "v2"), "v1"),
        (("v1", "v2", "<v1"), None),
        (("v1", "v2", "v3", "<v2"), "v1"),
        (("v1", "v2", "v3", "<v2", "<v1", "v4"), "v1"),
        (("v1", "v2", "v1"), "v2"),
        (("v1", "v2", "<v3"), "v2"),
    ],
)
def test_previous_goes_one_step_back_and_never_to_what_was_rolled_back(steps: tuple[str, ...], expected: str) -> None:
    found = previous_champion(moves(*steps))
    assert (found.version if found else None) == expected


def test_events_are_ordered_by_time_and_numbers_and_causes_come_first() -> None:
    # The clock of the process that moved the alias is far behind the registrars'.
    found = events(
        "m",
        {"v10": manifest(30), "v2": manifest(20, "t2"), "v9": manifest(25)},
        [Rejection(version="v9", trigger_id="t9", actor="a", reason="worse", time=5)],
        moves("v2", "v10"),
    )
    assert [(event.kind.value, event.version) for event in found] == [
        ("registered", "v2"),
        ("promoted", "v2"),
        ("registered", "v9"),
        ("rejected", "v9"),
        ("registered", "v10"),
        ("promoted", "v10"),
    ]


def test_events_have_identities_of_their_own_and_come_out_the_same_each_time() -> None:
    manifests = {"v1": manifest(1, "t1"), "v2": manifest(1, "t2")}
    rejections = [Rejection(version="v2", trigger_id="t2", actor="a", reason="r", time=9)]
    first = events("m", manifests, rejections, moves("v1", "v2", "<v1", "v2"))
    again = events("m", dict(reversed(manifests.items())), rejections, moves("v1", "v2", "<v1", "v2"))
    assert first == again
    assert len({identity(event) for event in first}) == len(first) == 7


def test_a_refusal_follows_its_move_and_is_one_for_each_scorer() -> None:
    refusals = [
        RefusalRecord(version="v1", generation=1, instance=name, reason="damaged: x", time=time)
        for name, time in (("b", 2), ("a", 9_000_000_000_000))
    ]
    found = events("m", {"v1": manifest(1)}, [], moves("v1"), refusals)
    assert [(event.kind.value, event.actor) for event in found] == [
        ("registered", "trainer"),
        ("promoted", "a"),
        ("refused", "scorer b"),
        ("refused", "scorer a"),
    ]
    assert len({identity(event) for event in found}) == 4
    assert (found[2].version, found[2].generation, found[2].reason) == ("v1", 1, "damaged: x")
