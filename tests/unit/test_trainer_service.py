"""Requests one at a time: claimed, finished once, resumed after a death, and committed only with their outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from tests.memory_stream import MemoryStream, Record
from tests.waiting import eventually

from longshore.config import Settings, TrainerSettings
from longshore.errors import DataError, UnavailableError
from longshore.records import RetrainRequest, Window
from longshore.registry import Registry
from longshore.service import Runtime
from longshore.trainer.run import Outcome
from longshore.trainer.service import Follower, StoppedError, Work, wait_for_rows

TOPIC = "retrain.requests"
SETTINGS = Settings(trainer=TrainerSettings(claim_ttl_s=1.0))


def request(trigger_id: str, version: str = "v1") -> bytes:
    asked = RetrainRequest(trigger_id, "covariate", version, Window(0, 1, 1), [], "e1")
    return msgspec.json.encode(asked)


def requests(*values: bytes) -> MemoryStream:
    return MemoryStream({TOPIC: [Record(TOPIC, 0, i, b"m", value) for i, value in enumerate(values)]}, [TOPIC])


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry.open(str(tmp_path), "m")
    for _ in range(2):
        registry.register({"model.onnx": b""}, {"metrics": {}})
    registry.move_alias("champion", "v1", expected_generation=0, trigger_id="", actor="t", reason="")
    return registry


def promoted(asked: RetrainRequest, check: Callable[[], None]) -> Outcome:
    return Outcome("promoted", asked.trigger_id, "v2", {})


@contextmanager
def following(registry: Registry, stream: MemoryStream, work: Work, owner: str = "me") -> Iterator[Runtime]:
    runtime = Runtime("trainer")
    follower = Follower(SETTINGS, registry, work, owner, retry_s=0.05)
    thread = threading.Thread(target=follower.serve, args=(stream, runtime), daemon=True)
    thread.start()
    try:
        yield runtime
    finally:
        runtime.stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_requests_are_served_in_order_once_and_then_committed(registry: Registry) -> None:
    served: list[str] = []

    def work(asked: RetrainRequest, check: Callable[[], None]) -> Outcome:
        assert stream.transactions == 0, "no offset is committed before every outcome is recorded"
        served.append(asked.trigger_id)
        return promoted(asked, check)

    stream = requests(request("a"), b"not a request", request("b"), request("a"))
    with following(registry, stream, work):
        eventually(lambda: stream.transactions == 1)
    assert served == ["a", "b"]
    found = registry.outcome("b")
    assert found is not None and found["promoted"] and (found["status"], found["version"]) == ("promoted", "v2")


def test_a_request_for_a_former_champion_is_superseded(registry: Registry) -> None:
    stream = requests(request("old", version="v0"))
    with following(registry, stream, lambda *_: pytest.fail("must not be worked on")):
        found = eventually(lambda: registry.outcome("old"))
    assert found["status"] == "superseded" and not found["promoted"] and "v1 is champion" in found["reason"]


def test_a_request_whose_version_is_registered_goes_on_although_the_champion_moved(registry: Registry) -> None:
    registry.register({"model.onnx": b""}, {"metrics": {}, "trigger_id": "begun"})
    stream = requests(request("begun", version="v0"))
    with following(registry, stream, promoted):
        assert eventually(lambda: registry.outcome("begun"))["status"] == "promoted"


def test_data_errors_and_defects_end_a_request_as_failed(registry: Registry) -> None:
    def work(asked: RetrainRequest, check: Callable[[], None]) -> Outcome:
        raise DataError("too few rows") if asked.trigger_id == "few" else ZeroDivisionError("defect")

    with following(registry, requests(request("few"), request("bug")), work):
        few, bug = (eventually(lambda name=name: registry.outcome(name)) for name in ("few", "bug"))  # type: ignore[misc]
    assert few["status"] == bug["status"] == "failed"
    assert few["reason"] == "too few rows" and "ZeroDivisionError" in bug["reason"]


def test_an_outage_is_waited_out(registry: Registry) -> None:
    tries: list[int] = []

    def work(asked: RetrainRequest, check: Callable[[], None]) -> Outcome:
        tries.append(1)
        if len(tries) < 3:
            raise UnavailableError("Kafka is away")
        return promoted(asked, check)

    with following(registry, requests(request("a")), work):
        assert eventually(lambda: registry.outcome("a"))["status"] == "promoted"
    assert len(tries) == 3


def test_a_dead_trainer_s_request_is_taken_over_after_its_claim(registry: Registry) -> None:
    assert registry.claim("a", owner="dead", ttl_s=0.3) is not None
    with following(registry, requests(request("a")), promoted):
        assert eventually(lambda: registry.outcome("a"))["status"] == "promoted"


def test_a_long_run_keeps_its_claim_and_the_loop_keeps_polling(registry: Registry) -> None:
    """Longer than the claim's time: a second trainer must not start, and health must not go stale."""
    go, began = threading.Event(), threading.Event()
    others: list[str] = []

    def work(asked: RetrainRequest, check: Callable[[], None]) -> Outcome:
        began.set()
        assert go.wait(20)
        return promoted(asked, check)

    stream, second = requests(request("a")), requests(request("a"))

    def doubled(asked: RetrainRequest, check: Callable[[], None]) -> Outcome:
        others.append(asked.trigger_id)
        return promoted(asked, check)

    with following(registry, stream, work):
        assert began.wait(20)
        with following(registry, second, doubled, "other"):
            expired = threading.Event()
            threading.Timer(2.5 * SETTINGS.trainer.claim_ttl_s, expired.set).start()
            eventually(expired.is_set)
            assert stream.transactions == second.transactions == 0
            go.set()
            eventually(lambda: stream.transactions == second.transactions == 1)
    assert not others


def test_stopping_releases_the_claim_at_the_next_stage(registry: Registry) -> None:
    began = threading.Event()

    def work(asked: RetrainRequest, check: Callable[[], None]) -> Outcome:
        began.set()
        while True:
            check()

    stream = requests(request("a"))
    with following(registry, stream, work):
        assert began.wait(20)
    assert stream.transactions == 0 and registry.outcome("a") is None
    assert registry.claim("a", owner="next", ttl_s=1) is not None


def test_aborted_commits_are_repeated_and_the_work_is_not(registry: Registry) -> None:
    served: list[str] = []

    def work(asked: RetrainRequest, check: Callable[[], None]) -> Outcome:
        served.append(asked.trigger_id)
        return promoted(asked, check)

    stream = requests(request("a"))
    stream.fail_next = 2
    with following(registry, stream, work):
        eventually(lambda: stream.transactions == 1)
    assert served == ["a"]


def test_waiting_for_rows_ends_with_them_or_with_a_reason() -> None:
    counts = iter([0, 10, 10, 60])
    wait_for_rows(lambda: next(counts), 50, check=lambda: None, wait_s=20, poll_s=0)
    with pytest.raises(DataError, match="too few rows: 7 fresh labelled ones"):
        wait_for_rows(lambda: 7, 50, check=lambda: None, wait_s=0, poll_s=0)

    def stopped() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        wait_for_rows(lambda: 7, 50, check=stopped, wait_s=20, poll_s=0)
