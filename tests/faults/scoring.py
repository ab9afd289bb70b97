"""Scorers under load, from outside: who writes, what a read_committed reader sees, which transaction is open."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.reader import follow, read_all
from longshore.producers.generator import districts_frame
from longshore.stream import Message

RATE, KEYS = 1_200, 300
STUCK_S = 1.5
MARK = "__connect.errors."

Coordinates = tuple[int, int]


class Load(threading.Thread):
    """Writes records steadily, one in fifty malformed: `at_least` so many, and on until `last`; then it hurries.

    `keys` are the records that arrived, by their coordinates.
    """

    def __init__(self, settings: Settings, topic: str, at_least: int = 0) -> None:
        super().__init__(daemon=True)
        self._at_least = at_least
        self._producer = Producer({"bootstrap.servers": str(settings.bootstrap_servers), "linger.ms": 5})
        self._topic = topic
        self._rows = json.loads(districts_frame(1_000, 9).to_json(orient="records"))
        self.keys: dict[Coordinates, bytes] = {}
        self.sent = 0
        self.last = threading.Event()

    def run(self) -> None:
        started = time.monotonic()
        while self.sent < self._at_least or not self.last.is_set():
            self._send(self.sent)
            self.sent += 1
            self._producer.poll(0)
            ahead = self.sent / RATE - (time.monotonic() - started)
            if ahead > 0.01:
                self.last.wait(ahead)
        assert self._producer.flush(30) == 0

    def _send(self, i: int) -> None:
        key = f"d{i % KEYS}"
        body = self._rows[i % len(self._rows)] | {"record_id": f"r{i}", "district_id": key, "event_time": i}
        value = json.dumps(body).encode()
        self._producer.produce(
            self._topic, value[:-1] if i % 50 == 0 else value, key.encode(), on_delivery=self._delivered
        )

    def _delivered(self, error: object, message: Message) -> None:
        assert error is None, error
        self.keys[message.partition(), message.offset()] = message.key() or b""


class Reading:
    """What a read_committed reader of predictions and dead letters saw, by source coordinates and in its order.

    `arrived`: when predictions came, by partition.
    """

    def __init__(self) -> None:
        self.arrived: defaultdict[int, list[float]] = defaultdict(list)
        self.seen: Counter[Coordinates] = Counter()
        self.by_key: defaultdict[tuple[str, bytes], list[Coordinates]] = defaultdict(list)

    def add(self, message: Message) -> None:
        headers = dict(message.headers() or [])
        if headers:
            at = int(headers[f"{MARK}partition"] or b""), int(headers[f"{MARK}offset"] or b"")
        else:
            source = json.loads(message.value() or b"")["source"]
            at = source["partition"], source["offset"]
            self.arrived[message.partition()].append(time.monotonic())
        self.seen[at] += 1
        self.by_key[message.topic(), message.key() or b""].append(at)

    def check(self, keys: dict[Coordinates, bytes]) -> None:
        assert {at: count for at, count in self.seen.items() if count > 1} == {}, "records came out twice"
        assert set(self.seen) == set(keys), "records are missing, or from nowhere"
        for (topic, key), found in self.by_key.items():
            assert found == sorted(found), f"{topic}: key {key!r} is out of order"
            assert {keys[at] for at in found} == {key}


def read_later(settings: Settings, topics: list[str]) -> Reading:
    """What a reader sees that comes when all is over."""
    reading = Reading()
    for topic in topics:
        for batch in read_all(settings, topic):
            for message in batch:
                reading.add(message)
    return reading


@contextmanager
def concurrently(settings: Settings, topics: list[str]) -> Iterator[Reading]:
    """A reader of each topic, from the start and all along."""
    reading, stop, lock = Reading(), threading.Event(), threading.Lock()

    def read(topic: str) -> None:
        for batch in follow(settings, topic, stop=stop):
            with lock:
                for message in batch:
                    reading.add(message)

    threads = [threading.Thread(target=read, args=(topic,), daemon=True) for topic in topics]
    for thread in threads:
        thread.start()
    try:
        yield reading
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)


class OpenTransactions:
    """Which partitions of a topic hold a transaction without an end."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": str(settings.bootstrap_servers)})
        self._partitions = [TopicPartition(topic, number) for number in range(settings.topics.partitions)]

    def _ends(self, level: IsolationLevel) -> dict[int, int]:
        futures = self._admin.list_offsets(
            dict.fromkeys(self._partitions, OffsetSpec.latest()), isolation_level=level, request_timeout=10
        )
        return {partition.partition: future.result(10).offset for partition, future in futures.items()}

    def now(self) -> dict[int, int]:
        """Partition to the first offset of the transaction that is open there."""
        stable, end = self._ends(IsolationLevel.READ_COMMITTED), self._ends(IsolationLevel.READ_UNCOMMITTED)
        return {number: offset for number, offset in stable.items() if offset < end[number]}

    def stuck(self) -> bool:
        """Whether one stays open: its owner has been stopped, the others' end in milliseconds (more if busy)."""
        deadline = time.monotonic() + STUCK_S
        found = self.now().items()
        while found and time.monotonic() < deadline:
            time.sleep(0.1)
            found = found & self.now().items()
        return bool(found)


def stop_inside_a_transaction(victim: subprocess.Popen[bytes], transactions: OpenTransactions) -> None:
    """SIGSTOP between the first output and the commit."""

    def stopped_inside() -> bool:
        victim.send_signal(signal.SIGSTOP)
        if transactions.stuck():
            return True
        victim.send_signal(signal.SIGCONT)
        return False

    eventually(stopped_inside, 40, what="a transaction open")


def kill_inside_a_transaction(victim: subprocess.Popen[bytes], transactions: OpenTransactions) -> None:
    """SIGKILL there."""
    stop_inside_a_transaction(victim, transactions)
    victim.kill()
    victim.wait()
