"""Three real scorers under load, and a read_committed reader that notes when what arrived (for `recovery.py`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from longshore.config import Settings
from longshore.kafka.admin import create_topics
from longshore.kafka.reader import follow
from longshore.local.stack import Endpoints
from longshore.producers.generator import districts_frame
from longshore.schema import districts
from longshore.topics import Topics

SCORERS, RATE, KEYS = 3, 400, 300
PAUSE_S, QUIET_S, LIMIT_S, STUCK_S = 1.0, 3.0, 120.0, 0.7


class Load(threading.Thread):
    """Writes records steadily, over all partitions by key."""

    def __init__(self, kafka: str, topic: str) -> None:
        super().__init__(daemon=True)
        self._producer = Producer({"bootstrap.servers": kafka, "linger.ms": 2, "partitioner": "murmur2_random"})
        self._topic = topic
        self._rows = json.loads(districts_frame(1_000, 9).to_json(orient="records"))
        self.stop = threading.Event()

    def run(self) -> None:
        started, sent = time.monotonic(), 0
        while not self.stop.is_set():
            key = f"d{sent % KEYS}"
            row = self._rows[sent % len(self._rows)] | {"record_id": f"r{sent}", "district_id": key, "event_time": sent}
            self._producer.produce(self._topic, json.dumps(row), key)
            self._producer.poll(0)
            sent += 1
            self.stop.wait(max(0.0, started + sent / RATE - time.monotonic()))


class Arrivals(threading.Thread):
    """When a read_committed reader saw each prediction, by partition."""

    def __init__(self, settings: Settings, topic: str) -> None:
        super().__init__(daemon=True)
        self._settings, self._topic = settings, topic
        self.times: dict[int, list[float]] = {number: [] for number in range(settings.topics.partitions)}
        self.stop = threading.Event()

    def run(self) -> None:
        for batch in follow(self._settings, self._topic, stop=self.stop, timeout_s=0.05):
            now = time.monotonic()
            for number in {message.partition() for message in batch}:
                self.times[number].append(now)

    def gaps(self, since: float) -> list[list[tuple[float, float]]]:
        """Each partition's times without an arrival after `since`, as begin and end; the last one lasts until now."""
        now = time.monotonic()
        return [
            list(zip([since, *later], [*later, now], strict=True))
            for later in ([at for at in times if at > since] for times in self.times.values())
        ]

    def first(self, since: float) -> float:
        return max(gaps[0][1] for gaps in self.gaps(since)) - since

    def steady(self, since: float) -> float:
        ends = [[end for begin, end in gaps if end - begin >= PAUSE_S] for gaps in self.gaps(since)]
        return max([end for each in ends for end in each[-1:]], default=since) - since

    def pause(self, since: float) -> float:
        return max(end - begin for gaps in self.gaps(since) for begin, end in gaps)

    def settle(self, since: float) -> None:
        """Wait until every partition has gone on for `QUIET_S` without a pause."""

        def quiet() -> bool:
            now = time.monotonic()
            return now - since > QUIET_S and all(
                end - begin < PAUSE_S
                for gaps in self.gaps(since)
                for begin, end in gaps
                if end > max(since + 0.001, now - QUIET_S)
            )

        wait(quiet, "the reader goes on")


@dataclass(slots=True)
class Instance:
    process: subprocess.Popen[bytes]
    port: int
    started: float
    ready: float = 0.0


class Scorers:
    """Three scorers of one group under one prefix, their reader and their load."""

    def __init__(self, stack: Endpoints, folder: Path, protocol: str, variables: dict[str, str]) -> None:
        self.settings = Settings(bootstrap_servers=stack.bootstrap_servers, topic_prefix=f"{protocol}.")
        self._folder = folder
        topics = Topics.of(self.settings.topic_prefix, districts())
        create_topics(self.settings, topics.specs(self.settings))
        machine = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
        self._environment = machine | {
            "LONGSHORE_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
            "LONGSHORE_REDIS_URL": stack.redis_url,
            "LONGSHORE_TOPIC_PREFIX": self.settings.topic_prefix,
            "LONGSHORE_HOME": str(folder),
            "LONGSHORE_KAFKA__GROUP_PROTOCOL": protocol,
            **{f"LONGSHORE_{key}": value for key, value in variables.items()},
        }
        command = [sys.executable, "-m", "longshore.cli.main", "train", "--rows", "2000"]
        subprocess.run(command, env=self._environment, check=True, capture_output=True)
        self._admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
        self._outputs = [
            TopicPartition(topics.predictions, number) for number in range(self.settings.topics.partitions)
        ]
        self.reader = Arrivals(self.settings, topics.predictions)
        self.load = Load(stack.bootstrap_servers, topics.records)
        self.instances: list[Instance] = []

    def __enter__(self) -> Scorers:
        self.instances = [self.start(slot) for slot in range(SCORERS)]
        for instance in self.instances:
            self.wait_ready(instance)
        self.reader.start()
        self.load.start()
        self.reader.settle(time.monotonic())
        return self

    def __exit__(self, *_: object) -> None:
        self.load.stop.set()
        for instance in self.instances:
            instance.process.kill()
            instance.process.wait()
        self.reader.stop.set()
        self.reader.join()
        self.load.join()

    def start(self, slot: int) -> Instance:
        with (self._folder / f"s{slot}.log").open("ab") as log:
            log.write(f"-- {time.time()}\n".encode())
            log.flush()
            port = 20_000 + (os.getpid() * 8 + slot) % 10_000
            started = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "longshore.cli.main", "score", "--instance", f"s{slot}"],
                env=self._environment | {"LONGSHORE_SERVER__PORT": str(port)},
                stdout=log,
                stderr=log,
            )
        return Instance(process, port, started)

    def wait_ready(self, instance: Instance) -> None:
        def ready() -> bool:
            assert instance.process.poll() is None, f"a scorer ended: see {self._folder}"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{instance.port}/readyz", timeout=2):
                    return True
            except OSError:
                return False

        wait(ready, "a scorer is ready")
        instance.ready = time.monotonic()

    def open_transactions(self) -> set[tuple[int, int]]:
        def ends(level: IsolationLevel) -> dict[int, int]:
            futures = self._admin.list_offsets(
                dict.fromkeys(self._outputs, OffsetSpec.latest()), isolation_level=level, request_timeout=10
            )
            return {partition.partition: future.result(10).offset for partition, future in futures.items()}

        stable, end = ends(IsolationLevel.READ_COMMITTED), ends(IsolationLevel.READ_UNCOMMITTED)
        return {(number, offset) for number, offset in stable.items() if offset < end[number]}

    def kill_inside_a_transaction(self, victim: subprocess.Popen[bytes]) -> float:
        """SIGKILL at a moment when the broker holds a transaction of the victim; when it was last alive."""
        stopped = 0.0

        def stopped_inside() -> bool:
            nonlocal stopped
            stopped = time.monotonic()
            victim.send_signal(signal.SIGSTOP)
            found = self.open_transactions()
            while found and time.monotonic() < stopped + STUCK_S:  # the others' transactions end meanwhile
                time.sleep(0.05)
                found &= self.open_transactions()
            if found:
                return True
            victim.send_signal(signal.SIGCONT)
            time.sleep(0.013)
            return False

        wait(stopped_inside, "a transaction open")
        victim.kill()
        victim.wait()
        return stopped


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {LIMIT_S:.0f} s")
        time.sleep(0.01)
