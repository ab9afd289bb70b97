"""What other programs rely on: their records through one `longshore score`, its outputs, pages and end."""

from __future__ import annotations

import hashlib
import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from tests.malformed_corpus import BAD, GOOD_ENOUGH, record
from tests.services import Services, free_port, services, settings_for
from tests.waiting import eventually

from longshore.config import Settings
from longshore.local.stack import Endpoints
from longshore.producers.generator import districts_frame
from longshore.schema import districts

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PREFIX = "contract."
GROUP = f"{PREFIX}scorer"
VALID = 500
MARK = "__connect.errors."
CONNECT = {
    "topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name", "exception.class.name",
    "exception.message", "exception.stacktrace",
}  # fmt: skip
EVENT_TIME = 1_700_000_000_000
SENT_AT = (int(time.time()) - 3_600) * 1_000
"""Recent: a dead letter keeps its record's timestamp, and the broker deletes what is older than the retention."""
HEADERS = [("trace", b"\x00\xff"), ("trace", b"again"), ("empty", None)]
HEAVY: dict[str, tuple[bytes, bytes, list[tuple[str, bytes]]]] = {
    "a long key": (record(note="x" * 890_000), b"k" * 150_000, []),
    "long headers": (b"{" + b"x" * 100_000, b"k", [("h", b"x" * 930_000)]),
    "a key that fills it": (b"{", b"k" * 1_040_000, []),
    "headers like ours": (b"{", b"k", [(f"{MARK}exception.stacktrace", b"x" * 520_000)] * 2),
}

Coordinates = tuple[int, int]


@dataclass
class World:
    """One run of the scorer: what was sent, by source coordinates, and how to reach everything."""

    run: Services
    cache: Any
    bootstrap: str
    port: int
    scorer: Any
    valid: dict[Coordinates, tuple[bytes | None, bytes]]
    bad: dict[Coordinates, tuple[str, bytes]]
    heavy: dict[Coordinates, str]
    predictions: list[Any]
    dead: list[Any]


