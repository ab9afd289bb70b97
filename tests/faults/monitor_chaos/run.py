"""A run: the stream flows, faults fall at places in it, each only after the monitors have recovered from the last."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from tests.drift_stream import LATENESS_MS, PANE_MS, SCHEMA, SCHEMA_TOML, profile_bytes
from tests.faults.chaos.readers import Reader
from tests.faults.monitor_chaos.members import PATIENCE_S, Members
from tests.faults.monitor_chaos.seen import Seen
from tests.faults.monitor_chaos.story import LABELS, PARTITIONS, Story
from tests.faults.scoring import OpenTransactions
from tests.services import Services
from tests.waiting import eventually

from longshore.config import Settings, TopicsSettings
from longshore.kafka.admin import create_topics
from longshore.kafka.writer import Writer
from longshore.records import ModelEvent, ModelEventKind
from longshore.registry import Registry
from longshore.topics import Topics

BACKLOG, AT_ONCE = 150, 20
"""Records written beyond what is counted, so that it flows as long as the counters do; records written at once."""

RESERVE, FAULTY_SHARE = 300, 0.75
"""Records that each step of a fault may take, by which its effect is seen; the part of the stream with the faults."""

KILLS = ("kill", "kill", "kill in transaction")
OTHERS = (("pause", "count"), ("restart", "count"), ("pause", "decide"), ("twin", "count"), ("restart", "decide"))
"""One for every fifth kill: stopped beyond the session; ended and started; stopped and its name taken."""

VARIABLES = {
    "LONGSHORE_MONITOR__PANE_S": str(PANE_MS / 1_000),
    "LONGSHORE_MONITOR__ALLOWED_LATENESS_S": str(LATENESS_MS / 1_000),
    "LONGSHORE_MONITOR__WINDOW_RECORDS": "500",
    "LONGSHORE_MONITOR__MIN_FRESH_LABELS": "300",
    "LONGSHORE_MONITOR__COOLDOWN_WINDOWS": "2",
    "LONGSHORE_MONITOR__COMMIT_INTERVAL_S": "0.2",
    "LONGSHORE_MONITOR__IDLE_AFTER_S": "1",
    "LONGSHORE_KAFKA__SESSION_TIMEOUT_MS": "2000",
}

Say = Callable[[str], None]


def planned(kills: int) -> list[tuple[str, str]]:
    """The faults in order, as (kind, role): kills of either role in turn, with the others between them."""
    faults = []
    for number in range(kills):
        faults.append((KILLS[number // 2 % len(KILLS)], ("count", "decide")[number % 2]))
        if number % 5 == 2:
            faults.append(OTHERS[number // 5 % len(OTHERS)])
    return faults


class Feeder(threading.Thread):
    """Writes the story up to `allowed`, and never much further than the counters have come.

    All labels are counted before the drift begins: then the request goes with the alert, and every event can be
    compared to the byte.
    """

    def __init__(self, settings: Settings, topics: Topics, story: Story, seen: Seen) -> None:
        super().__init__(daemon=True)
        self._settings, self._topics, self._story, self._seen = settings, topics, story, seen
        self.allowed = self.sent = 0
        self.backlog = BACKLOG
        self.halt = threading.Event()

    def run(self) -> None:
        """Write until all is written."""
        records, labels = self._story.records, self._story.labels
        before_drift = self._story.shift_at * 9 // 10
        labelled = 0
        with Writer(self._settings) as writer:
            while self.sent < len(records) and not self.halt.is_set():
                limit = min(self.allowed, self._seen.counted.total() + self.backlog)
                if self._seen.labels.total() < LABELS:
                    limit = min(limit, before_drift)
                for partition, value in records[self.sent : min(self.sent + AT_ONCE, limit)]:
                    writer.send(self._topics.predictions, b"s", value, partition=partition)
                    self.sent += 1
                for label in labels[labelled : LABELS * self.sent // before_drift]:
                    writer.send(self._topics.labels, b"s", label, partition=labelled % PARTITIONS)
                    labelled += 1
                writer.flush()
                if self.sent >= limit:
                    self.halt.wait(0.005)


@dataclass
class World:
    """The stream, its monitors, and what was done to them."""

    settings: Settings
    topics: Topics
    story: Story
    seen: Seen
    reader: Reader
    feeder: Feeder
    members: Members
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)

    def let_flow(self) -> tuple[Counter[int], int]:
        """Allow the records of one more step; where it begins, as (records counted, messages decided on)."""
        self.feeder.allowed = self.feeder.sent + RESERVE
        return self.seen.counted.copy(), self.seen.decided()

    def recovered_since(self, counted: Counter[int], decided: int) -> bool:
        """Whether every partition was counted further, and decided on further, and all members are back."""
        further = all(self.seen.counted[number] > counted[number] for number in range(PARTITIONS))
        return further and self.seen.decided() > decided and self.members.all_work()

    def inject(self, kind: str, role: str) -> None:
        """One fault, on a member that holds partitions; comes back when all have recovered from it."""
        eventually(lambda: self.members.working(role), PATIENCE_S, what=f"a {role} that holds partitions")
        self.let_flow()
        name = self.chance.choice(self.members.working(role))
        {
            "kill": self._kill,
            "kill in transaction": self._kill_in_a_transaction,
            "pause": self._pause,
            "restart": self._restart,
            "twin": self._twin,
        }[kind](name)
        counted, decided = self.let_flow()
        eventually(lambda: self.recovered_since(counted, decided), PATIENCE_S, what=f"recovery from {kind} of {name}")
        self.done[f"{kind} {role}"] += 1

    def _kill(self, name: str) -> None:
        self.members.living[name].process.kill()
        self.members.living[name].process.wait()
        self.members.start(name)

    def _kill_in_a_transaction(self, name: str) -> None:
        """Stopped again and again until that leaves a transaction open, then SIGKILL; how often it did is counted."""
        single = self.settings.model_copy(update={"topics": TopicsSettings(partitions=1)})
        topic = self.topics.panes if name.startswith("count") else self.topics.state
        victim, transactions = self.members.living[name].process, OpenTransactions(single, topic)
        enough = self.feeder.allowed = self.feeder.sent + 2 * RESERVE
        self.feeder.backlog = AT_ONCE  # few records a commit: more commits to fall into

        def stopped_inside() -> bool:
            victim.send_signal(signal.SIGSTOP)
            if transactions.stuck():
                self.done["transactions left open"] += 1
                return True
            victim.send_signal(signal.SIGCONT)
            return self.feeder.sent >= enough

        eventually(stopped_inside, PATIENCE_S, what="a transaction, or records enough")
        self.feeder.backlog = BACKLOG
        self._kill(name)

    def _restart(self, name: str) -> None:
        self.members.end(name)
        self.members.start(name)

    def _pause(self, name: str) -> None:
        """Stopped until the others have taken over: it wakes up with counts that are not its any more."""
        self._stop_until_taken_over(name)
        self.members.living[name].process.send_signal(signal.SIGCONT)

    def _twin(self, name: str) -> None:
        """As a pause, but it wakes up when its name is another's; it may end by that, and must not commit."""
        before = self.members.living[name].process
        before.send_signal(signal.SIGSTOP)
        self.members.start(name)
        counted, decided = self.let_flow()
        eventually(lambda: self.recovered_since(counted, decided), PATIENCE_S, what=f"work of {name}'s twin")
        before.send_signal(signal.SIGCONT)
        counted, decided = self.let_flow()
        eventually(
            lambda: before.poll() is not None or self.recovered_since(counted, decided),
            PATIENCE_S,
            what=f"the end of {name}, or that it is left alone",
        )
        self.done["twins that ended fenced"] += before.poll() is not None
        before.kill()
        before.wait()

    def _stop_until_taken_over(self, name: str) -> None:
        self.members.living[name].process.send_signal(signal.SIGSTOP)
        counted, decided = self.let_flow()
        role = name.split("-", maxsplit=1)[0]

        def taken_over() -> bool:
            if role == "decide":
                return self.seen.decided() > decided
            return all(self.seen.counted[number] > counted[number] for number in range(PARTITIONS))

        eventually(taken_over, PATIENCE_S, what=f"another {role} takes over")


