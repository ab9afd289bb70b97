"""Both monitor roles as processes on a real Kafka: verdicts as of one batch (killed: tests/faults/monitor_chaos)."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from confluent_kafka import Producer
from tests.drift_stream import (
    SCHEMA,
    SCHEMA_TOML,
    STEP_MS,
    counter,
    decider,
    model_event,
    predictions,
    profile_bytes,
    rows,
)
from tests.waiting import eventually

from longshore.kafka.admin import create_topics, existing_topics
from longshore.kafka.reader import read_all
from longshore.kafka.writer import Writer
from longshore.monitor.decide import decide_all
from longshore.monitor.messages import Counted, LabelsSeen, decode, encode
from longshore.monitor.panes import Tally
from longshore.monitor.service_count import watermarks_from_panes
from longshore.records import DriftEvent, ModelEvent, ModelEventKind
from longshore.registry import Registry
from longshore.topics import Topics

pytestmark = pytest.mark.integration

SHIFT_AT, TOTAL = 1_500, 4_200


@pytest.fixture
def world(settings, tmp_path):
    """Topics, a schema file and a registry that holds v1; the environment for child processes."""
    schema_file = tmp_path / "ships.toml"
    schema_file.write_text(SCHEMA_TOML)
    topics = Topics.of(settings.topic_prefix, SCHEMA)
    create_topics(settings, topics.specs(settings))
    registry = Registry.open(settings.registry(), settings.model)
    version = registry.register({"model.onnx": b"unused", "profile": profile_bytes()}, {"model": settings.model})
    assert version == "v1"
    environment = os.environ | {
        "LONGSHORE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "LONGSHORE_TOPIC_PREFIX": settings.topic_prefix,
        "LONGSHORE_REGISTRY_URL": settings.registry(),
        "LONGSHORE_HOME": str(tmp_path),
        "LONGSHORE_SCHEMA_FILE": str(schema_file),
        "LONGSHORE_MONITOR__PANE_S": "1",
        "LONGSHORE_MONITOR__ALLOWED_LATENESS_S": "1",
        "LONGSHORE_MONITOR__WINDOW_RECORDS": "500",
        "LONGSHORE_MONITOR__MIN_FRESH_LABELS": "300",
        "LONGSHORE_MONITOR__COOLDOWN_WINDOWS": "2",
        "LONGSHORE_MONITOR__COMMIT_INTERVAL_S": "0.2",
    }
    return settings, topics, environment


@pytest.fixture
def spawn(world, tmp_path):
    """Starts `longshore monitor` processes; whatever still runs at the end is killed."""
    started = []

    def start(role):
        log = (tmp_path / f"{role}-{len(started)}.log").open("wb")
        command = [sys.executable, "-m", "longshore.cli.main", "monitor", "--role", role, "--instance", f"test-{role}"]
        started.append(subprocess.Popen(command, env=world[2], stdout=log, stderr=log, cwd=tmp_path))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def dealt():
    calm, moved = rows(SHIFT_AT, 31), rows(TOTAL - SHIFT_AT, 32, factor=1.4)
    calm.loc[500:999, "flag"] = calm.loc[500:999, "flag"].replace("PA", "Pa")
    values = predictions(calm) + predictions(moved, first_ms=SHIFT_AT * STEP_MS)
    return [(i % 4, value) for i, value in enumerate(values)]


def expected_events():
    messages = [model_event("promoted")]
    for partition in range(4):
        values = [value for number, value in dealt() if number == partition]
        tally = Tally()
        counter().count(tally, values, list(range(len(values))))
        messages.append(encode(tally.message(partition, 4)))
    messages.append(encode(LabelsSeen(0, [(20, 1_000)])))
    return decide_all(decider(), enumerate(messages)).events


def told(events):
    final = [event for event in events if event.kind == "verdict" and not event.provisional]
    return [(e.window, e.window_index, e.p_value, e.streams) for e in final]


def quality(events):
    return [(e.kind, e.episode, e.window, e.detail) for e in events if e.kind.startswith("quality")]


def read_events(settings, topic):
    return [msgspec.json.decode(message.value(), type=DriftEvent) for message in messages_on(settings, topic)]


def messages_on(settings, topic):
    return [message for batch in read_all(settings, topic) for message in batch]


def counted_records(settings, topic):
    counts = [message for m in messages_on(settings, topic) if isinstance(message := decode(m.value()), Counted)]
    return sum(delta.records for message in counts for delta in message.panes)


def test_two_processes_tell_what_one_batch_would(world, spawn):
    settings, topics, _ = world
    batch = expected_events()
    expected = told(batch)
    processes = {role: spawn(role) for role in ("count", "decide")}
    promoted = ModelEvent(ModelEventKind.PROMOTED, settings.model, "v1", 1, "", "t", "because", 0)
    with Writer(settings) as writer:
        writer.send(topics.models, settings.model.encode(), msgspec.json.encode(promoted))
        records = dealt()
        third = len(records) // 3
        for part, start in enumerate(range(0, len(records), third)):
            before = counted_records(settings, topics.panes)
            for partition, value in records[start : start + third]:
                writer.send(topics.predictions, b"s", value, partition=partition)
            writer.flush()
            eventually(lambda n=before: counted_records(settings, topics.panes) > n, what=f"counts of part {part}")
        for i in range(400):
            label = {"record_id": f"r{i}", "event_time": 30_000, "observed_at": 30_000, "label": 1.0}
            writer.send(topics.labels, b"s", msgspec.json.encode(label))
        writer.flush()
    events = eventually(
        lambda: (e := read_events(settings, topics.events)) and len(told(e)) >= len(expected) and e,
        60,
        what="all verdicts",
    )
    assert told(events) == expected
    eventually(lambda: messages_on(settings, topics.requests), what="the request")
    events = read_events(settings, topics.events)
    assert [event.kind for event in events].count("alert") == 1
    assert quality(events) == quality(batch)
    assert [kind for kind, *_ in quality(events)] == ["quality", "quality_over"]
    looks = [(event.window_index, event.detail["revision"]) for event in events if event.provisional]
    assert looks == sorted(set(looks)), "a revision is told once, and in order"
    first = next(at for at, event in enumerate(events) if event.provisional)
    index = events[first].window_index
    assert index in [event.window_index for event in events[first:] if event.status == "final"], "it is final later"
    assert len(messages_on(settings, topics.requests)) == 1
    assert counted_records(settings, topics.panes) == TOTAL
    for process in processes.values():
        process.terminate()
        assert process.wait(20) == 0


def test_watermarks_wait_for_counts_that_are_written_and_not_committed_yet(world):
    """The group's offsets may show a predecessor's commit before the counts of the same transaction can be read."""
    settings, topics, _ = world
    kafka = {
        "bootstrap.servers": str(settings.bootstrap_servers),
        "transactional.id": f"{settings.topic_prefix}count-x",
    }
    producer = Producer(kafka)
    producer.init_transactions(30)
    tally = Tally(watermark=5_000, first_offset=0, last_offset=9)
    producer.begin_transaction()
    producer.produce(topics.panes, encode(tally.message(2, 4)))
    producer.flush(30)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(watermarks_from_panes(settings, topics.panes), {2, 3})
        with pytest.raises(TimeoutError):
            asked.result(timeout=1)
        producer.commit_transaction(30)
        assert asked.result(timeout=30) == {2: 5_000}


def test_measured_kpis_are_told_once_though_both_roles_are_killed(world, spawn):
    settings, topics, environment = world
    environment["LONGSHORE_MONITOR__KPIS"] = '{"deals": {"at_least": 5, "windows": 2}}'

    def kpis():
        return [(e.kind, e.detail["since"]) for e in read_events(settings, topics.events) if e.cause == "kpi"]

    with Writer(settings) as writer:
        for values, expected in (([9, 1, "no value", 1], [("kpi", 3)]), ([1, 9, 9], [("kpi", 3), ("kpi_over", 12)])):
            processes = [spawn(role) for role in ("count", "decide")]
            eventually(lambda: topics.kpis in existing_topics(settings), 60, what="the topic")
            first = 10 * (len(expected) - 1)
            for at, value in enumerate(values, first):
                writer.send(topics.kpis, None, msgspec.json.encode({"name": "deals", "value": value, "time": at}))
            writer.flush()
            eventually(lambda wanted=expected: kpis() == wanted, 60, what=f"{expected}")
            for process in processes:
                process.kill()
                process.wait()
