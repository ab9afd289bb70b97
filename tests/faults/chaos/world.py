"""Everything that runs: Kafka behind a proxy, Redis, a registry with versions, scorers, the load and the reader.

Decides how the run proceeds: nothing is timed, each fault waits for records to flow after the one before. What a fault
does is `faults`' work, what it all amounts to `outcome`'s.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import redis
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from pydantic import SecretStr
from tests.faults.chaos.clock import Stopwatch
from tests.faults.chaos.history import DEAD_LETTER, PREDICTION, Seen, Written
from tests.faults.chaos.load import Load
from tests.faults.chaos.plan import Fault, Plan
from tests.faults.chaos.proxy import Proxy
from tests.faults.chaos.readers import Reader, Taking
from tests.faults.chaos.scorers import Scorers
from tests.faults.chaos.servers import Kafka, Redis

from longshore.config import KafkaSettings, Settings
from longshore.kafka.admin import create_topics
from longshore.local.process import free_ports
from longshore.projector import Projector
from longshore.redis_store import ModelCache
from longshore.registry import Registry
from longshore.schema import districts
from longshore.topics import Topics

T = TypeVar("T")

PREFIX = "chaos."
STEP_S = 0.01
STUCK_S = 120.0
"""Longer than any documented recovery: a transaction's time-out, a session's and a broker's start in a row."""


class StuckError(Exception):
    """A condition did not come true: records no longer flow, or a process does not end."""


