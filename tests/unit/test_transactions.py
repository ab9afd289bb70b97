"""The state machine of transactions: each transition taken, by a client that answers as it is told to.

With a scripted producer: a broker cannot be made to fail one chosen call in one chosen way. What a real broker does is
tested in tests/conformance and tests/faults.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from tests.waiting import eventually

from longshore.config import KafkaSettings, Settings
from longshore.errors import AbortedError, FencedError, LongshoreError, UnavailableError
from longshore.kafka import transactions
from longshore.kafka.states import TRANSITIONS, Event, State
from longshore.kafka.transactions import Transactions
from longshore.stream import Single

ANSWER = Single("out", b"k", b"v")

DEFINITE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "refused", txn_requires_abort=True)
UNKNOWN = KafkaError(KafkaError._TIMED_OUT, "no answer", retriable=True)
BUSY = KafkaError(KafkaError._CONFLICT, "in progress", retriable=True)
FENCED = KafkaError(KafkaError._FENCED, "fenced", fatal=True)
BROKEN = KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "fatal", fatal=True)


class Script:
    """Every producer made, every call they got, and what to answer next."""

    def __init__(self) -> None:
        self.made = 0
        self.calls: list[str] = []
        self.failures: dict[str, list[KafkaError]] = {}
        self.hang: dict[str, threading.Event] = {}

    def __call__(self, _config: Any) -> Producer:
        self.made += 1
        return Producer(self)

    def answer(self, call: str) -> None:
        self.calls.append(call)
        if call in self.hang:
            self.hang[call].wait()
        if self.failures.get(call):
            raise KafkaException(self.failures[call].pop(0))


class Producer:
    """The calls of the client's producer that `Transactions` makes."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def __len__(self) -> int:
        return 0

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: self._script.answer(name)


class Consumer:
    def consumer_group_metadata(self) -> str:
        return "generation 1"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    made = Script()
    monkeypatch.setattr(transactions, "Producer", made)
    monkeypatch.setattr(transactions, "WATCHDOG_S", 0.2)
    yield made
    for event in made.hang.values():
        event.set()


def started(timeout_ms: int = 1_000, stop: threading.Event | None = None) -> Transactions:
    kafka = KafkaSettings(transaction_timeout_ms=timeout_ms)
    return Transactions(Settings(bootstrap_servers="nowhere:1", kafka=kafka), "id", "scorer", stop=stop)


def finish(under_test: Transactions) -> None:
    under_test.commit([], Consumer())
    under_test.settle()


def reach(under_test: Transactions, state: State) -> None:
    if state in (State.OPEN, State.COMMITTING):
        under_test.send([ANSWER])
    if state is State.COMMITTING:
        under_test.commit([], Consumer())
    assert under_test.state is state


def test_ready_open_committing_ready(script: Script) -> None:
    under_test = started()
    assert under_test.state is State.READY
    reach(under_test, State.OPEN)
    under_test.send([ANSWER])
    under_test.commit([], Consumer())
    assert under_test.state is State.COMMITTING
    assert under_test.settle()
    assert under_test.state is State.READY
    assert script.calls == [
        "init_transactions", "begin_transaction", "produce", "produce", "send_offsets_to_transaction",
        "commit_transaction",
    ]  # fmt: skip
    assert not under_test.settle(), "there is nothing more to settle"


def test_offsets_of_a_group_that_the_client_has_left_are_not_committed(script: Script) -> None:
    class Leaving(Consumer):
        def consumer_group_metadata(self) -> str:
            raise RuntimeError("Consumer group metadata not available")

    under_test = started()
    reach(under_test, State.OPEN)
    with pytest.raises(AbortedError, match="not available"):
        under_test.commit([], Leaving())
    assert (under_test.state, script.calls[-1]) == (State.READY, "abort_transaction")


def test_outputs_of_a_commit_go_after_its_offsets(script: Script) -> None:
    # Turned away for the markers of the transaction before, offsets are tried again in 1, 2, 4 ms, outputs in 20.
    under_test = started()
    under_test.commit([], Consumer(), [ANSWER, ANSWER])
    assert under_test.settle()
    assert script.calls == [
        "init_transactions", "begin_transaction", "send_offsets_to_transaction", "produce", "produce",
        "commit_transaction",
    ]  # fmt: skip


