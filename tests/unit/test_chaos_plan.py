"""The plan of `make chaos`: a function of its seed, with exactly the counts asked for."""

from __future__ import annotations

from collections import Counter

from tests.faults.chaos.faults import FAULTS
from tests.faults.chaos.plan import (
    BROKERS,
    CACHES,
    KILLS,
    LONG,
    NETWORK,
    REBALANCES,
    SHORT,
    SWAPS,
    ZOMBIES,
    Counts,
    make,
)  # fmt: skip


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    assert make(7, SHORT) == make(7, SHORT)
    assert make(7, SHORT).faults != make(8, SHORT).faults
    assert {make(seed, SHORT).protocol for seed in range(20)} == {"classic", "consumer"}
    # Giving the protocol changes nothing else: a failure can be tried with the other one.
    assert make(7, SHORT, protocol="classic").faults == make(7, SHORT, protocol="consumer").faults


def test_the_long_form_holds_what_was_promised() -> None:
    kinds = Counter(fault.kind for fault in make(1, LONG).faults)
    assert LONG.records == 1_000_000
    assert sum(kinds[kind] for kind in set(KILLS)) == 100
    assert sum(kinds[kind] for kind in set(REBALANCES)) == 20
    assert kinds["broker killed"] == 10
    assert sum(kinds[kind] for kind in set(CACHES)) == 20
    assert kinds["swap"] == 50


def test_the_short_form_has_every_kind() -> None:
    assert {fault.kind for fault in make(1, SHORT).faults} == set(FAULTS)
    assert {*KILLS, *ZOMBIES, *REBALANCES, *BROKERS, *CACHES, *NETWORK, *SWAPS} == set(FAULTS)


def test_counts_scale_and_never_vanish() -> None:
    assert Counts().scaled(2).kills == 2 * Counts().kills
    assert Counts().scaled(0.01).swaps == 1
