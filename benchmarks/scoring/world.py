"""What every contestant meets: one embedded Kafka and Redis, the input topics, one model, fresh output topics."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnx
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from pydantic import SecretStr

from longshore.config import Settings
from longshore.kafka.admin import end_offsets
from longshore.kafka.reader import read_all
from longshore.kafka.writer import Writer
from longshore.local.stack import LocalStack
from longshore.producers.encode import Clock, Encoder
from longshore.producers.generator import Districts
from longshore.registry import Registry
from longshore.schema import districts

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / ".bench"
SEED = 7
BLOCK = 20_000
TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
RUN_ID = "b-00"
"""Gives records of 276 bytes on average."""
TOPIC_CONFIG = {"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}


@dataclass(frozen=True, slots=True)
class Written:
    """What a committed reader found on an output topic: when the broker appended each record, and where."""

    times_ms: Any
    partitions: Any
    value_bytes: float

    def __len__(self) -> int:
        return len(self.times_ms)


@dataclass
class World:
    """Use it as a context: the servers live as long, and die with this process however it ends."""

    folder: Path
    trees: int = 200
    leaves: int = 8
    _loaded: dict[str, int] = field(default_factory=dict)
    _groups: int = 0

    def __enter__(self) -> World:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stack = LocalStack(BENCH / "stack", ephemeral=True)
        found = self._stack.__enter__()
        self.bootstrap, self.redis_url, self.pids = found.bootstrap_servers, found.redis_url, found.pids
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def settings(self, prefix: str) -> Settings:
        """Settings of a Longshore under `prefix`."""
        return Settings(
            bootstrap_servers=self.bootstrap,
            redis_url=SecretStr(self.redis_url),
            topic_prefix=prefix,
            home=self.folder / "home",
            registry_url=str(self.folder / "registry"),
        )

    def environment(self, prefix: str, **variables: str) -> dict[str, str]:
        """The same for a process, free of what the caller's shell says of Longshore."""
        machine = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
        return machine | {
            "LONGSHORE_BOOTSTRAP_SERVERS": self.bootstrap,
            "LONGSHORE_REDIS_URL": self.redis_url,
            "LONGSHORE_TOPIC_PREFIX": prefix,
            "LONGSHORE_REGISTRY_URL": str(self.folder / "registry"),
            "LONGSHORE_HOME": str(self.folder / "home"),
            "PYTHONPATH": str(ROOT),
            **variables,
        }

    def train(self) -> dict[str, Any]:
        """The one model: trained, registered and promoted by `longshore train`, its ONNX file given to everybody."""
        command = [
            sys.executable,
            "-m",
            "benchmarks.scoring.train",
            str(self.trees),
            str(self.leaves),
            str(self.folder),
        ]
        done = subprocess.run(
            command,
            env=self.environment("bench.", OMP_NUM_THREADS="1"),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"the model could not be trained:\n{done.stderr[-3_000:]}")
        registry = Registry.open(str(self.folder / "registry"), "default")
        alias = registry.alias()
        assert alias is not None, "the first model was not promoted"
        data = registry.read(alias.version, "model.onnx")
        self.model_file.write_bytes(data)
        return {"trees": count_trees(data), "leaves": self.leaves, "onnx_bytes": len(data), "version": alias.version}

    @property
    def model_file(self) -> Path:
        """The ONNX file."""
        return self.folder / "model.onnx"

    @property
    def sklearn_file(self) -> Path:
        """The same kind of model as scikit-learn classes only, for a peer without Longshore."""
        return self.folder / "peer.joblib"

    def new_group(self, name: str) -> str:
        """A consumer group nobody has used."""
        self._groups += 1
        return f"bench-{name}-{self._groups}"

    def load(self, prefix: str, records: int, *, partitions: int = 4, traced: bool = False) -> str:
        """The input topic under `prefix`, filled once; its name."""
        topic = f"{prefix}districts"
        if self._loaded.get(prefix) == records:
            return topic
        self.fresh_topic(topic, partitions)
        started = time.perf_counter()
        with Writer(self.settings(prefix)) as writer:
            for messages in record_blocks(records):
                if not traced:
                    writer.send_batch(topic, messages)
                    continue
                for message in messages:
                    writer.send(topic, message["key"], message["value"], [("traceparent", TRACEPARENT)])
        self._loaded[prefix] = records
        tell(f"  {topic}: {records:,} records, {partitions} partitions, {time.perf_counter() - started:.0f} s")
        return topic

    def fresh_topic(self, topic: str, partitions: int) -> None:
        """An empty topic whose records carry the time at which the broker appended them."""
        self.drop(topic)
        deadline = time.monotonic() + 30
        while True:
            new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=TOPIC_CONFIG)
            try:
                self.admin.create_topics([new])[topic].result(10)
            except KafkaException:  # the deletion is still under way
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                break
        while len(self.admin.list_topics(topic, timeout=10).topics[topic].partitions) < partitions:
            time.sleep(0.05)  # Kafka Streams gives up at once on a topic it cannot see yet

    def drop(self, *topics: str) -> None:
        """Delete topics that exist."""
        present = [topic for topic in topics if topic in self.admin.list_topics(timeout=10).topics]
        for future in (self.admin.delete_topics(present) if present else {}).values():
            future.result(10)

    def written(self, topic: str) -> Written:
        """Everything a `read_committed` reader finds."""
        times, partitions, size = [], [], 0
        for batch in read_all(self.settings("bench."), topic):
            times += [message.timestamp()[1] for message in batch]
            partitions += [message.partition() for message in batch]
            size += sum(len(message.value()) for message in batch)
        return Written(np.array(times), np.array(partitions), size / max(len(times), 1))

    @contextmanager
    def progress(self, group: str, topic: str) -> Iterator[Callable[[], int | None]]:
        """Tells how many input records up to the topic's present end the group has not committed; None: not known.

        A consumer that never joins asks: the admin client's own call ended this process with a segmentation fault
        when the group's coordinator had only just started (librdkafka 2.16).
        """
        ends = self.ends(topic)
        wanted = [TopicPartition(topic, number) for number in ends]
        config = {"bootstrap.servers": self.bootstrap, "group.id": group, "isolation.level": "read_uncommitted"}
        consumer = Consumer(config | {"enable.auto.commit": False, "log_level": 2})

        def behind() -> int | None:
            try:
                found = consumer.committed(wanted, timeout=10)
            except KafkaException:
                return None
            return sum(ends[p.partition] - max(p.offset, 0) for p in found)

        try:
            yield behind
        finally:
            consumer.close()

    def ends(self, topic: str) -> dict[int, int]:
        """The offset after the last of each partition, markers among them."""
        return end_offsets(self.settings(""), topic)

    def members(self, group: str) -> int:
        """Members that hold partitions."""
        found = self.admin.describe_consumer_groups([group])[group].result(10)
        return sum(bool(member.assignment and member.assignment.topic_partitions) for member in found.members)


def record_blocks(records: int) -> Iterator[list[dict[str, Any]]]:
    """The generator's records as `longshore produce` sends them."""
    source, schema = Districts(SEED), districts()
    encoder = Encoder(schema, RUN_ID, Clock(1_700_000_000_000, 10))
    for start in range(0, records, BLOCK):
        yield encoder.records(source.rows(start, min(BLOCK, records - start)))


def count_trees(data: bytes) -> int:
    """How many trees an ONNX model holds."""
    ensembles = [node for node in onnx.load_from_string(data).graph.node if node.op_type.startswith("TreeEnsemble")]
    numbers = [item.ints for node in ensembles for item in node.attribute if item.name == "nodes_treeids"]
    return sum(len(set(ids)) for ids in numbers)


def tell(line: str) -> None:
    """A line of progress."""
    print(line, flush=True)
