"""Scorers killed with -9 inside their transactions, under load: every record comes out once, for every reader.

A victim is stopped first and killed only once the broker holds a transaction of it that does not end: SIGKILL then
falls between its first output and its commit, not somewhere near.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from tests.services import services
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.admin import create_topics
from longshore.kafka.reader import follow, read_all
from longshore.local.stack import Endpoints
from longshore.producers.generator import districts_frame
from longshore.schema import districts
from longshore.stream import Message
from longshore.topics import Topics

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.slow]

RATE, TURNS, RECORDS, KEYS = 1_200, 4, 20_000, 300
MARK = "__connect.errors."

Coordinates = tuple[int, int]


class Load(threading.Thread):
    """Writes records steadily, one in fifty malformed: `RECORDS` at least, and on until `last`; then it hurries.

    `keys` are the records that arrived, by their coordinates.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        super().__init__(daemon=True)
        self._producer = Producer({"bootstrap.servers": str(settings.bootstrap_servers), "linger.ms": 5})
        self._topic = topic
        self._rows = json.loads(districts_frame(1_000, 9).to_json(orient="records"))
        self.keys: dict[Coordinates, bytes] = {}
        self.sent = 0
        self.last = threading.Event()

    def run(self) -> None:
        started = time.monotonic()
        while self.sent < RECORDS or not self.last.is_set():
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
    """What a read_committed reader of predictions and dead letters saw, by source coordinates and in its order."""

    def __init__(self) -> None:
        self.seen: Counter[Coordinates] = Counter()
        self.by_key: defaultdict[tuple[str, bytes], list[Coordinates]] = defaultdict(list)

    def add(self, message: Message) -> None:
        headers = dict(message.headers() or [])
        if headers:
            at = int(headers[f"{MARK}partition"] or b""), int(headers[f"{MARK}offset"] or b"")
        else:
            source = json.loads(message.value() or b"")["source"]
            at = source["partition"], source["offset"]
        self.seen[at] += 1
        self.by_key[message.topic(), message.key() or b""].append(at)

    def check(self, keys: dict[Coordinates, bytes]) -> None:
        assert {at: count for at, count in self.seen.items() if count > 1} == {}, "records came out twice"
        assert set(self.seen) == set(keys), "records are missing, or from nowhere"
        for (topic, key), found in self.by_key.items():
            assert found == sorted(found), f"{topic}: key {key!r} is out of order"
            assert {keys[at] for at in found} == {key}


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
        """Whether one stays open: its owner has been stopped, the other scorer's end in milliseconds."""
        first = self.now()
        if not first:
            return False
        time.sleep(0.25)
        return bool(first.items() & self.now().items())


def kill_inside_a_transaction(victim: subprocess.Popen[bytes], transactions: OpenTransactions) -> None:
    def stopped_inside() -> bool:
        victim.send_signal(signal.SIGSTOP)
        if transactions.stuck():
            return True
        victim.send_signal(signal.SIGCONT)
        return False

    eventually(stopped_inside, 20, what="a transaction open")
    victim.kill()
    victim.wait()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_every_record_comes_out_once(settings: Settings, stack: Endpoints, tmp_path: Path, protocol: str) -> None:
    """Kills with the classic protocol; comings and goings with KIP-848, which moves single partitions (its session of
    45 s is the broker's, too long to wait for).
    """
    topics = Topics.of(settings.topic_prefix, districts())
    create_topics(settings, topics.specs(settings))
    outputs = [topics.predictions, topics.dead_letters]
    transactions = OpenTransactions(settings, topics.predictions)
    variables = {"LONGSHORE_KAFKA__GROUP_PROTOCOL": protocol}
    with (
        services(settings, stack, tmp_path, 7, **variables) as (run, _cache),
        concurrently(settings, outputs) as concurrent,
    ):
        run.once("train", "--rows", "2000")
        scorers = [run.start("score", "--instance", f"s{slot}") for slot in range(2)]
        load = Load(settings, topics.records)
        load.start()
        for turn in range(TURNS):
            seen = len(concurrent.seen)
            eventually(lambda seen=seen: len(concurrent.seen) > seen + 500, what=f"progress before turn {turn}")  # type: ignore[misc]
            slot = turn % 2
            if protocol == "classic":
                kill_inside_a_transaction(scorers[slot], transactions)
            else:
                scorers[slot].terminate()
                assert scorers[slot].wait(20) == 0, run.logs()
            scorers[slot] = run.start("score", "--instance", f"s{slot}")
        load.last.set()
        load.join(40)
        assert len(load.keys) == load.sent >= RECORDS
        eventually(lambda: len(concurrent.seen) >= load.sent, 40, what="every record")
        for scorer in scorers:
            scorer.terminate()
        assert [scorer.wait(20) for scorer in scorers] == [0, 0], run.logs()
        later = Reading()
        for topic in outputs:
            for batch in read_all(settings, topic):
                for message in batch:
                    later.add(message)
        later.check(load.keys)
        eventually(lambda: concurrent.seen.total() >= later.seen.total(), 5)
    concurrent.check(load.keys)
    assert transactions.now() == {}
