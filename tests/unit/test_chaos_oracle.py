"""The oracle of `make chaos` must be able to fail: each history here breaks one invariant, and only that is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from tests.faults.chaos.history import DEAD_LETTER, PREDICTION, Seen, Written
from tests.faults.chaos.oracle import judge

RECORDS, KEYS, PARTITIONS, POISON = 60, 7, 3, 9


@dataclass
class Message:
    """One output: where it stands is given when it is read."""

    source: tuple[int, int]
    output: int
    key: bytes
    digest: int
    version: str
    value: float
    partition: int


@dataclass
class Past:
    """A history without a fault, and the changes a test makes to what the two readers see."""

    written: Written = field(default_factory=Written)
    outputs: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        offsets = dict.fromkeys(range(PARTITIONS), 0)
        for number in range(RECORDS):
            key = number % KEYS
            partition = key % PARTITIONS
            at = partition, offsets[partition]
            offsets[partition] += 1
            poison = number % POISON == 0
            name = f"k{key}".encode()
            self.written.add(
                partition=at[0], offset=at[1], key=name, digest=number, poison=poison, row=number % 5
            )  # fmt: skip
            version = "v1" if number < RECORDS / 2 else "v2"
            value = 100.0 * (number % 5) + (1 if version == "v1" else 7)
            output = DEAD_LETTER if poison else PREDICTION
            self.outputs.append(Message(at, output, name, number, "" if poison else version, value, partition))

    def read(self, messages: list[Message]) -> Seen:
        seen = Seen(self.written.keys)
        ends: dict[tuple[int, int], int] = {}
        for message in messages:
            place = message.output, message.partition
            ends[place] = ends.get(place, 0) + 1
            seen.add(
                output=message.output, partition=message.partition, offset=ends[place], source=message.source,
                key=message.key, digest=message.digest, version=message.version, value=message.value,
            )  # fmt: skip
        return seen


def of(past: Past, output: int, count: int = 1) -> list[Message]:
    """Some messages in the middle."""
    return [message for message in past.outputs if message.output == output][3 : 3 + count]


def lose(past: Past) -> None:
    past.outputs.remove(of(past, PREDICTION)[0])


def lose_a_dead_letter(past: Past) -> None:
    past.outputs.remove(of(past, DEAD_LETTER)[0])


def double(past: Past) -> None:
    message = of(past, PREDICTION)[0]
    past.outputs.insert(past.outputs.index(message) + 1, message)


def double_a_dead_letter(past: Past) -> None:
    message = of(past, DEAD_LETTER)[0]
    past.outputs.insert(past.outputs.index(message) + 1, message)


def predict_poison_too(past: Past) -> None:
    message = of(past, DEAD_LETTER)[0]
    past.outputs.append(Message(**{**vars(message), "output": PREDICTION, "version": "v1"}))


def reject_a_good_one(past: Past) -> None:
    message = of(past, PREDICTION)[0]
    message.output, message.version = DEAD_LETTER, ""


def turn_round(past: Past) -> None:
    """Two records of one key change places."""
    first = of(past, PREDICTION)[0]
    i = past.outputs.index(first)
    j = next(j for j, m in enumerate(past.outputs) if j > i and m.key == first.key and m.output == PREDICTION)
    past.outputs[i], past.outputs[j] = past.outputs[j], past.outputs[i]


def tear_a_key(past: Past) -> None:
    """One key in two partitions."""
    message = of(past, PREDICTION)[0]
    message.partition = (message.partition + 1) % PARTITIONS


def invent(past: Past) -> None:
    message = of(past, PREDICTION)[0]
    past.outputs.append(Message(**{**vars(message), "source": (message.source[0], 10_000)}))


def swap_the_bodies(past: Past) -> None:
    """Two predictions carry each other's record."""
    a, b = of(past, PREDICTION, 2)
    a.digest, b.digest = b.digest, a.digest


def change_a_key(past: Past) -> None:
    """All of one key's messages under a new one: order holds, the key does not."""
    name = of(past, PREDICTION)[0].key
    for message in past.outputs:
        message.key = b"other" if message.key == name else message.key


def label_wrongly(past: Past) -> None:
    """A prediction of v1 that says it is of v2."""
    of(past, PREDICTION)[0].version = "v2"


CASES: list[tuple[Callable[[Past], None], set[str]]] = [
    (lose, {"none lost", "poison is one dead letter"}),
    (lose_a_dead_letter, {"none lost", "poison is one dead letter"}),
    (double, {"none doubled", "poison is one dead letter"}),
    (double_a_dead_letter, {"none doubled", "poison is one dead letter"}),
    (predict_poison_too, {"none doubled", "poison is one dead letter", "source order"}),
    (reject_a_good_one, {"poison is one dead letter"}),
    (turn_round, {"source order"}),
    (tear_a_key, {"source order"}),
    (invent, {"none from nowhere", "poison is one dead letter"}),
    (swap_the_bodies, {"key and bytes"}),
    (change_a_key, {"key and bytes"}),
    (label_wrongly, {"a version predicts one value"}),
]


def violated(past: Past, concurrent: list[Message], later: list[Message]) -> list[str]:
    return [
        found.invariant for found in judge(past.written, past.read(concurrent), past.read(later)) if not found.holds
    ]


def test_a_history_without_a_fault_holds() -> None:
    past = Past()
    assert violated(past, past.outputs, past.outputs) == []


@pytest.mark.parametrize(("change", "told"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_each_fault_is_told_of_both_readers_and_nothing_else_is(change: Callable[[Past], None], told: set[str]) -> None:
    past = Past()
    change(past)
    found = violated(past, past.outputs, past.outputs)
    assert {name for name in told if any(text.startswith(name) for text in found)} == told
    # The order of a key may also be told of where a record stands twice or elsewhere.
    assert all(any(text.startswith(name) for name in told) for text in found), found
    of_readers = [text for text in found if "reader)" in text]
    assert len([text for text in of_readers if "concurrent" in text]) == len(of_readers) / 2


@pytest.mark.parametrize("change", [lose, double, turn_round], ids=lambda value: value.__name__)
@pytest.mark.parametrize("which", ["concurrent", "later"])
def test_a_fault_that_one_reader_saw_is_told_of_that_one_and_that_they_differ(
    change: Callable[[Past], None], which: str
) -> None:
    past, whole = Past(), Past()
    change(past)
    sides = (past.outputs, whole.outputs) if which == "concurrent" else (whole.outputs, past.outputs)
    found = violated(past, *sides)
    assert "the concurrent and the later reader see the same" in found
    assert {which} == {name for name in ("concurrent", "later") for text in found if f"({name} reader)" in text}


def test_a_run_that_read_nothing_proves_nothing() -> None:
    past = Past()
    past.written = Written()
    assert len(violated(past, [], [])) == len(judge(Written(), Seen(Written().keys), Seen(Written().keys)))