class World:
    """A context: brings everything up, and ends all of it."""

    def __init__(
        self, plan: Plan, folder: Path, *, models: Path, deadline_s: float, tree: Path | None, all_through_proxy: bool
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.clock = Stopwatch()
        self.number = 0
        self.injected: Counter[str] = Counter()
        self.recoveries: defaultdict[str, list[float]] = defaultdict(list)
        self.pending: list[tuple[int, str, Callable[[], None]]] = []
        """Before which fault something that lasts ends, what it is, and how it ends."""
        self.partitions = 4
        shutil.copytree(models, folder / "home")
        self.deadline_s = deadline_s
        self._tree = tree
        self._all_through_proxy = all_through_proxy
        self._events = (folder / "events.jsonl").open("w", encoding="utf-8")
        self._stack = ExitStack()
        self._shown = 0.0

    def __enter__(self) -> World:
        """Bring it up."""
        try:
            self._up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _up(self) -> None:
        upstream = free_ports(1)[0]
        self.proxy = Proxy(upstream, self.plan.seed)
        self._stack.callback(self.proxy.close)
        self.kafka = Kafka(self.folder / "kafka", behind_proxy=upstream, proxy_port=self.proxy.port)
        self.redis = Redis(self.folder / "redis")
        self._stack.callback(self.kafka.end)
        self._stack.callback(self.redis.stop, kill=True)
        proxied = f"127.0.0.1:{self.proxy.port}"
        self.settings = Settings(
            bootstrap_servers=self.kafka.bootstrap,
            redis_url=SecretStr(self.redis.url),
            topic_prefix=PREFIX,
            home=self.folder / "home",
            kafka=KafkaSettings(group_protocol=self.plan.protocol),  # type: ignore[arg-type]
        )
        for server in (self.redis, self.kafka):
            server.start()
        self.topics = Topics.of(PREFIX, districts())
        create_topics(self.settings, self.topics.specs(self.settings))
        self.outputs = {PREDICTION: self.topics.predictions, DEAD_LETTER: self.topics.dead_letters}
        self.admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap, "log_level": 0})
        self.cache = redis.Redis.from_url(self.redis.url)
        self.registry = Registry.open(self.settings.registry(), self.settings.model)
        self._projector = Projector(self.settings, self.registry, ModelCache(self.redis.url), None)
        self.written = Written()
        self.concurrent, self.later = Seen(self.written.keys), Seen(self.written.keys)
        self.later.versions = self.concurrent.versions
        ours = proxied if self._all_through_proxy else self.kafka.bootstrap
        self.load = Load(ours, self.topics.records, self.plan.counts.records, self.written)
        self.reader = self.reader_of(self.concurrent, ours)
        self.scorers = Scorers(self.folder / "scorers", self._variables(proxied), tree=self._tree)
        self._stack.callback(self.scorers.close)
        self._stack.callback(self.reader.halt)
        self._stack.callback(self.load.halt)
        self.reader.start()
        for number in range(self.plan.replicas):
            self.scorers.start(f"s{number}")
        self.load.start()

    def _variables(self, proxied: str) -> dict[str, str]:
        return {
            "LONGSHORE_BOOTSTRAP_SERVERS": proxied,
            "LONGSHORE_REDIS_URL": self.redis.url,
            "LONGSHORE_TOPIC_PREFIX": PREFIX,
            "LONGSHORE_HOME": str(self.settings.home),
            "LONGSHORE_KAFKA__GROUP_PROTOCOL": self.plan.protocol,
        }

    def reader_of(self, seen: Seen, bootstrap: str, *, to_end: bool = False) -> Reader:
        """A reader of both outputs that notes what it sees in `seen`."""
        taking = Taking(seen, records=self.topics.records, predictions=self.topics.predictions)
        return Reader(bootstrap, self.outputs.values(), self.partitions, taking, to_end=to_end)

    def until(self, condition: Callable[[], T], what: str, timeout_s: float = STUCK_S) -> T:
        """Wait for a truthy value, tending the scorers and telling the progress meanwhile.

        Raises:
            StuckError: it did not come.

        """
        waited = Stopwatch()
        while not (value := condition()):
            self.scorers.tend()
            self.show(what)
            if waited() > timeout_s or self.clock() > self.deadline_s:
                limit = f"within {timeout_s:.0f} s" if waited() > timeout_s else "before the run's end"
                raise StuckError(f"{what}: not {limit}")
            time.sleep(STEP_S)
        return value

    def flowing(self) -> Callable[[], bool]:
        """Whether, of every partition, a record acknowledged after now has come out."""
        marks = dict(self.written.ends)
        return lambda: all(self.concurrent.frontier.get(number, 0) > end for number, end in marks.items())

    def recovered(self, kind: str, flowing: Callable[[], bool], clock: Stopwatch) -> None:
        """Wait until records flow again and note how long after the fault that was."""
        self.until(flowing, f"records flow again after: {kind}")
        self.recoveries[kind].append(clock())

    def champion(self, dice: float) -> str:
        """Move the alias to another version, and tell Redis if it is there; the version."""
        present = self.registry.alias()
        assert present is not None
        others = [version for version in self.registry.versions() if version != present.version]
        chosen = random.Random(dice).choice(others)
        self.registry.move_alias(
            "champion", chosen, expected_generation=present.generation, trigger_id="", actor="chaos", reason="chaos"
        )
        self._projector.tick()
        return chosen

    def open_transactions(self) -> set[tuple[str, int, int]]:
        """Topic, partition and first offset of each transaction without an end."""
        places = [TopicPartition(topic, n) for topic in self.outputs.values() for n in range(self.partitions)]
        ends = []
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED):
            asked = self.admin.list_offsets(
                dict.fromkeys(places, OffsetSpec.latest()), isolation_level=level, request_timeout=10
            )
            ends.append({(place.topic, place.partition): future.result(10).offset for place, future in asked.items()})
        return {(*place, offset) for place, offset in ends[0].items() if offset < ends[1][place]}

    def note(self, event: str, **facts: Any) -> None:
        """A line for events.jsonl."""
        line = {"at_s": round(self.clock(), 3), "event": event, **facts}
        self._events.write(json.dumps(line) + "\n")
        self._events.flush()

    def begin(self, fault: Fault) -> None:
        """Before a fault: what an earlier one left behind and whose time is over ends, and records must flow."""
        self.over(lambda number, _: number <= fault.number)
        self.number = fault.number + 1
        count = len(self.plan.faults)
        share = self.plan.counts.records // (count + 1)
        self.load.quota = max(self.load.quota, share * (fault.number + 1))
        wanted = min(len(self.concurrent) + share // 2, self.load.quota)
        self.until(lambda: len(self.concurrent) >= wanted, f"progress before fault {fault.number + 1}")
        self.load.quota = share * (fault.number + 2)

    def over(self, which: Callable[[int, str], bool] = lambda *_: True) -> None:
        """End what lasts: all of it, or what is due or in the way."""
        ending = [item for item in self.pending if which(*item[:2])]
        self.pending = [item for item in self.pending if item not in ending]
        for *_, end in ending:
            end()

    def show(self, what: str) -> None:
        """The live line: each second where it is a terminal, else every ten."""
        live = sys.stderr.isatty()
        if self.clock() - self._shown < (1.0 if live else 10.0):
            return
        self._shown = self.clock()
        line = (
            f"{self.clock():5.0f} s  fault {self.number}/{len(self.plan.faults)}  written {len(self.written)}"
            f"  read {len(self.concurrent)}  scorers {len(self.scorers.living)}  {what}"
        )
        sys.stderr.write(f"\r\033[K{line[:150]}" if live else f"{line}\n")
        sys.stderr.flush()
