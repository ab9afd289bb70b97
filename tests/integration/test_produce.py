"""`longshore produce` as a process against a real Kafka: counts, keys, partitions, times, and its end on SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from longshore.codec import Codec
from longshore.config import Settings
from longshore.kafka.admin import create_topics, partition_count
from longshore.kafka.reader import follow, read_all
from longshore.schema import districts
from longshore.stream import Message
from longshore.topics import Topics

pytestmark = pytest.mark.integration

COMMAND = [sys.executable, "-m", "longshore.cli.main", "produce", "--output", "json"]


def environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        "LONGSHORE_BOOTSTRAP_SERVERS": str(settings.bootstrap_servers),
        "LONGSHORE_TOPIC_PREFIX": settings.topic_prefix,
        "LONGSHORE_HOME": str(settings.home),
        "XDG_CACHE_HOME": str(settings.home / "cache"),
    }


def produce(settings: Settings, *arguments: str) -> dict[str, Any]:
    ended = subprocess.run(
        [*COMMAND, *arguments], env=environment(settings), capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    summary: dict[str, Any] = json.loads(ended.stdout)
    return summary


def messages(settings: Settings, topic: str) -> list[Message]:
    return [message for batch in read_all(settings, topic) for message in batch]


def texts(found: list[Message]) -> list[dict[str, Any]]:
    return [json.loads(message.value() or b"") for message in found]


def murmur2(data: bytes) -> int:
    """Kafka's partitioning hash, written down once more from its Java definition (Utils.murmur2)."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_murmur2_here_is_kafkas() -> None:
    assert murmur2(b"21") == -973932308 & 0xFFFFFFFF
    assert murmur2(b"foobar") == -790332482 & 0xFFFFFFFF


def test_generated_records_and_labels_arrive_as_counted_where_java_clients_put_them(settings: Settings) -> None:
    topics = Topics.of(settings.topic_prefix, districts())

    summary = produce(settings, "--count", "5000", "--label-missing", "0.1", "--malformed", "0.01", "--seed", "4")

    records, labels = messages(settings, topics.records), messages(settings, topics.labels)
    assert summary["produced"] == len(records) == 5_000
    assert summary["labels"] == len(labels)
    assert (summary["labels_outstanding"], summary["interrupted"]) == (0, False)
    decoded = Codec(districts()).decode([record.value() for record in records])
    assert len(decoded.rejects) == summary["malformed"] > 0
    assert len(set(decoded.columns.record_ids)) == 5_000 - summary["malformed"]
    partitions = partition_count(settings, topics.records)
    assert {record.partition() for record in records} == set(range(partitions))
    for message in (*records, *labels):
        assert message.partition() == (murmur2(message.key() or b"") & 0x7FFFFFFF) % partitions
    assert {label["record_id"] for label in texts(labels)} <= set(decoded.columns.record_ids)
    assert all(label["observed_at"] - label["event_time"] == 5_000 for label in texts(labels))


def test_a_file_is_replayed_in_order_within_a_partition_and_keeps_its_ids_in_each_loop(
    settings: Settings, tmp_path: Path
) -> None:
    schema, data = tmp_path / "engines.toml", tmp_path / "engines.csv"
    schema.write_text(
        'name = "engines"\nkey = "engine"\ntarget = "wear"\n'
        '[[fields]]\nname = "speed"\nkind = "numeric"\n[[fields]]\nname = "fuel"\nkind = "nominal"\n'
    )
    data.write_text("speed,fuel,wear\n" + "".join(f"{i},gas,{i * 2}\n" for i in range(100)))
    arguments = ["--data", str(data), "--loop", "--count", "250", "--run-id", "r", "--event-start", "1700000000000"]

    ended = subprocess.run(
        [*COMMAND, *arguments, "--event-step-ms", "4"],
        env=environment(settings) | {"LONGSHORE_SCHEMA_FILE": str(schema)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert json.loads(ended.stdout)["produced"] == 250
    records = messages(settings, f"{settings.topic_prefix}engines")
    found = sorted(texts(records), key=lambda record: record["event_time"])
    assert [record["record_id"] for record in found] == [f"r-{i}" for i in range(250)]
    assert [record["engine"] for record in found] == [str(i % 100) for i in range(250)]
    assert [record["event_time"] for record in found] == [1_700_000_000_000 + 4 * i for i in range(250)]
    assert found[150] == {**found[50], "record_id": "r-150", "event_time": found[150]["event_time"]}
    for partition in {record.partition() for record in records}:
        times = [
            json.loads(record.value() or b"")["event_time"] for record in records if record.partition() == partition
        ]
        assert times == sorted(times)
    labels = texts(messages(settings, f"{settings.topic_prefix}labels"))
    assert Counter(label["label"] == 2.0 * int(label["engine"]) for label in labels) == {True: len(labels)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_flushes_and_ends_with_a_true_summary(settings: Settings, number: signal.Signals) -> None:
    topics = Topics.of(settings.topic_prefix, districts())
    create_topics(settings, topics.specs(settings))
    process = subprocess.Popen(
        [*COMMAND, "--rate", "2000"],
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stop = threading.Event()
    try:
        assert process.stderr is not None
        page = json.loads(next(line for line in process.stderr if "service started" in line))["metrics"]
        seen = 0
        for batch in follow(settings, topics.records, stop=stop):
            seen += len(batch)
            if seen >= 500:
                break
        with urllib.request.urlopen(page, timeout=5) as metrics:  # noqa: S310
            assert b"longshore_records_produced_total" in metrics.read()
        process.send_signal(number)
        out, _err = process.communicate(timeout=30)
    finally:
        stop.set()
        process.kill()
        process.wait()

    assert process.returncode == 0
    summary = json.loads(out)
    assert summary["interrupted"]
    assert summary["produced"] == len(messages(settings, topics.records)) >= 500
    assert summary["labels"] == len(messages(settings, topics.labels))


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--scenario", "warming"], 2, "scenario 'warming' is unknown"),
        (["--scenario", "migration:to=MARS"], 2, "no row has ocean_proximity = 'MARS'"),
        (["--data", "none.csv"], 1, "none.csv: No such file"),
        (["--data", "x.csv", "--generated"], 2, "exclude each other"),
        (["--label-delay", "soon"], 2, "--label-delay 'soon' is no delay"),
        (["--event-start", "soon"], 2, "--event-start 'soon' is not a time"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_sent(
    settings: Settings, arguments: list[str], code: int, expected: str
) -> None:
    unreachable = environment(settings) | {"LONGSHORE_BOOTSTRAP_SERVERS": "127.0.0.1:1"}  # it must not come that far

    ended = subprocess.run(
        [*COMMAND, *arguments], env=unreachable, capture_output=True, text=True, timeout=60, check=False
    )

    assert (ended.returncode, ended.stdout) == (code, "")
    assert len(ended.stderr.splitlines()) == 1
    assert expected in ended.stderr