def read_committed(bootstrap: str, topic: str, count: int) -> list[Any]:
    """At least `count` messages, and all that come within a second after: a doubled one would be among them."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"check-{topic}-{time.time_ns()}",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    found: list[Any] = []

    def enough() -> bool:
        found.extend(m for m in consumer.consume(1_000, 0.2) if m.error() is None)
        return len(found) >= count

    try:
        eventually(enough, 60, what=f"{count} messages on {topic}")
        found.extend(m for m in consumer.consume(1_000, 1.0) if m.error() is None)
    finally:
        consumer.close()
    return found


def valid_records() -> list[tuple[bytes | None, bytes]]:
    """Keys and values as another program may write them: spaces, other orders, unknown fields, nulls, non-ASCII."""
    frame = districts_frame(VALID, 5).drop(columns=["district_id", "median_house_value"])
    out: list[tuple[bytes | None, bytes]] = []
    for i, row in enumerate(json.loads(frame.to_json(orient="records"))):
        record = {"record_id": f"r{i}", "district_id": f"d{i % 90}", "event_time": EVENT_TIME + i} | row
        key: bytes | None = record["district_id"].encode()
        if i % 10 == 1:
            record = dict(reversed(record.items())) | {"note": "Málaga", "more": {"a": [1, None]}}
        if i % 10 == 2:
            del record["total_bedrooms"]
        if i % 10 == 3:
            record |= {"ocean_proximity": "LAKESIDE"}
        if i % 10 == 4:
            record |= {"median_income": None, "ocean_proximity": None}
        if i % 10 == 5:
            key = None
        if i % 10 == 6:
            key = b"\xff\x00" + str(i % 90).encode()
        text = json.dumps(record, indent=i % 3 or None, ensure_ascii=i % 2 == 0)
        out.append((key, text.encode()))
    return out + [(b"looks wrong", value) for value, fields in GOOD_ENOUGH.values() if _moderate(fields)]


def _moderate(fields: dict[str, Any]) -> bool:
    """scikit-learn refuses what a float32 cannot hold."""
    return all(abs(v) < 1e6 for name, v in fields.items() if name in districts().feature_names and isinstance(v, float))


@pytest.fixture(scope="module")
def world(stack: Endpoints, tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("contract")
    settings = settings_for(stack, PREFIX, folder)
    port = free_port()
    with services(settings, stack, folder, 5) as (run, cache):
        run.adopt(trained)
        scorer = run.start("score", "--instance", "one", LONGSHORE_SERVER__PORT=str(port))
        world = World(run, cache, stack.bootstrap_servers, port, scorer, {}, {}, {}, [], [])
        send(world)
        world.predictions = read_committed(world.bootstrap, f"{PREFIX}predictions", len(world.valid))
        world.dead = read_committed(world.bootstrap, f"{PREFIX}districts.dlq", len(world.bad) + len(world.heavy))
        yield world


def send(world: World) -> None:
    """Valid and bad records in turn, with another client at its own defaults."""
    producer = Producer({"bootstrap.servers": world.bootstrap, "message.max.bytes": 2_000_000})
    bad = list(BAD)

    def note(where: dict[Coordinates, Any], what: Any) -> Any:
        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            where[message.partition(), message.offset()] = what

        return delivered

    for i, (key, value) in enumerate(valid_records()):
        producer.produce(f"{PREFIX}districts", value, key, on_delivery=note(world.valid, (key, value)))
        if i % 3 == 0 and bad:
            kind = bad.pop()
            broken, bad_key = BAD[kind][0], f"key of {kind}".encode()
            own = [*HEADERS, (f"{MARK}topic", b"elsewhere")] if kind == "text" else HEADERS
            callback = note(world.bad, (kind, bad_key))
            producer.produce(
                f"{PREFIX}districts", broken, bad_key, headers=own, timestamp=SENT_AT, on_delivery=callback
            )
    for kind, (value, key, headers) in HEAVY.items():
        callback = note(world.heavy, kind)
        producer.produce(f"{PREFIX}districts", value, key, headers=headers, on_delivery=callback)
    assert not bad
    assert producer.flush(30) == 0
    assert len(world.valid) >= VALID + 30
    assert len(world.bad) == len(BAD) >= 60


def test_each_valid_record_comes_out_once_with_all_its_fields(world: World) -> None:
    found = {}
    for message in world.predictions:
        value = json.loads(message.value())
        source = value["source"]
        assert set(source) == {"topic", "partition", "offset"}
        assert source["topic"] == f"{PREFIX}districts"
        at = source["partition"], source["offset"]
        assert at not in found, "a doubled prediction"
        found[at] = (message, value)
    assert set(found) == set(world.valid)
    now = time.time() * 1_000
    for at, (key, sent) in world.valid.items():
        message, value = found[at]
        assert set(value) == {
            "record_id", "district_id", "event_time", "scored_at", "prediction", "model_version", "route", "source",
            "record",
        }  # fmt: skip
        assert message.key() == key
        assert message.value().endswith(b'"record":' + sent + b"}"), "the record is not there verbatim"
        record = json.loads(sent)
        assert all(value[name] == record[name] for name in ("record_id", "district_id", "event_time"))
        assert (value["model_version"], value["route"]) == ("v1", "champion")
        assert now - 300_000 < value["scored_at"] <= now


def test_predictions_are_those_of_scikit_learn(world: World) -> None:
    shown = world.run.once("model", "show", "champion")
    assert (shown["version"], shown["generation"]) == ("v1", 1)
    pipeline = joblib.load(Path(shown["files"]["pipeline.joblib"]))
    values = [json.loads(message.value()) for message in world.predictions]
    names = list(districts().feature_names)
    frame = pd.DataFrame([{name: value["record"].get(name) for name in names} for value in values], columns=names)
    expected = pipeline.predict(frame)
    found = np.array([value["prediction"] for value in values])
    np.testing.assert_allclose(found, np.asarray(expected, dtype=float).reshape(-1), rtol=1e-5)
    assert np.ptp(found) > 10_000


def test_each_malformed_record_is_a_dead_letter_with_its_reason(world: World) -> None:
    found = {}
    for message in world.dead:
        context = {name: text for name, text in message.headers() if name.startswith(MARK)}
        at = int(context[f"{MARK}partition"]), int(context[f"{MARK}offset"])
        assert at not in found
        if at in world.heavy:
            continue
        found[at] = message
        assert set(context) == {MARK + name for name in CONNECT}
        assert len(message.headers()) == len(HEADERS) + len(CONNECT) + 1  # longshore.source
    assert set(found) == set(world.bad)
    for at, (kind, key) in world.bad.items():
        message, (value, reason) = found[at], BAD[kind]
        assert message.key() == key
        assert message.value() == value
        assert message.timestamp()[1] == SENT_AT
        assert message.headers()[: len(HEADERS)] == HEADERS
        context = {name.removeprefix(MARK): text.decode() for name, text in message.headers()[len(HEADERS) :]}
        assert context["topic"] == ("elsewhere" if kind == "text" else f"{PREFIX}districts")
        assert context["task.id"] == "one"
        assert context["exception.class.name"].endswith(f".{reason.value}")
        assert context["exception.message"] and context["exception.message"] in context["exception.stacktrace"]


def test_a_record_that_could_not_be_written_beside_what_is_added_stops_nothing(world: World) -> None:
    """Key, value and headers that Kafka took together, and would not take with an envelope around them."""
    found = {}
    for message in world.dead:
        headers = dict(message.headers())
        at = int(headers[f"{MARK}partition"]), int(headers[f"{MARK}offset"])
        if at in world.heavy:
            found[world.heavy[at]] = (message, headers)
    assert set(found) == set(HEAVY)
    for kind, (message, headers) in found.items():
        value, key, _ = HEAVY[kind]
        assert headers["longshore.truncated"] == str(len(value)).encode()
        assert value.startswith(message.value() or b"")
        assert key.startswith(message.key() or b"")
        assert headers["longshore.source"].startswith(f"{PREFIX}districts/".encode())


def test_redis_holds_the_pointer_and_the_bytes_it_names(world: World) -> None:
    pointer = json.loads(world.cache.get("longshore:model:active"))
    shown = world.run.once("model", "show", "champion")
    assert (pointer["version"], pointer["generation"]) == ("v1", 1)
    assert pointer["sha256"] == shown["sha256"]["model.onnx"]
    blob = world.cache.get(f"longshore:model:blob:{pointer['sha256']}")
    assert hashlib.sha256(blob).hexdigest() == pointer["sha256"]
    assert blob == Path(shown["files"]["model.onnx"]).read_bytes()


def test_the_pages_answer(world: World) -> None:
    def page(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{world.port}{path}", timeout=5) as answer:
            assert answer.status == 200
            return str(answer.read().decode())

    assert page("/healthz")
    assert page("/readyz").strip() == "ready"
    metrics = page("/metrics")
    assert f'longshore_records_scored_total{{model_version="v1"}} {float(len(world.valid))}' in metrics, metrics
    dead = [line for line in metrics.splitlines() if line.startswith("longshore_dead_letters_total{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in dead) == len(BAD) + len(HEAVY)

    def lags() -> list[str]:
        return [line for line in page("/metrics").splitlines() if line.startswith("longshore_consumer_lag_records{")]

    eventually(lambda: lags() and all(line.endswith(" 0.0") for line in lags()), 5, what="a lag of 0")
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes"):
        assert name in metrics


def test_sigterm_ends_it_well_and_another_takes_over_at_once(
    stack: Endpoints, settings: Settings, tmp_path: Path, trained: Path
) -> None:
    """With a prefix of its own: the order of tests is random."""
    with services(settings, stack, tmp_path, 6, LONGSHORE_KAFKA__SESSION_TIMEOUT_MS="60000") as (run, _cache):
        run.adopt(trained)
        group, topic = f"{settings.topic_prefix}scorer", f"{settings.topic_prefix}predictions"
        admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})

        def members() -> list[Any]:
            try:
                found = admin.describe_consumer_groups([group])[group].result(timeout=10).members
            except KafkaException:  # the coordinator is still loading
                return []
            return [member for member in found if member.assignment and member.assignment.topic_partitions]

        values = [value for _, value in valid_records()]
        producer = Producer({"bootstrap.servers": stack.bootstrap_servers})
        for turn, instance in enumerate(("one", "two")):
            scorer = run.start("score", "--instance", instance)
            started = time.monotonic()
            eventually(members, what="partitions of the scorer")
            assert time.monotonic() - started < 30, "it waited for its predecessor's session to end (60 s)"
            for value in values[turn * 100 : (turn + 1) * 100]:
                producer.produce(f"{settings.topic_prefix}districts", value)
            assert producer.flush(10) == 0
            assert len(read_committed(stack.bootstrap_servers, topic, 100 * (turn + 1))) == 100 * (turn + 1)
            scorer.send_signal(signal.SIGTERM)
            assert scorer.wait(20) == 0, run.logs()
            assert not admin.describe_consumer_groups([group])[group].result(timeout=10).members