@contextmanager
def world(settings: Settings, folder: Path, *, seed: int, records: int, tree: Path | None = None) -> Iterator[World]:
    """Topics, a registry that holds v1, four monitors, a reader; all of it ends with the context."""
    topics = Topics.of(settings.topic_prefix, SCHEMA)
    create_topics(settings, topics.specs(settings))
    (folder / "ships.toml").write_text(SCHEMA_TOML)
    registry = Registry.open(settings.registry(), settings.model)
    registry.register({"model.onnx": b"unused", "profile": profile_bytes()}, {"model": settings.model})
    promoted = ModelEvent(ModelEventKind.PROMOTED, settings.model, "v1", 1, "", "t", "because", 0)
    with Writer(settings) as writer:
        writer.send(topics.models, settings.model.encode(), msgspec.json.encode(promoted))
        writer.send(topics.records, b"s", b"{}")  # never scored: as after a scorer's death, no partition is idle
    variables = VARIABLES | {"LONGSHORE_SCHEMA_FILE": str(folder / "ships.toml")}
    services = Services(settings, folder, variables | ({"PYTHONPATH": str(tree.absolute())} if tree else {}))
    story, seen = Story(seed, records), Seen(topics)
    feeder, reader = Feeder(settings, topics, story, seen), _reader(settings, topics, seen)
    try:
        members = Members(services, folder)
        reader.start()
        feeder.start()
        yield World(settings, topics, story, seen, reader, feeder, members, random.Random(seed))
    finally:
        feeder.halt.set()
        services.kill()
        reader.halt()


