"""Transactions from the log: pieces of one are joined across partitions, and each way to go wrong is told."""

from __future__ import annotations

import pytest
from tests.faults.chaos.history import DEAD_LETTER, PREDICTION, Seen, Verdict, Written
from tests.faults.chaos.segments import ABORT, COMMIT, LogBatch, Place, Step
from tests.faults.chaos.transactions import decisions, join, judge

TOPICS = {PREDICTION: "predictions", DEAD_LETTER: "dead"}
A, B, DEAD = ("predictions", 0), ("predictions", 1), ("dead", 0)
OFFSETS = ("__consumer_offsets", 2)


class Broker:
    """Writes the logs as a broker does, and what a reader sees of them."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.logs: dict[Place, list[LogBatch]] = {A: [], B: [], DEAD: []}
        self.seen = Seen(Written().keys)
        self.now = 1_000
        self.ends = dict.fromkeys(self.logs, 0)

    def write(self, place: Place, count: int, version: str, producer: int = 1, *, visible: bool = True) -> None:
        first = self.ends[place]
        self.ends[place] += count
        self.logs[place].append(LogBatch(first, first + count - 1, count, producer, 0, self.now, True, "", b""))
        for offset in range(first, first + count):
            if visible:
                output = PREDICTION if place[0] == "predictions" else DEAD_LETTER
                self.seen.add(
                    output=output, partition=place[1], offset=offset, source=(0, offset), key=b"", digest=0,
                    version="" if output == DEAD_LETTER else version,
                )  # fmt: skip

    def decide(self, places: set[Place], producer: int = 1, outcome: str = COMMIT) -> None:
        self.now += 5
        state = "PrepareCommit" if outcome == COMMIT else "PrepareAbort"
        self.steps.append(Step(f"s{producer}", producer, 0, state, frozenset(places), self.now, self.now - 4))

    def mark(self, place: Place, producer: int = 1, outcome: str = COMMIT) -> None:
        self.now += 1
        at = self.ends[place]
        self.ends[place] += 1
        self.logs[place].append(LogBatch(at, at, 1, producer, 0, self.now, True, outcome, b""))

    def end(self, places: set[Place], producer: int = 1, outcome: str = COMMIT) -> None:
        self.decide(places, producer, outcome)
        for place in sorted(places - {OFFSETS}):
            self.mark(place, producer, outcome)

    def verdicts(self) -> list[Verdict]:
        return judge(join(decisions(self.steps), dict(self.logs)), TOPICS, self.seen)

    def violated(self) -> list[str]:
        return [found.invariant.split(" (")[0] for found in self.verdicts() if not found.holds]


MIXED = "no transaction of mixed versions"


@pytest.fixture
def broker() -> Broker:
    """One with a good transaction over three partitions already."""
    broker = Broker()
    for place in (A, B, DEAD):
        broker.write(place, 3, "v1")
    broker.end({A, B, DEAD, OFFSETS})
    return broker


def test_a_swap_between_two_transactions_holds(broker: Broker) -> None:
    for version in ("v2", "v3"):
        broker.write(A, 2, version)
        broker.write(B, 2, version)
        broker.end({A, B, OFFSETS})
    assert broker.violated() == []


def test_a_swap_inside_one_partition_is_told(broker: Broker) -> None:
    broker.write(A, 2, "v1")
    broker.write(A, 2, "v2")
    broker.end({A, OFFSETS})
    assert broker.violated() == [MIXED]


def test_a_swap_between_the_partitions_of_one_transaction_is_told(broker: Broker) -> None:
    broker.write(A, 2, "v1")
    broker.write(B, 2, "v2")
    broker.end({A, B, OFFSETS})
    assert broker.violated() == [MIXED]
    assert "v1, v2" in next(found for found in broker.verdicts() if not found.holds).examples[0]


def test_two_producers_may_differ_at_the_same_time(broker: Broker) -> None:
    broker.write(A, 2, "v1", producer=1)
    broker.write(A, 2, "v2", producer=2)
    broker.end({A, OFFSETS}, producer=2)
    broker.end({A, OFFSETS}, producer=1)
    assert broker.violated() == []


def test_partitions_that_miss_in_some_transactions_stay_aligned(broker: Broker) -> None:
    """The n-th marker of B is not that of the n-th transaction: counting markers would mix v2 and v3."""
    broker.write(A, 1, "v2")
    broker.end({A, OFFSETS})
    broker.write(A, 1, "v3")
    broker.write(B, 1, "v3")
    broker.end({A, B, OFFSETS})
    assert broker.violated() == []


def test_a_marker_and_a_decision_written_twice_after_a_restart_are_one(broker: Broker) -> None:
    broker.write(A, 1, "v2")
    broker.end({A, OFFSETS})
    broker.steps.append(broker.steps[-1])
    broker.mark(A)
    broker.write(A, 1, "v3")
    broker.end({A, OFFSETS})
    assert broker.violated() == []
    assert [transaction.outcome for transaction in decisions(broker.steps)] == [COMMIT] * 3


def test_outputs_without_their_offsets_are_told(broker: Broker) -> None:
    broker.write(A, 1, "v1")
    broker.end({A})
    assert broker.violated() == ["outputs commit with the offsets of their input"]


def test_aborted_outputs_that_a_reader_saw_are_told(broker: Broker) -> None:
    broker.write(A, 1, "v1")
    broker.end({A, OFFSETS}, outcome=ABORT)
    assert broker.violated() == ["readers see what is committed and nothing else"]


def test_aborted_outputs_that_nobody_saw_hold(broker: Broker) -> None:
    broker.write(A, 1, "v1", visible=False)
    broker.end({A, OFFSETS}, outcome=ABORT)
    assert broker.violated() == []


def test_a_transaction_left_open_is_told(broker: Broker) -> None:
    broker.write(A, 1, "v1", producer=7, visible=False)
    assert broker.violated() == ["no transaction is left open"]


@pytest.mark.parametrize("places", [{B, OFFSETS}, set()], ids=["another partition", "nothing"])
def test_a_marker_that_no_decision_explains_is_told(broker: Broker, places: set[Place]) -> None:
    broker.write(A, 1, "v1", visible=False)
    if places:
        broker.decide(places)
    broker.mark(A)
    assert "every marker belongs to one transaction" in broker.violated()


def test_data_outside_a_transaction_is_told(broker: Broker) -> None:
    broker.logs[A].append(LogBatch(50, 50, 1, -1, -1, broker.now, False, "", b""))
    assert broker.violated() == ["outputs commit with the offsets of their input"]
