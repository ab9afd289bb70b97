"""From a request to retrain to every scorer on the new model, and what that costs the scorers: real processes.

    python -m benchmarks.training loop                       # 20,000 labelled rows
    python -m benchmarks.training loop --rows 5000 --backlog 1000000

A first champion is trained on few rows. Two scorers serve a live stream of `--rate` records a second, whose first
`--rows` records get labels; `longshore train --follow` waits. A third scorer, on topics of its own, works
off a backlog as fast as it can: its throughput before the request and from the request to the last swap is compared.
`to the answer` is the alias's move, `to all scorers` the first committed prediction by the new version in the last
partition of the live stream. Kafka, Redis and all processes share the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer
from pydantic import SecretStr

from longshore.config import Settings
from longshore.kafka.admin import create_topics, end_offsets
from longshore.kafka.reader import follow
from longshore.local.stack import LocalStack
from longshore.producers.generator import districts_frame
from longshore.records import RetrainRequest, Window
from longshore.registry import Registry
from longshore.schema import districts
from longshore.topics import Topics

SCHEMA = districts()
FIRST_ROWS = 1_500
"""The champion's."""
RISE = 1.3
"""Prices of the stream against those the champion learned: the challenger is better with certainty."""
UNDISTURBED_S = 10.0
LIMIT_S = 300.0
SEED = 3


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="labelled rows")
    parser.add_argument("--backlog", type=int, default=6_000_000, help="records the third scorer finds")
    parser.add_argument("--rate", type=int, default=500, help="records a second of the live stream")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, LocalStack(Path(folder) / "stack", ephemeral=True) as stack:
        settings = Settings(
            bootstrap_servers=stack.bootstrap_servers,
            redis_url=SecretStr(stack.redis_url),
            home=Path(folder),
            registry_url=str(Path(folder) / "registry"),
        )
        World(settings, args).run()


class World:
    """Topics, processes and what is seen of them."""

    def __init__(self, settings: Settings, args: argparse.Namespace) -> None:
        self._settings, self._args = settings, args
        self._topics = Topics.of(settings.topic_prefix, SCHEMA)
        self._busy = settings.model_copy(update={"topic_prefix": "busy."})
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stop = threading.Event()
        self._live = Live(settings, self._topics.records, args.rate)
        self._seen = Seen()

    def run(self) -> None:
        for settings in (self._settings, self._busy):
            create_topics(settings, Topics.of(settings.topic_prefix, SCHEMA).specs(settings))
        tell(f"training the champion on {FIRST_ROWS:,} rows")
        command = [*COMMAND, "train", "--rows", str(FIRST_ROWS)]
        subprocess.run(command, env=self._environment(self._settings), check=True, capture_output=True)
        tell(f"writing {self._args.rows:,} labelled records and a backlog of {self._args.backlog:,}")
        backlog = Topics.of("busy.", SCHEMA)
        write(self._busy, backlog.records, self._args.backlog)
        write(self._settings, self._topics.records, self._args.rows, labels=self._topics.labels)
        threading.Thread(target=self._read, daemon=True).start()
        try:
            for slot in range(2):
                self._start(self._settings, "score", "--instance", f"s{slot}")
            self._start(self._settings, "train", "--follow")
            wait(lambda: self._seen.count >= self._args.rows, "the labelled records scored")
            self._start(self._busy, "score", "--instance", "busy")
            wait(lambda: committed(self._busy, backlog.predictions) > 0, "the third scorer's first prediction")
            self._live.start()
            self._measure(lambda: committed(self._busy, backlog.predictions))
        finally:
            self._live.stop.set()
            self._stop.set()
            for process in self._processes:
                process.terminate()
            for process in self._processes:
                process.wait(30)

    def _measure(self, scored: Callable[[], int]) -> None:
        time.sleep(2.0)
        before, undisturbed = scored(), time.monotonic()
        time.sleep(UNDISTURBED_S)
        quiet = (scored() - before) / (time.monotonic() - undisturbed)
        registry = Registry.open(self._settings.registry(), self._settings.model)
        at_request, requested = scored(), time.monotonic()
        request(self._settings, self._topics.requests)
        wait(lambda: registry.outcome("loop") is not None or registry.alias().version == "v2", "an answer")  # type: ignore[union-attr]
        answered = time.monotonic() - requested
        outcome = registry.outcome("loop") or {"status": "promoted"}
        if outcome["status"] != "promoted":
            raise SystemExit(f"the challenger was not promoted: {outcome}")
        wait(lambda: len(self._seen.partitions_of("v2")) == 4, "every partition by the new version")
        swapped = time.monotonic() - requested
        left = self._args.backlog - scored()
        meanwhile = (scored() - at_request) / swapped
        print(f"\n{self._args.rows:,} labelled rows; {os.cpu_count()} cores")
        print(f"  request to answer         {answered:7.1f} s")
        print(f"  request to all scorers    {swapped:7.1f} s   target 60")
        print(f"  a busy scorer, before     {quiet:9,.0f} records/s")
        print(f"  … from request to swap    {meanwhile:9,.0f} records/s, {meanwhile / quiet:.2f} of it   target 0.5")
        if left <= 0:
            print("  (the backlog ran out: give a larger --backlog)")

    def _read(self) -> None:
        for batch in follow(self._settings, self._topics.predictions, stop=self._stop):
            for message in batch:
                self._seen.add(message.partition() or 0, msgspec.json.decode(message.value() or b"")["model_version"])

    def _start(self, settings: Settings, *arguments: str) -> None:
        log = (settings.home / f"{len(self._processes)}-{arguments[0]}.log").open("wb")
        environment = self._environment(settings)
        self._processes.append(subprocess.Popen([*COMMAND, *arguments], env=environment, stdout=log, stderr=log))

    def _environment(self, settings: Settings) -> dict[str, str]:
        assert settings.redis_url is not None
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
        return clean | {
            "LONGSHORE_BOOTSTRAP_SERVERS": str(settings.bootstrap_servers),
            "LONGSHORE_REDIS_URL": settings.redis_url.get_secret_value(),
            "LONGSHORE_REGISTRY_URL": settings.registry(),
            "LONGSHORE_HOME": str(settings.home),
            "LONGSHORE_TOPIC_PREFIX": settings.topic_prefix,
        }