def run(one: World, kills: int, say: Say) -> list[str]:
    """Faults under load, then the end of the stream; what is wrong with what was told in all, or nothing."""
    faults, total, started = planned(kills), len(one.story.records), time.monotonic()
    places = [round((k + one.chance.random()) * FAULTY_SHARE * total / len(faults)) for k in range(len(faults))]
    expected = one.story.undisturbed()
    one.let_flow()
    eventually(one.members.all_work, PATIENCE_S, what="the start of all members")
    for number, ((kind, role), place) in enumerate(zip(faults, places, strict=True), 1):
        one.feeder.allowed = max(one.feeder.allowed, place)
        eventually(lambda place=place: one.feeder.sent >= place, PATIENCE_S, what=f"record {place}")  # type: ignore[misc]
        one.inject(kind, role)
        told = f"{one.seen.counted.total():,} counted, {len(one.seen.events)} events"
        say(f"{time.monotonic() - started:6.1f} s  {number}/{len(faults)} {kind} {role}: {told}")
    one.feeder.allowed = one.feeder.backlog = total
    eventually(lambda: one.seen.counted.total() >= total, PATIENCE_S, what="every record is counted")
    eventually(one.seen.all_decided, PATIENCE_S, what="everything counted is decided on")
    for name in list(one.members.living):
        one.members.end(name)
    found = Seen(one.topics)
    last = _reader(one.settings, one.topics, found, to_end=True)
    last.start()
    last.join(PATIENCE_S)
    assert not last.is_alive(), "a transaction is open for ever: the topics' ends cannot be read"
    eventually(lambda: one.seen.decided() >= found.decided(), what="the end for who read all along")
    return last.troubles + one.reader.troubles + found.differences(expected) + one.seen.differences(expected)


def _reader(settings: Settings, topics: Topics, seen: Seen, *, to_end: bool = False) -> Reader:
    names = (topics.panes, topics.events, topics.requests, topics.state)
    return Reader(str(settings.bootstrap_servers), names, 1, seen, to_end=to_end)
