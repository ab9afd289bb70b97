"""The joining role as processes on a real Kafka (killed: tests/faults/label_join)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.drift_stream import SCHEMA, SCHEMA_TOML, profile_bytes, rows
from tests.join_world import label, prediction
from tests.services import COMMAND, Services
from tests.waiting import eventually

from longshore.config import MonitorSettings, Settings
from longshore.kafka.admin import create_topics
from longshore.kafka.reader import read_all
from longshore.kafka.writer import Writer
from longshore.monitor.groups import GROUP_TOTALS
from longshore.monitor.messages import Errors, decode, unpack_counts
from longshore.registry import Registry
from longshore.topics import Topics, TopicSpec

pytestmark = pytest.mark.integration

COUNT = 400


@pytest.fixture
def running(settings: Settings, tmp_path: Path) -> Iterator[Services]:
    """A registry that holds v1, and an environment for joiners that relay labels and use KIP-848."""
    (tmp_path / "ships.toml").write_text(SCHEMA_TOML)
    registry = Registry.open(settings.registry(), settings.model)
    registry.register({"model.onnx": b"unused", "profile": profile_bytes()}, {"model": settings.model})
    variables = {
        "LONGSHORE_SCHEMA_FILE": str(tmp_path / "ships.toml"),
        "LONGSHORE_MONITOR__COMMIT_INTERVAL_S": "0.2",
        "LONGSHORE_MONITOR__RELAY_LABELS": "true",
        "LONGSHORE_KAFKA__GROUP_PROTOCOL": "consumer",
        "LONGSHORE_MONITOR__FAIRNESS__GROUPS": '{"cargo": {"field": "cargo", "cuts": [2.5]}}',
    }
    services = Services(settings, tmp_path, variables)
    yield services
    services.kill()


def joined(settings: Settings, topics: Topics) -> list[Errors]:
    found = [decode(message.value()) for batch in read_all(settings, topics.panes) for message in batch]
    return [one for one in found if isinstance(one, Errors)]


def test_labels_under_another_key_are_relayed_and_joined_by_two_members(settings: Settings, running: Services) -> None:
    """Their partitions of both topics go together; each label is joined once, with its group, through a restart."""
    settings = settings.model_copy(update={"monitor": MonitorSettings(relay_labels=True)})
    topics = Topics.of(settings.topic_prefix, SCHEMA)
    create_topics(settings, topics.specs(settings))
    frame = list(rows(COUNT, 5).itertuples(index=False))
    ships = [f"ship-{i % 37}" for i in range(COUNT)]

    def start() -> list[subprocess.Popen[bytes]]:
        members = [running.start("monitor", "--role", "join", "--instance", f"join-{i}") for i in range(2)]
        for member in members:
            running.wait_started(member)
        return members

    def write(part: range) -> None:
        with Writer(settings) as writer:
            for i in part:
                value = prediction(f"r{i}", i * 100, frame[i], ship=ships[i])
                writer.send(topics.predictions, ships[i].encode(), value)
                writer.send(topics.labels, f"r{i}".encode(), label(f"r{i}", i * 100, i * 100 + 50, 1.0, ships[i]))

    def rows_joined() -> int:
        return sum(delta.n for one in joined(settings, topics) for delta in one.panes)

    joiners = start()
    write(range(COUNT // 2))
    eventually(lambda: rows_joined() == COUNT // 2, 60, what="the first half joined")
    for process in joiners:
        process.terminate()
    assert [process.wait(30) for process in joiners] == [0, 0], running.logs()
    start()
    write(range(COUNT // 2, COUNT))
    eventually(lambda: rows_joined() == COUNT, 60, what="the second half joined")
    told = joined(settings, topics)
    assert len({one.partition for one in told if one.panes}) > 1
    by_group = sum(unpack_counts(delta.groups).reshape(-1, GROUP_TOTALS)[:, 0] for one in told for delta in one.panes)
    heavy = sum(row.cargo > 2.5 for row in frame)
    assert by_group.tolist() == [COUNT - heavy, heavy, COUNT]
    assert not any(one.duplicates or one.conflicting or one.late or one.unmatched for one in told)


def test_topics_that_cannot_be_joined_end_the_role_and_say_why(
    settings: Settings, running: Services, tmp_path: Path
) -> None:
    topics = Topics.of(settings.topic_prefix, SCHEMA)
    create_topics(settings, [TopicSpec(topics.labels, 3, {})])
    command = [*COMMAND, "monitor", "--role", "join", "--instance", "join"]
    environment = running.environment | {"LONGSHORE_MONITOR__RELAY_LABELS": "false"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"{topics.predictions} has 4 partitions and {topics.labels} has 3" in done.stderr.decode()