COMMAND = [sys.executable, "-m", "longshore.cli.main"]


class Seen:
    """Which version scored in which partition, and how many records were scored."""

    def __init__(self) -> None:
        self.count = 0
        self._versions: dict[str, set[int]] = {}

    def add(self, partition: int, version: str) -> None:
        self._versions.setdefault(version, set()).add(partition)
        self.count += 1

    def partitions_of(self, version: str) -> set[int]:
        return self._versions.get(version, set())


class Live(threading.Thread):
    """Writes `rate` records a second until `stop`."""

    def __init__(self, settings: Settings, topic: str, rate: int) -> None:
        super().__init__(daemon=True)
        self._settings, self._topic, self._rate = settings, topic, rate
        self.stop = threading.Event()

    def run(self) -> None:
        producer = Producer({"bootstrap.servers": str(self._settings.bootstrap_servers), "linger.ms": 5})
        bodies, number = values(1_000, "live"), 0
        while not self.stop.wait(0.02):
            for _ in range(max(1, self._rate // 50)):
                producer.produce(self._topic, bodies[number % len(bodies)], b"d%d" % (number % 400))
                number += 1
            producer.poll(0)
        producer.flush(10)


def values(rows: int, run: str) -> list[bytes]:
    """Records of the generator, without their labels."""
    frame = districts_frame(rows, SEED)
    found: list[dict[str, Any]] = json.loads(frame[[SCHEMA.key, *SCHEMA.feature_names]].to_json(orient="records"))
    identity = ({SCHEMA.record_id: f"{run}-{i}", SCHEMA.event_time: i} for i in range(rows))
    return [msgspec.json.encode(one | row) for one, row in zip(identity, found, strict=True)]


def write(settings: Settings, topic: str, count: int, *, labels: str = "") -> None:
    """`count` records, the same ones again after 20,000; each with its label, where there is a topic for these."""
    producer = Producer({"bootstrap.servers": str(settings.bootstrap_servers), "linger.ms": 20, "batch.size": 500_000})
    distinct = min(count, 20_000) if not labels else count
    bodies, prices = values(distinct, "row"), (RISE * districts_frame(distinct, SEED)[SCHEMA.target]).tolist()
    for i in range(count):
        if i % 1_000 == 0:
            while len(producer) > 80_000:
                producer.poll(0.05)
        producer.produce(topic, bodies[i % distinct], b"d%d" % i)
        if labels:
            label = {"record_id": f"row-{i}", "event_time": i, "observed_at": i + 1, "label": prices[i]}
            producer.produce(labels, msgspec.json.encode(label | {SCHEMA.key: f"d{i}"}), b"d%d" % i)
    assert producer.flush(120) == 0


def request(settings: Settings, topic: str) -> None:
    producer = Producer({"bootstrap.servers": str(settings.bootstrap_servers)})
    asked = RetrainRequest("loop", "covariate", "v1", Window(0, 1, 1), [], "e")
    producer.produce(topic, msgspec.json.encode(asked), settings.model.encode())
    assert producer.flush(10) == 0


def committed(settings: Settings, topic: str) -> int:
    """How far the topic's partitions can be read by those who read what is committed."""
    return sum(end_offsets(settings, topic, committed=True).values())


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"no {what} within {LIMIT_S:.0f} s")
        time.sleep(0.05)


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
