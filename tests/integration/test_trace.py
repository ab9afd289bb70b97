"""`longshore trace` on a real stack, a schema of its own and a prefix of its own.

A real scorer scores through a promotion and a rollback; records, a dead letter, labels, drift events, a replay's entry,
transactions' markers and deleted offsets stand on the topics. Each test asks for one record and checks the answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from tests.integration.test_second_schema import SCHEMA, readings
from tests.services import Services, services, settings_for
from tests.waiting import eventually

from longshore.cli.app import App
from longshore.cli.trace import trace
from longshore.dead_letters.journal import Entry
from longshore.kafka.reader import read_all
from longshore.kafka.writer import Writer
from longshore.local.stack import Endpoints
from longshore.partitioner import partition_of
from longshore.records import DriftEvent, Moved, RetrainRequest, Window
from longshore.topics import Topics

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PREFIX = "traced."
PARTITIONS = 4
EVENT_TIME = 1_700_000_000_000
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class World:
    """What stands on the topics: `at` holds each named record's (partition, offset) as its sender was told it."""

    app: App
    run: Services
    at: dict[str, tuple[int, int]] = field(default_factory=dict)
    values: dict[str, bytes] = field(default_factory=dict)
    markers: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def topics(self) -> Topics:
        return self.app.topics

    def send(self, name: str, *, key: bytes | None, value: bytes | None = None, **given: Any) -> None:
        """One record, sent as a Java client would, and its coordinates noted."""
        value = record(name) if value is None else value

        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            self.at[name] = (message.partition(), message.offset())

        servers = self.app.settings.bootstrap_servers
        producer = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random"})
        producer.produce(self.topics.records, value, key, on_delivery=delivered, **given)
        assert producer.flush(20) == 0
        self.values[name] = value

    def predictions(self) -> dict[tuple[int, int], dict[str, Any]]:
        found = [json.loads(m.value() or b"") for b in read_all(self.app.settings, self.topics.predictions) for m in b]
        return {(p["source"]["partition"], p["source"]["offset"]): p for p in found}

    def predicted(self, name: str) -> tuple[int, int]:
        """Where a record's prediction stands."""
        for message in (m for batch in read_all(self.app.settings, self.topics.predictions) for m in batch):
            if json.loads(message.value() or b"")["record_id"] == name:
                return message.partition(), message.offset()
        raise AssertionError(f"no prediction of {name}")

    def ask(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the JSON."""
        result = self.call(*arguments, "--output", "json")
        return result.exit_code, json.loads(result.stdout)

    def call(self, *arguments: str) -> Result:
        result = CliRunner().invoke(trace, list(arguments), obj=self.app)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def place(self, name: str) -> str:
        partition, offset = self.at[name]
        return f"turbine-readings/{partition}/{offset}"


def record(name: str, **other: Any) -> bytes:
    fields = {
        "record_id": name,
        "turbine": f"t-{name}",
        "event_time": EVENT_TIME,
        "wind": 9.5,
        "pitch": 3,
        "maker": "B",
    }
    return json.dumps(fields | {"temperature": 11.0} | other).encode()


def key_for(partition: int, name: str) -> bytes:
    """A key that leads to a partition."""
    return next(k for i in range(1_000) if partition_of(k := f"{name}-{i}".encode(), PARTITIONS) == partition)


def drift_event(kind: str, state: str, start: int, end: int, *, version: str = "v1", episode: str = "") -> bytes:
    moved = Moved("wind", "numeric", state == "alarm", 0.0004, 0.3, 0.3, 0.2, 2.0, 0.5, 0.3)
    event = DriftEvent(
        kind=kind, cause="covariate", stream_set="default", model_version=version, generation=1,
        window=Window(EVENT_TIME + start, EVENT_TIME + end, 500), window_index=start, status="final", state=state,
        episode=episode, p_value=0.0004, thresholds={"alpha": 0.001}, streams=[moved],
    )  # fmt: skip
    return msgspec.json.encode(event)


@pytest.fixture(scope="module")
def world(stack: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("trace")
    (folder / "turbines.toml").write_text(SCHEMA)
    readings(1_000, 1).to_csv(folder / "calm.csv", index=False)
    settings = settings_for(stack, PREFIX, folder, schema_file=folder / "turbines.toml")
    with services(settings, stack, folder, 9, LONGSHORE_SCHEMA_FILE=str(settings.schema_file)) as (run, _cache):
        world = World(App(settings), run)
        build(world, folder)
        yield world


def build(world: World, folder: Path) -> None:
    """The story, in order. Every wait is on what the scorer wrote."""
    run, topics = world.run, world.topics
    assert run.once("train", "--data", str(folder / "calm.csv"), "--trigger-id", "the-first")["version"] == "v1"
    run.once("topics", "create")
    with Writer(world.app.settings) as writer:
        writer.send(topics.events, b"default", drift_event("verdict", "ok", -1_000, 0))
    scorer = run.start("score", "--instance", "one")

    world.send("gone", key=key_for(0, "gone"))
    scored(world, run, lambda p: len(p) == 1)  # alone at the front of its partition: it is deleted there
    world.send("outlived", key=key_for(1, "outlived"))
    world.send("first", key=b"t-first", headers=[("traceparent", TRACEPARENT.encode()), ("note", b"\x1b[31m\xff")])
    world.send("again", key=b"t-again")
    world.send("twice", key=b"t-twice")
    world.send("twice-later", key=b"t-twice", value=record("twice"))
    world.send("keyless", key=None)
    world.send("elsewhere", key=b"t-elsewhere", partition=(partition_of(b"t-elsewhere", PARTITIONS) + 1) % PARTITIONS)
    world.send("poison", key=b"t-poison", value=record("poison", wind="strong"))
    transactions(world)
    scored(world, run, lambda p: len(p) == 9)

    readings(1_000, 2, gale=1.6, wear=0.7).to_csv(folder / "gale.csv", index=False)
    second = run.once("train", "--data", str(folder / "gale.csv"), "--trigger-id", "the-second")
    assert (second["version"], second["promoted"]) == ("v2", True)
    swapped(world, run, "under-v2", "v2")
    run.once("model", "rollback", "--reason", "v2 looked wrong")
    swapped(world, run, "back-on-v1", "v1")
    scorer.terminate()
    assert scorer.wait(30) == 0, run.logs()
    world.send("unscored", key=b"t-unscored")
    around(world)
    delete(world, topics.records, world.at["gone"], world.at["outlived"])
    delete(world, topics.predictions, world.predicted("gone"))


def scored(world: World, run: Services, enough: Callable[[dict[tuple[int, int], Any]], bool]) -> None:
    try:
        eventually(lambda: enough(world.predictions()), 40, what="predictions")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{run.logs()}") from error


def swapped(world: World, run: Services, name: str, version: str) -> None:
    """Send records until one is scored by `version`: that one gets the name."""
    for attempt in range(200):
        world.send(name, key=f"t-{name}-{attempt}".encode(), value=record(f"{name}-{attempt}"))
        scored(world, run, lambda p: world.at[name] in p)
        if world.predictions()[world.at[name]]["model_version"] == version:
            return
    raise AssertionError(f"no scorer took {version} into use\n{run.logs()}")


def transactions(world: World) -> None:
    """Another sender's transactions: one aborted, one committed; each leaves a marker behind its record."""
    config = {"bootstrap.servers": world.app.settings.bootstrap_servers, "transactional.id": f"{PREFIX}sender"}
    producer = Producer(config)
    producer.init_transactions(30)
    for name in ("aborted", "committed"):

        def delivered(error: Any, message: Any, name: str = name) -> None:
            assert error is None, error
            world.at[name] = (message.partition(), message.offset())
            world.markers[name] = (message.partition(), message.offset() + 1)

        producer.begin_transaction()
        producer.produce(world.topics.records, record(name), b"t-" + name.encode(), partition=3, on_delivery=delivered)
        assert producer.flush(20) == 0
        producer.abort_transaction(20) if name == "aborted" else producer.commit_transaction(20)


def around(world: World) -> None:
    """Labels, the monitor's later events, and the journal's entry, in their contracts' forms."""
    label = {"record_id": "first", "turbine": "t-first", "event_time": EVENT_TIME, "observed_at": EVENT_TIME + 9}
    topics, origin = world.topics, f"{world.topics.records}/{world.at['poison'][0]}/{world.at['poison'][1]}"
    entry = Entry(
        replayed_as=f"{topics.records}/2/77", dead_letter="", root=origin, attempt=1, patched=True,
        replayed_at=EVENT_TIME,
    )  # fmt: skip
    asked = RetrainRequest("the-second", "covariate", "v1", Window(EVENT_TIME, EVENT_TIME + 900, 500), [], "e1")
    with Writer(world.app.settings) as writer:
        writer.send(topics.requests, b"default", msgspec.json.encode(asked))
        writer.send(topics.labels, b"t-first", json.dumps(label | {"record_id": "other", "label": 1.0}).encode())
        writer.send(topics.labels, b"t-first", json.dumps(label | {"label": 120.5}).encode())
        writer.send(topics.replays, origin.encode(), msgspec.json.encode(entry))
        writer.send(topics.events, b"default", drift_event("verdict", "alarm", 0, 900, episode="e1"))
        writer.send(topics.events, b"default", drift_event("alert", "alarm", 0, 900, episode="e1"))
        writer.send(topics.events, b"default", drift_event("verdict", "retraining", 900, 1_800, episode="e1"))


def delete(world: World, topic: str, *places: tuple[int, int]) -> None:
    """As retention does: everything up to and with these offsets."""
    admin = AdminClient({"bootstrap.servers": world.app.settings.bootstrap_servers})
    before = [TopicPartition(topic, partition, offset + 1) for partition, offset in places]
    for future in admin.delete_records(before).values():
        future.result(20)


def test_a_scored_record_is_told_with_all_that_led_to_it(world: World) -> None:
    partition, offset = world.at["first"]
    code, told = world.ask(world.place("first"))
    assert (code, told["status"]) == (0, "scored")
    assert told["source"] == {"topic": f"{PREFIX}turbine-readings", "partition": partition, "offset": offset}
    given = told["input"]
    assert given["value"]["data"].encode() == world.values["first"]
    assert given["key"]["data"] == "t-first"
    assert abs(given["timestamp"] - time.time() * 1_000) < 600_000
    assert given["headers"][1] == {"name": "note", "value": {"encoding": "base64", "data": "G1szMW3/", "size": 6}}
    prediction = world.predictions()[partition, offset]
    assert {name: told["prediction"][name] for name in ("prediction", "scored_at", "route", "model_version")} == {
        name: prediction[name] for name in ("prediction", "scored_at", "route", "model_version")
    }
    assert told["prediction"]["message"]["topic"] == world.topics.predictions
    assert (told["label"]["label"], told["label"]["observed_at"]) == (120.5, EVENT_TIME + 9)
    assert told["traceparent"]["input"]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    # The scorer carries the header on, so that the prediction is part of its record's trace.
    assert told["traceparent"]["prediction"]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_its_model_is_told_from_the_data_to_the_end_of_its_reign(world: World) -> None:
    shown = world.run.once("model", "show", "v1")
    history = world.run.once("model", "history")
    model = world.ask(world.place("first"))[1]["model"]
    assert model["sha256"] == shown["sha256"]["model.onnx"]
    for name in ("created", "trigger_id", "dataset", "metrics", "libraries", "code_version", "actor"):
        assert model[name] == shown[name], name
    assert model["trigger_id"] == "the-first"
    assert (model["generation"], model["request"]) == (1, None)
    first, second = model["reigns"]
    assert (first["generation"], first["since"], first["until"]) == (1, history[0]["time"], history[1]["time"])
    assert (first["ended_by"]["version"], first["ended_by"]["trigger_id"]) == ("v2", "the-second")
    assert (second["generation"], second["kind"], second["reason"], second["until"]) == (
        3, "rolled_back", "v2 looked wrong", None,
    )  # fmt: skip


def test_the_generation_is_that_of_the_time_of_scoring(world: World) -> None:
    found = {name: world.ask(world.place(name))[1]["model"] for name in ("under-v2", "back-on-v1")}
    assert (found["under-v2"]["version"], found["under-v2"]["generation"]) == ("v2", 2)
    assert found["under-v2"]["request"]["episode"] == "e1"
    assert found["under-v2"]["reigns"][0]["ended_by"]["kind"] == "rolled_back"
    assert (found["back-on-v1"]["version"], found["back-on-v1"]["generation"]) == ("v1", 3)


def test_the_monitors_word_then_and_its_verdict_on_the_records_window(world: World) -> None:
    drift = world.ask(world.place("first"))[1]["drift"]
    assert (drift["known"]["state"], drift["known"]["window"]["end"]) == ("ok", EVENT_TIME)
    assert drift["known_at"] < drift["verdict_at"]
    assert (drift["verdict"]["state"], drift["verdict"]["episode"], drift["covers"]) == ("alarm", "e1", True)
    assert drift["verdict"]["streams"][0]["name"] == "wind"
    assert drift["alert"]["episode"] == "e1"


def test_a_dead_letter_is_told_with_its_reason_and_its_replay(world: World) -> None:
    code, told = world.ask("--partition", str(world.at["poison"][0]), "--offset", str(world.at["poison"][1]))
    assert (code, told["status"], told["prediction"], told["model"]) == (0, "dead_letter", None, None)
    letter = told["dead_letter"]
    assert (letter["reason"], letter["task"]) == ("InvalidRecord", "one")
    assert "wind" in letter["message"]
    assert letter["envelope"]["topic"] == world.topics.dead_letters
    assert letter["envelope"]["value"]["data"].encode() == world.values["poison"]
    assert (letter["replay"]["replayed_as"], letter["replay"]["replayed_at"]) == (
        f"{world.topics.records}/2/77", EVENT_TIME,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["keyless", "elsewhere", "committed"])
def test_a_record_without_a_key_or_not_where_its_key_leads_is_found(world: World, name: str) -> None:
    code, told = world.ask(world.place(name))
    assert (code, told["status"], told["identity"]["record_id"]) == (0, "scored", name)


def test_only_a_keys_partition_is_read_for_an_id_with_its_key(world: World) -> None:
    code, told = world.ask("--record-id", "again", "--key", "t-again")
    assert (code, told["status"], told["identity"]["record_id"]) == (0, "scored", "again")
    own = partition_of(b"t-again", PARTITIONS)
    read = [(one["topic"], one["partition"]) for one in told["searched"]]
    assert read[:2] == [(world.topics.records, own), (world.topics.predictions, own)]
    assert {partition for topic, partition in read if "drift" not in topic and "requests" not in topic} == {own}


def test_an_id_is_found_by_time_alone_and_others_of_it_are_named(world: World) -> None:
    code, told = world.ask("--record-id", "twice", "--since", "10m")
    assert (code, told["source"]["offset"]) == (0, world.at["twice"][1])
    assert told["others"] == [f"{PREFIX}{world.place('twice-later')}"]
    code, told = world.ask("--record-id", "twice", "--until", "5m", "--since", "10m")
    assert (code, told["status"]) == (1, "not_found")
    assert all(one["records"] == 0 for one in told["searched"])


def test_an_unscored_record_is_told_with_where_the_group_stands(world: World) -> None:
    partition, offset = world.at["unscored"]
    code, told = world.ask(world.place("unscored"))
    assert (code, told["status"], told["input"]["value"]["data"]) == (1, "not_scored_yet", record("unscored").decode())
    assert told["group"] == f"{PREFIX}scorer"
    assert told["committed"] is None or told["committed"] <= offset
    assert told["source"]["partition"] == partition


def test_an_expired_record_is_told_by_its_prediction_while_that_lasts(world: World) -> None:
    code, told = world.ask(world.place("outlived"))
    assert (code, told["status"], told["identity"]["record_id"]) == (0, "scored", "outlived")
    assert told["input"]["value"]["data"].encode() == world.values["outlived"]
    assert "retention" in told["notes"][0]
    code, told = world.ask(world.place("gone"))
    assert (code, told["status"]) == (1, "expired")


def test_what_is_no_record_is_told_apart(world: World) -> None:
    def status(partition: int, offset: int) -> tuple[int, str]:
        code, told = world.ask(f"{PREFIX}turbine-readings/{partition}/{offset}")
        return code, told["status"]

    assert status(*world.markers["committed"]) == (1, "no_record")
    assert status(*world.markers["aborted"]) == (1, "no_record")
    assert status(*world.at["aborted"]) == (1, "aborted")
    assert status(0, 10_000_000) == (1, "beyond_end")
    assert status(PARTITIONS, 0) == (1, "not_found")


def test_a_record_in_an_open_transaction_is_not_readable_yet(world: World) -> None:
    producer = Producer(
        {"bootstrap.servers": world.app.settings.bootstrap_servers, "transactional.id": f"{PREFIX}slow"}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    at: list[str] = []

    def delivered(_: Any, message: Any) -> None:
        at.append(f"{message.topic()}/{message.partition()}/{message.offset()}")

    producer.produce(world.topics.records, record("open"), b"t", partition=0, on_delivery=delivered)
    assert producer.flush(20) == 0
    try:
        code, told = world.ask(at[0])
        assert (code, told["status"]) == (1, "open_transaction")
    finally:
        producer.abort_transaction(20)


def test_the_table_has_every_section_and_no_control_characters(world: World) -> None:
    shown = world.call(world.place("first")).stdout
    for text in ("SCORED", "prediction", "label", "model", "drift", "trace context", "searched", "120.5", "the-first"):
        assert text in shown
    assert "v2 looked wrong" in shown
    assert " UTC" in shown
    assert "\x1b" not in shown.replace("\n", "")
    assert max(map(len, shown.splitlines())) <= 120


def test_wrong_calls_are_usage_errors(world: World) -> None:
    for arguments in ([], ["--record-id", "x"], ["--partition", "1"], ["--key", "k"], ["a/1/2", "--offset", "3"]):
        assert world.call(*arguments).exit_code == 2, arguments
