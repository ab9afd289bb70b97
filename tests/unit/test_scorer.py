"""The scorer's core: one prediction or dead letter for every record, none mixed between models, none lost."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.malformed_corpus import GOOD, record
from tests.memory_stream import MemoryStream, Record

from longshore.codec import Codec, Reason, Reject
from longshore.columns import Columns
from longshore.config import ScorerSettings, Settings
from longshore.errors import UnavailableError
from longshore.schema import districts
from longshore.scorer import service
from longshore.scorer.encode import CONTEXT, SOURCE, dead_letter, with_traces
from longshore.scorer.models import Candidate, Models
from longshore.scorer.score import score
from longshore.scorer.service import Scorer
from longshore.service import Runtime
from longshore.stream import Batch, Message

INPUT, OUTPUT, DEAD = "longshore.districts", "longshore.predictions", "longshore.districts.dlq"


def constant_model(value: float) -> bytes:
    """A served model that answers `value` plus 0 × the first numeric column's missingness."""
    schema = districts()
    numeric = [field.name for field in schema.numeric]
    shape = helper.make_tensor_value_info("numeric", TensorProto.FLOAT, [None, len(numeric)])
    out = helper.make_tensor_value_info("prediction", TensorProto.FLOAT, [None, 1])
    nodes = [
        helper.make_node("Slice", ["numeric", "from", "to", "axis"], ["first"]),
        helper.make_node("Sub", ["first", "first"], ["nothing"]),
        helper.make_node("IsNaN", ["nothing"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "value"], ["prediction"]),
    ]
    constants = [
        helper.make_tensor("from", TensorProto.INT64, [1], [0]),
        helper.make_tensor("to", TensorProto.INT64, [1], [1]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("value", TensorProto.FLOAT, [], [value]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "constant", [shape], [out], constants), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    helper.set_model_props(model, {"longshore.numeric": json.dumps(numeric), "longshore.nominal": "[]"})
    data: bytes = model.SerializeToString()
    onnx.checker.check_model(model)
    return data


class Place:
    """A model place under the test's control."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.champion_value: Candidate | None = None
        self.blobs: dict[str, bytes] = {}
        self.away = False

    def hold(self, version: str, generation: int, data: bytes) -> None:
        sha256 = hashlib.sha256(data).hexdigest()
        self.champion_value = Candidate(version, generation, sha256)
        self.blobs[sha256] = data

    def champion(self) -> Candidate | None:
        if self.away:
            raise UnavailableError("away")
        return self.champion_value

    def manifest(self, candidate: Candidate) -> None:
        """A pointer alone: nothing is signed here (tests/unit/test_scorer_models.py has manifests)."""

    def fetch(self, candidate: Candidate) -> bytes | None:
        if self.away:
            raise UnavailableError("away")
        return self.blobs.get(candidate.sha256)


def run_until(scorer: Scorer, stream: MemoryStream, done: int) -> None:
    """Serve until `done` outputs are there."""
    runtime = Runtime("scorer")
    thread = threading.Thread(target=scorer.serve, args=(stream, runtime))
    thread.start()
    deadline = time.monotonic() + 20
    while len(stream.topics.get(OUTPUT, [])) + len(stream.topics.get(DEAD, [])) < done and thread.is_alive():
        if time.monotonic() > deadline:
            break  # what is missing shows in what the test compares
        threading.Event().wait(0.005)
    runtime.stop.set()
    thread.join(10)


def scorer_with(place: Place) -> tuple[Scorer, Models]:
    models = Models(districts(), [place])
    models.refresh()
    return Scorer(Settings(), districts(), models, task="0"), models


def inputs(*values: bytes | None) -> list[Record]:
    return [Record(INPUT, 0, i, b"k%d" % i, value) for i, value in enumerate(values)]


def test_every_record_becomes_one_prediction_or_one_dead_letter() -> None:
    place = Place("redis")
    place.hold("v1", 1, constant_model(7.5))
    scorer, _ = scorer_with(place)
    stream = MemoryStream({INPUT: inputs(record(record_id="a"), b"{", record(record_id="b"), None)}, [INPUT])
    run_until(scorer, stream, 4)
    values = [json.loads(m.value() or b"") for m in stream.topics[OUTPUT]]
    assert [v["record_id"] for v in values] == ["a", "b"]
    assert [v["source"]["offset"] for v in values] == [0, 2]
    assert [m.key() for m in stream.topics[OUTPUT]] == [b"k0", b"k2"]
    assert [m.value() for m in stream.topics[DEAD]] == [b"{", None]
    assert {v["prediction"] for v in values} == {7.5}


def test_a_prediction_has_exactly_the_contracts_fields_and_its_record_verbatim() -> None:
    place = Place("redis")
    place.hold("v9", 1, constant_model(1.0))
    scorer, _ = scorer_with(place)
    original = b'{ "extra": [1, {"deep": null}],' + record()[1:]
    stream = MemoryStream({INPUT: inputs(original)}, [INPUT])
    run_until(scorer, stream, 1)
    raw = stream.topics[OUTPUT][0].value() or b""
    value = json.loads(raw)
    assert set(value) == {
        "record_id", "district_id", "event_time", "scored_at", "prediction", "model_version", "route", "source",
        "record",
    }  # fmt: skip
    assert value["route"] == "champion"
    assert value["model_version"] == "v9"
    assert value["source"] == {"topic": INPUT, "partition": 0, "offset": 0}
    assert value["record"] == GOOD | {"extra": [1, {"deep": None}]}
    assert original in raw


def test_an_aborted_transaction_is_scored_again_and_leaves_no_trace() -> None:
    place = Place("redis")
    place.hold("v1", 1, constant_model(1.0))
    scorer, _ = scorer_with(place)
    stream = MemoryStream({INPUT: inputs(*[record(record_id=f"r{i}") for i in range(50)], b"bad")}, [INPUT])
    stream.fail_next = 3
    run_until(scorer, stream, 51)
    ids = [json.loads(m.value() or b"")["record_id"] for m in stream.topics[OUTPUT]]
    assert ids == [f"r{i}" for i in range(50)]
    assert len(stream.topics[DEAD]) == 1


def test_nothing_is_read_before_there_is_a_model() -> None:
    scorer, models = scorer_with(place := Place("redis"))
    stream = MemoryStream({INPUT: inputs(record())}, [INPUT])
    runtime = Runtime("scorer")
    thread = threading.Thread(target=scorer.serve, args=(stream, runtime))
    thread.start()
    assert not runtime.readiness()[0]
    place.hold("v1", 1, constant_model(2.0))
    assert OUTPUT not in stream.topics
    assert models.refresh()
    while OUTPUT not in stream.topics:
        threading.Event().wait(0.005)
    runtime.stop.set()
    thread.join(10)
    assert len(stream.topics[OUTPUT]) == 1


def test_a_swap_takes_a_newer_generation_only() -> None:
    place = Place("redis")
    place.hold("v2", 2, constant_model(2.0))
    _, models = scorer_with(place)
    place.hold("v1", 1, constant_model(1.0))
    assert not models.refresh()
    place.hold("v1", 3, constant_model(1.0))
    assert models.refresh()
    active = models.active()
    assert active is not None
    assert (active.version, active.generation) == ("v1", 3)


def test_damaged_bytes_are_refused_and_the_registry_is_asked() -> None:
    redis, registry = Place("redis"), Place("registry")
    redis.hold("v1", 1, constant_model(1.0))
    registry.hold("v1", 1, constant_model(1.0))
    assert redis.champion_value is not None
    redis.blobs[redis.champion_value.sha256] = b"damaged"
    models = Models(districts(), [redis, registry])
    assert models.refresh()
    active = models.active()
    assert active is not None
    assert active.model.sha256 == redis.champion_value.sha256


@pytest.mark.parametrize("data", [b"not onnx", constant_model(float("nan"))], ids=["not a model", "answers NaN"])
def test_a_model_that_cannot_serve_is_refused_and_the_old_one_stays(data: bytes) -> None:
    place = Place("redis")
    place.hold("v1", 1, constant_model(1.0))
    _, models = scorer_with(place)
    place.hold("v2", 2, data)
    assert not models.refresh()
    active = models.active()
    assert active is not None
    assert active.version == "v1"


def test_redis_away_is_no_reason_to_stop() -> None:
    redis, registry = Place("redis"), Place("registry")
    redis.away = True
    registry.hold("v3", 3, constant_model(3.0))
    models = Models(districts(), [redis, registry])
    assert models.refresh()
    registry.away = True
    assert not models.refresh()
    active = models.active()
    assert active is not None
    assert active.version == "v3"


def test_a_prediction_that_is_not_finite_is_a_dead_letter() -> None:
    class Odd:
        def predict(self, columns: Columns) -> np.ndarray:
            return np.array([1.0, np.nan, np.inf, 4.0])

    scored = score([record(record_id=str(i)) for i in range(4)], Codec(districts()), Odd())
    assert scored.decoded.positions == [0, 3]
    assert scored.decoded.columns.record_ids == ["0", "3"]
    assert [(r.position, r.reason) for r in scored.rejects] == [(1, Reason.NOT_FINITE), (2, Reason.NOT_FINITE)]


class Fails:
    """A model that fails for some records, as a pipeline does that knows a category its checks did not try."""

    def __init__(self, *ids: str, error: type[BaseException] = ValueError) -> None:
        self.ids, self.error = ids, error
        self.calls = 0

    def predict(self, columns: Columns) -> np.ndarray:
        self.calls += 1
        if not self.ids or set(self.ids) & set(columns.record_ids):
            raise self.error("unknown category 'X'")
        return np.arange(len(columns), dtype=float)


def test_a_record_for_which_the_model_fails_is_a_dead_letter_and_the_others_are_scored() -> None:
    model = Fails("3", "40")
    scored = score([record(record_id=str(i)) for i in range(100)], Codec(districts()), model)
    assert scored.decoded.positions == [i for i in range(100) if i not in (3, 40)]
    assert [(r.position, r.reason) for r in scored.rejects] == [(3, Reason.MODEL_FAILED), (40, Reason.MODEL_FAILED)]
    assert scored.rejects[0].message == "the model failed: ValueError: unknown category 'X'"
    assert model.calls < 35, "found by halving"
    (only,) = score([record(record_id="3")], Codec(districts()), model).rejects
    assert only.reason is Reason.MODEL_FAILED


@pytest.mark.parametrize(("error", "ids"), [(ValueError, ()), (MemoryError, ("3",))], ids=["all", "memory"])
def test_what_is_no_records_fault_is_raised(error: type[Exception], ids: tuple[str, ...]) -> None:
    with pytest.raises(error):
        score([record(record_id=str(i)) for i in range(100)], Codec(districts()), Fails(*ids, error=error))


def test_where_the_model_fails_for_very_many_the_calls_are_bounded_and_nobody_is_left_out() -> None:
    model = Fails(*(str(i) for i in range(0, 4_000, 3)))
    scored = score([record(record_id=str(i)) for i in range(4_000)], Codec(districts()), model)
    assert model.calls < 1_100
    assert scored.decoded.positions[:4] == [1, 2, 4, 5]
    assert sorted(scored.decoded.positions + [reject.position for reject in scored.rejects]) == list(range(4_000))
    assert {reject.reason for reject in scored.rejects} == {Reason.MODEL_FAILED}
    few = score([record(record_id="0"), record(record_id="3")], Codec(districts()), model)
    assert [reject.reason for reject in few.rejects] == [Reason.MODEL_FAILED] * 2, "no reason to end"


@pytest.mark.parametrize("max_batch", [5, 1_000], ids=["beside the loop", "in the loop"])
def test_when_the_scorer_fails_leaving_the_group_commits_nothing_that_is_not_scored(
    max_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer, models, _, stream = busy(23, max_batch, commit_interval_s=60.0)
    stream.on_revoked = lambda _: scorer.finish(stream)
    active = models.active()
    assert active is not None
    broken = replace(active, model=cast(Any, Fails("r17", error=MemoryError)))
    monkeypatch.setattr(models, "active", lambda: broken)
    with pytest.raises(MemoryError):
        scorer.serve(stream, Runtime("scorer"))
    stream.close()
    assert stream._committed[INPUT] == len(stream.topics.get(OUTPUT, [])) == 0


def test_when_the_last_commit_fails_leaving_the_group_commits_nothing_either() -> None:
    class Fails(MemoryStream):
        def commit(self, outputs: Any = (), **options: Any) -> None:
            if outputs:
                raise MemoryError
            super().commit(outputs, **options)

    scorer, models, _, _ = busy(0, 100, commit_interval_s=60.0)
    stream = Fails({INPUT: inputs(*[record(record_id=f"r{i}") for i in range(3)])}, [INPUT])
    stream.on_revoked = lambda _: scorer.finish(stream)
    active = models.active()
    assert active is not None
    scorer._begin(stream, stream.poll(100, 0), active, beside=False)
    with pytest.raises(MemoryError):
        scorer.finish(stream)
    stream.close()
    assert stream._committed[INPUT] == len(stream.topics.get(OUTPUT, [])) == 0


def test_a_dead_letter_keeps_what_came_and_overwrites_no_header() -> None:
    message = Record("in", 3, 42, b"key", b"value", [("trace", b"x"), (CONTEXT + "topic", b"first")])
    letter = dead_letter(message, Reject(0, Reason.NOT_JSON, "no"), topic="in.dlq", task="s-1")
    headers = letter.headers or []
    assert (letter.topic, letter.key, letter.value, letter.timestamp_ms) == ("in.dlq", b"key", b"value", 1_000)
    assert headers[:2] == [("trace", b"x"), (CONTEXT + "topic", b"first")]
    names = [name for name, _ in headers]
    assert len(names) == len(set(names))
    assert dict(headers)[SOURCE] == b"in/3/42"
    assert {name.removeprefix(CONTEXT) for name in names[1:]} - {SOURCE} == {
        "topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name", "exception.class.name",
        "exception.message", "exception.stacktrace",
    }  # fmt: skip
    assert dict(headers)[CONTEXT + "offset"] == b"42"
    assert dict(headers)[CONTEXT + "exception.message"] == b"no"


class Transactions(MemoryStream):
    """Keeps what each transaction held; `before_poll` stands for what a poll may run, rebalances and all."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.held: list[list[dict[str, Any]]] = []
        self.before_poll: Callable[[], None] = lambda: None
        self.fails: Callable[[int], bool] = lambda _: False

    def poll(self, max_records: int, timeout_s: float) -> list[Message]:
        self.before_poll()
        return super().poll(max_records, timeout_s)

    def commit(self, outputs: Any = (), **options: Any) -> None:
        self.held.append([json.loads(m["value"]) for out in [*self._sent, *outputs] for m in out.messages])  # type: ignore[union-attr]
        self.fail_next = int(self.fails(len(self.held)))
        super().commit(outputs, **options)


class SlowCommits(Transactions):
    """Commits that take three polls each, while records go on coming, one with every poll."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.flying = 0
        self.read_beside = 0
        self.sent_beside = 0
        self.over: Callable[[], bool] = lambda: False

    def poll(self, max_records: int, timeout_s: float) -> list[Message]:
        self.topics[INPUT] += [Record(INPUT, 0, at := len(self.topics[INPUT]), b"k", record(record_id=f"r{at}"))]
        self.flying -= 1
        batch = super().poll(max_records, timeout_s)
        self.read_beside += len(batch) if self._flight is not None else 0
        return batch

    def send(self, outputs: Any) -> None:
        self.sent_beside += int(self.flying > 0 and not self.over())  # what is sent at the end waits for the commit
        super().send(outputs)

    def commit(self, outputs: Any = (), **options: Any) -> None:
        super().commit(outputs, **options)
        self.flying = 3 if self._flight is not None else 0

    def _settle(self) -> None:
        if self.flying <= 0:
            super()._settle()


def test_what_comes_during_a_commit_is_scored_beside_it_and_sent_after_it() -> None:
    scorer, models, place, _ = busy(0, 100, poll_timeout_s=0.01)
    stream = SlowCommits({INPUT: []}, [INPUT])

    def swap() -> None:
        if (at := len(stream.topics[INPUT])) in (10, 40):
            place.hold(f"v{at}", at, constant_model(2.0))
            assert models.refresh()

    stream.before_poll = swap
    stream.fails = lambda number: number == 4
    stream.over = lambda: scorer._stop.is_set()  # noqa: PLW0108  (another event once it serves)
    run_until(scorer, stream, 60)
    assert stream.read_beside > 20
    assert stream.sent_beside == 0
    ids = [json.loads(m.value() or b"")["record_id"] for m in stream.topics[OUTPUT]]
    assert ids == [f"r{i}" for i in range(len(ids))]
    assert len(ids) >= 60
    versions = [{prediction["model_version"] for prediction in held} for held in stream.held if held]
    assert max(map(len, versions)) == 1
    assert set.union(*versions) == {"v1", "v10", "v40"}


@pytest.mark.parametrize(("delivery", "with_the_commit"), [("exactly_once", 3), ("at_least_once", 0)])
def test_outputs_of_an_idle_input_go_with_the_commit_so_that_its_offsets_come_first(
    delivery: str, with_the_commit: int
) -> None:
    class Commits(MemoryStream):
        given = 0

        def commit(self, outputs: Any = (), **options: Any) -> None:
            self.given += sum(len(out.messages) for out in outputs)
            super().commit(outputs, **options)

    scorer, _, _, _ = busy(0, 100, poll_timeout_s=0.01, delivery=delivery)
    stream = Commits({INPUT: inputs(*[record(record_id=f"r{i}") for i in range(3)])}, [INPUT])
    run_until(scorer, stream, 3)
    assert len(stream.topics[OUTPUT]) == 3
    assert stream.given == with_the_commit


def busy(count: int, max_batch: int, **settings: Any) -> tuple[Scorer, Models, Place, Transactions]:
    """A scorer whose batches are always full, so that the model works beside the loop."""
    place = Place("redis")
    place.hold("v1", 1, constant_model(1.0))
    models = Models(districts(), [place])
    models.refresh()
    own = Settings(scorer=ScorerSettings(max_batch=max_batch, **settings))
    stream = Transactions({INPUT: inputs(*[record(record_id=f"r{i}") for i in range(count)])}, [INPUT])
    return Scorer(own, districts(), models, task="0"), models, place, stream


@pytest.mark.parametrize("interval_s", [0.0, 60.0])
@pytest.mark.parametrize("aborts", [(), (1, 2, 3), (2, 5, 8, 9)])
def test_with_the_model_beside_the_loop_nothing_is_lost_doubled_or_out_of_order(
    interval_s: float, aborts: tuple[int, ...]
) -> None:
    """A transaction ends while a batch is with the model: its offsets must not cover that batch."""
    scorer, _, _, stream = busy(100, 7, commit_interval_s=interval_s)
    stream.fails = lambda number: number in aborts
    run_until(scorer, stream, 100)
    ids = [json.loads(m.value() or b"")["record_id"] for m in stream.topics[OUTPUT]]
    assert ids == [f"r{i}" for i in range(100)]


def test_a_swap_under_load_mixes_no_transaction() -> None:
    scorer, models, place, stream = busy(400, 5, commit_interval_s=60.0)
    polls = 0

    def swap() -> None:
        nonlocal polls
        polls += 1
        if polls % 7 == 0:
            place.hold(f"v{polls}", polls, constant_model(float(polls)))
            models.refresh()

    stream.before_poll = swap
    run_until(scorer, stream, 400)
    versions = [{prediction["model_version"] for prediction in held} for held in stream.held if held]
    assert [len(found) for found in versions] == [1] * len(versions)
    assert len(set.union(*versions)) > 5, "the swaps took place"
    for prediction in (prediction for held in stream.held for prediction in held):
        assert prediction["prediction"] == float(prediction["model_version"][1:])
    ids = [json.loads(m.value() or b"")["record_id"] for m in stream.topics[OUTPUT]]
    assert ids == [f"r{i}" for i in range(400)]


def test_a_rebalance_with_a_batch_at_the_model_commits_that_batch_too() -> None:
    scorer, _, _, stream = busy(60, 5, commit_interval_s=60.0)
    polls = 0

    def rebalance() -> None:
        nonlocal polls
        polls += 1
        if polls in (3, 7):
            scorer.finish(stream)
            assert stream._committed[INPUT] == stream._positions[INPUT] == 5 * (polls - 1)

    stream.before_poll = rebalance
    run_until(scorer, stream, 60)
    ids = [json.loads(m.value() or b"")["record_id"] for m in stream.topics[OUTPUT]]
    assert ids == [f"r{i}" for i in range(60)]


def test_what_was_scored_during_a_commit_goes_out_in_as_many_transactions_as_its_size_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "TRANSACTION_BYTES", 2 * len(record(record_id="r10")))
    scorer, _, _, _ = busy(0, 100, poll_timeout_s=0.01)
    stream = SlowCommits({INPUT: []}, [INPUT])
    run_until(scorer, stream, 60)
    assert stream.read_beside > 10
    assert max(map(len, stream.held)) <= 3
    ids = [json.loads(m.value() or b"")["record_id"] for m in stream.topics[OUTPUT]]
    assert ids == [f"r{i}" for i in range(len(ids))]


def test_a_dead_letter_too_large_for_kafka_holds_its_beginning_and_says_so() -> None:
    message = Record("in", 0, 7, b"k" * 1_000, b"v" * 3_000_000, [("trace", b"x")])
    letter = dead_letter(message, Reject(0, Reason.TOO_LARGE, "too large"), topic="in.dlq", task="s-1")
    headers = dict(letter.headers or [])
    assert headers["longshore.truncated"] == b"3000000"
    assert 900_000 < len(letter.value or b"") < 950_000
    assert sum(len(n) + len(v) for n, v in headers.items()) + len(letter.value or b"") + 1_000 < 951_000


def test_a_dead_letter_fits_whatever_its_record_was_made_of() -> None:
    context = [(CONTEXT + "exception.stacktrace", b"x" * 600_000), (CONTEXT + "stage", b"x" * 600_000)]
    for key, headers in (
        (b"k" * 3_000_000, None),
        (b"k", context),
        (b"k" * 900_000, context),
        (None, [("h" * 999_999, b"")]),
    ):
        message = Record("in", 0, 7, key, b"v", headers)
        letter = dead_letter(message, Reject(0, Reason.TOO_LARGE, "too large"), topic="in.dlq", task="s-1")
        own = letter.headers or []
        assert len(letter.key or b"") + len(letter.value or b"") + sum(len(n) + len(v) + 2 for n, v in own) <= 950_000
        assert dict(own)["longshore.truncated"] == b"1"
        assert dict(own)[SOURCE] == b"in/0/7"
        assert (letter.key is None) == (key is None)


@pytest.mark.parametrize("headers", [[("tracestate", b"x" * 200_000)], [("tracestate", b"x" * 2_000)] * 5])
def test_trace_headers_that_are_none_do_not_go_along(headers: list[tuple[str, bytes]]) -> None:
    message = Record("in", 0, 7, None, record(), [*headers, ("traceparent", b"00-1")])
    (output,) = with_traces("out", [message], [{"key": None, "value": b"v"}])
    assert isinstance(output, Batch)


def test_trace_headers_go_along_and_keep_their_place() -> None:
    place = Place("redis")
    place.hold("v1", 1, constant_model(1.0))
    scorer, _ = scorer_with(place)
    trace = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("TraceState", b"a=b")]
    records = [
        Record(INPUT, 0, i, b"k", record(record_id=f"r{i}"), [*trace, ("other", b"x")] if i % 3 == 1 else None)
        for i in range(9)
    ]
    stream = MemoryStream({INPUT: records}, [INPUT])
    run_until(scorer, stream, 9)
    out = stream.topics[OUTPUT]
    assert [json.loads(m.value() or b"")["record_id"] for m in out] == [f"r{i}" for i in range(9)]
    assert [m.headers() for m in out] == [trace if i % 3 == 1 else None for i in range(9)]


def test_aborts_without_end_are_waited_between_and_never_end_the_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands in a row: the wait was once a power of two of their number, which no float holds."""
    scorer, _, _, stream = busy(10, 5)
    monkeypatch.setattr(service, "ABORT_WAIT_S", 0.001)
    scorer._aborts = 5_000
    stream.fails = lambda number: number <= 3
    run_until(scorer, stream, 10)
    assert len(stream.topics[OUTPUT]) == 10
    assert scorer._aborts == 0