def test_an_output_of_a_commit_that_cannot_be_sent_aborts_it(script: Script) -> None:
    under_test = started()
    script.failures["produce"] = [DEFINITE]
    under_test.commit([], Consumer(), [ANSWER])
    with pytest.raises(AbortedError, match="cannot be sent"):
        under_test.settle()
    assert (under_test.state, script.calls[-1], script.made) == (State.READY, "abort_transaction", 1)
    assert "commit_transaction" not in script.calls
    finish(under_test)


def test_after_an_error_nobody_foresaw_in_a_commit_nothing_is_open_and_nothing_more_is_committed(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(transactions, "enqueue", no_memory)
    under_test = started()
    under_test.commit([], Consumer(), [ANSWER])
    with pytest.raises(MemoryError):
        under_test.settle()
    assert (under_test.state, script.calls[-1]) == (State.ENDED, "abort_transaction")
    with pytest.raises(LongshoreError, match="MemoryError"):
        under_test.commit([], Consumer())  # as on leaving the group: whoever calls has not gone back
    assert "commit_transaction" not in script.calls


def test_a_commit_is_waited_for_as_long_as_told(script: Script) -> None:
    script.hang["commit_transaction"] = threading.Event()
    under_test = started()
    reach(under_test, State.COMMITTING)
    assert not under_test.settled()
    assert not under_test.settled(0.05)
    threading.Timer(0.1, script.hang["commit_transaction"].set).start()
    assert under_test.settled(5.0)
    assert under_test.settle()


def test_outputs_of_a_commit_that_find_no_room_in_time_abort_it(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise UnavailableError("the queue stayed full", mend="")

    monkeypatch.setattr(transactions, "enqueue", full)
    under_test = started()
    under_test.commit([], Consumer(), [ANSWER])
    with pytest.raises(AbortedError, match="stayed full"):
        under_test.settle()
    assert (under_test.state, script.calls[-1]) == (State.READY, "abort_transaction")


def test_a_start_that_is_not_wanted_any_more_does_not_wait_for_kafka(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "STOP_GRACE_S", 0.2)
    script.hang["init_transactions"] = threading.Event()
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(UnavailableError, match="told to stop"):
        started(stop=stop)


def test_a_start_that_is_nearly_done_is_waited_for(script: Script) -> None:
    stop = threading.Event()
    stop.set()
    assert started(stop=stop).state is State.READY


def test_the_next_transaction_waits_for_the_one_under_way(script: Script) -> None:
    under_test = started()
    reach(under_test, State.COMMITTING)
    under_test.send([ANSWER])
    assert under_test.state is State.OPEN
    assert script.calls.index("commit_transaction") < len(script.calls) - 1 - script.calls[::-1].index(
        "begin_transaction"
    )


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_a_definite_failure_is_aborted_with_the_same_producer(script: Script, call: str) -> None:
    under_test = started()
    script.failures[call] = [DEFINITE]
    with pytest.raises(AbortedError, match="refused"):
        finish(under_test)
    assert (under_test.state, script.calls[-1], script.made) == (State.READY, "abort_transaction", 1)
    finish(under_test)


@pytest.mark.parametrize("call", ["begin_transaction", "send_offsets_to_transaction", "commit_transaction"])
@pytest.mark.parametrize("error", [UNKNOWN, BROKEN], ids=["time-out", "fatal"])
def test_an_ambiguous_failure_discards_the_producer_under_the_same_id(
    script: Script, call: str, error: KafkaError
) -> None:
    under_test = started()
    script.failures[call] = [error]
    with pytest.raises(AbortedError):
        finish(under_test)
    assert (under_test.state, script.made) == (State.READY, 2)
    assert "abort_transaction" not in script.calls, "an abort could not tell either"
    assert script.calls[-1] == "init_transactions", "which settles what the old one left"
    finish(under_test)


def test_an_abort_that_fails_discards_the_producer(script: Script) -> None:
    under_test = started()
    script.failures = {"commit_transaction": [DEFINITE], "abort_transaction": [UNKNOWN]}
    with pytest.raises(AbortedError):
        finish(under_test)
    assert (under_test.state, script.made) == (State.READY, 2)


def test_an_output_that_cannot_be_sent_aborts(script: Script) -> None:
    under_test = started()
    script.failures["produce"] = [KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large")]
    with pytest.raises(AbortedError, match="too large"):
        under_test.send([ANSWER])
    assert (under_test.state, script.calls[-1], script.made) == (State.READY, "abort_transaction", 1)


@pytest.mark.parametrize(
    "call", ["begin_transaction", "send_offsets_to_transaction", "commit_transaction", "abort_transaction"]
)
def test_fencing_ends(script: Script, call: str) -> None:
    under_test = started()
    script.failures = {call: [FENCED]}
    if call == "abort_transaction":
        script.failures["commit_transaction"] = [DEFINITE]
    with pytest.raises(FencedError, match="took over"):
        finish(under_test)
    assert (under_test.state, script.made) == (State.ENDED, 1)
    for late in (lambda: finish(under_test), lambda: under_test.send([ANSWER])):
        with pytest.raises(FencedError, match="took over"):
            late()
    under_test.abandon("the partitions went")
    under_test.close()


def test_a_start_that_fails_ends(script: Script) -> None:
    script.failures["init_transactions"] = [UNKNOWN]
    with pytest.raises(UnavailableError, match="starting transactions as id"):
        started()
    script.failures = {"init_transactions": [FENCED]}
    with pytest.raises(FencedError):
        started()


def test_a_new_producer_that_does_not_start_ends(script: Script) -> None:
    under_test = started()
    script.failures = {"commit_transaction": [UNKNOWN], "init_transactions": [UNKNOWN]}
    with pytest.raises(UnavailableError):
        finish(under_test)
    assert under_test.state is State.ENDED


def test_a_retriable_failure_is_retried(script: Script) -> None:
    under_test = started()
    script.failures["commit_transaction"] = [BUSY, BUSY]
    finish(under_test)
    assert (script.calls.count("commit_transaction"), script.made) == (3, 1)


@pytest.mark.parametrize(
    "call", ["begin_transaction", "send_offsets_to_transaction", "commit_transaction", "abort_transaction"]
)
def test_a_call_that_never_comes_back_is_given_up(script: Script, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka #5456: the watchdog is ours. The producer it hangs in is left behind."""
    under_test = started(timeout_ms=1_000)
    monkeypatch.setattr(transactions, "OFFSETS_TIMEOUT_S", 0.1)
    under_test._call_timeout_s = 0.1
    script.hang[call] = threading.Event()
    if call == "abort_transaction":
        script.failures["commit_transaction"] = [DEFINITE]
    with pytest.raises(AbortedError):
        finish(under_test)
    assert (under_test.state, script.made) == (State.READY, 2)
    del script.hang[call]
    finish(under_test)


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_who_never_sends_again_still_learns_that_a_commit_hangs(
    script: Script, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`poll` asks `settled`: with no more input, nothing else would."""
    under_test = started()
    monkeypatch.setattr(transactions, "OFFSETS_TIMEOUT_S", 0.1)
    under_test._call_timeout_s = 0.1
    script.hang[call] = threading.Event()
    reach(under_test, State.COMMITTING)
    assert not under_test.settled()
    eventually(under_test.settled, 5, what="the watchdog")
    with pytest.raises(AbortedError, match="did not come back"):
        under_test.settle()


def test_abandoning_undoes_what_is_open_and_nothing_else(script: Script) -> None:
    under_test = started()
    under_test.abandon("lost")
    assert script.calls == ["init_transactions"]
    reach(under_test, State.OPEN)
    under_test.abandon("lost")
    assert (under_test.state, script.calls[-1]) == (State.READY, "abort_transaction")
    reach(under_test, State.COMMITTING)
    under_test.abandon("lost")
    assert (under_test.state, script.calls[-1]) == (State.READY, "commit_transaction")


def test_the_table_has_every_transition_once_and_ends_are_final() -> None:
    """What is not in the table is a bug: it raises."""
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert {target for _, target in TRANSITIONS.items()} == set(TRANSITIONS.values())
    assert [event for (state, event) in TRANSITIONS if state is State.ENDED] == [Event.END]
    for state in set(State) - {State.ENDED}:
        assert (state, Event.END) in TRANSITIONS
    assert (State.READY, Event.COMMIT) not in TRANSITIONS
    assert (State.COMMITTING, Event.BEGIN) not in TRANSITIONS
