"""A run: two joiners under a stream, faults at places in it, each only after they have recovered from the last."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.drift_stream import SCHEMA, SCHEMA_TOML, profile_bytes
from tests.faults.chaos.readers import Reader
from tests.faults.label_join.story import DAY_MS, PANE_MS, PARTITIONS, Seen, Story, batch
from tests.faults.scoring import OpenTransactions
from tests.services import Services
from tests.waiting import eventually

from longshore.config import Settings, TopicsSettings
from longshore.kafka.admin import create_topics
from longshore.kafka.reader import read_all
from longshore.kafka.writer import Writer
from longshore.registry import Registry
from longshore.stream import Message
from longshore.topics import Topics

PATIENCE_S = 120.0
JOINERS = 2
AT_ONCE = 40
"""Messages written at once where a fault is to fall between them."""

KILLS = ("kill", "kill in transaction", "kill and lose file")
OTHERS = ("restart", "pause", "twin")
"""One for every fifth kill: ended and started; stopped until the other took over; stopped and its name taken."""

VARIABLES = {
    "LONGSHORE_MONITOR__PANE_S": str(PANE_MS // 1_000),
    "LONGSHORE_MONITOR__LABEL_LATENESS_S": str(DAY_MS // 1_000),
    "LONGSHORE_MONITOR__COMMIT_INTERVAL_S": "0.2",
    "LONGSHORE_KAFKA__SESSION_TIMEOUT_MS": "2000",
}

Say = Callable[[str], None]


def planned(kills: int) -> list[str]:
    """The faults in order."""
    faults = []
    for number in range(kills):
        faults.append(KILLS[number % len(KILLS)])
        if number % 5 == 3:
            faults.append(OTHERS[number // 5 % len(OTHERS)])
    return faults


@dataclass
class World:
    """The stream, the joiners, and what was done to them."""

    settings: Settings
    topics: Topics
    story: Story
    seen: Seen
    services: Services
    writer: Writer
    chance: random.Random
    living: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    sent: int = 0
    written: Counter[tuple[int, int]] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def start(self, name: str) -> None:
        """Start a joiner."""
        self.living[name] = self.services.start("monitor", "--role", "join", "--instance", name)

    def write(self, upto: int) -> None:
        """Write the story on, up to its message `upto`."""
        sides = (self.topics.predictions, self.topics.labels)
        for side, partition, value in self.story.messages[self.sent : upto]:
            self.writer.send(sides[side], b"s", value, partition=partition)
            self.written[side, partition] += 1
        self.writer.flush()
        self.sent = max(self.sent, min(upto, len(self.story.messages)))

    def caught_up(self) -> bool:
        """Whether every label that was written is in the errors."""
        return all(self.seen.labels[number] >= self.written[1, number] for number in range(PARTITIONS))

    def wait(self, what: str) -> None:
        """Until then."""
        eventually(self.caught_up, PATIENCE_S, what=what)

    def inject(self, kind: str) -> None:
        """One fault, while messages are on their way; comes back when all have recovered from it."""
        name = self.chance.choice(sorted(self.living))
        victim = self.living[name]
        self.write(self.sent + AT_ONCE)
        if kind == "kill in transaction":
            self._stop_in_a_transaction(victim)
        if kind.startswith("kill"):
            time.sleep(self.chance.random() * 0.25)  # anywhere in a commit interval
            victim.kill()
            victim.wait()
            if kind == "kill and lose file":
                shutil.rmtree(self._files(name), ignore_errors=True)
            self.start(name)
        elif kind == "restart":
            self._end(name)
            self.start(name)
        else:
            self._stop(name, victim, twin=kind == "twin")
        self.write(self.sent + AT_ONCE)
        self.wait(f"recovery from {kind} of {name}")
        self.done[kind] += 1

    def end_all(self) -> None:
        """SIGTERM, which must end them well."""
        for name in list(self.living):
            self._end(name)

    def _files(self, name: str) -> Path:
        return self.settings.home / "join" / f"{self.settings.topic_prefix}{name}"

    def _end(self, name: str) -> None:
        process = self.living.pop(name)
        self.services.wait_started(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0, f"{name}: {self.services.logs()}"

    def _stop(self, name: str, victim: subprocess.Popen[bytes], *, twin: bool) -> None:
        """Stopped until others took over: it wakes up with partitions, perhaps a name, that are not its any more."""
        victim.send_signal(signal.SIGSTOP)
        if twin:
            self.start(name)
        self.write(self.sent + AT_ONCE)
        self.wait("another takes over")
        victim.send_signal(signal.SIGCONT)
        if twin:
            self.write(self.sent + AT_ONCE)
            self.wait("work beside the twin")
            victim.kill()
            victim.wait()

    def _stop_in_a_transaction(self, victim: subprocess.Popen[bytes]) -> None:
        """Stopped again and again until that leaves a transaction open; how often it did is counted."""
        single = self.settings.model_copy(update={"topics": TopicsSettings(partitions=1)})
        transactions, deadline = OpenTransactions(single, self.topics.panes), time.monotonic() + 8
        while time.monotonic() < deadline and self.sent < len(self.story.messages):
            self.write(self.sent + 4)
            victim.send_signal(signal.SIGSTOP)
            if transactions.stuck():
                self.done["transactions left open"] += 1
                return
            victim.send_signal(signal.SIGCONT)


@contextmanager
def world(settings: Settings, folder: Path, *, seed: int, records: int, tree: Path | None = None) -> Iterator[World]:
    """Topics, a registry that holds two versions, two joiners; all of it ends with the context."""
    topics = Topics.of(settings.topic_prefix, SCHEMA)
    create_topics(settings, topics.specs(settings))
    (folder / "ships.toml").write_text(SCHEMA_TOML)
    registry = Registry.open(settings.registry(), settings.model)
    for number in (b"1", b"2"):
        registry.register({"model.onnx": number, "profile": profile_bytes()}, {"model": settings.model})
    variables = VARIABLES | {"LONGSHORE_SCHEMA_FILE": str(folder / "ships.toml")}
    services = Services(settings, folder, variables | ({"PYTHONPATH": str(tree.absolute())} if tree else {}))
    try:
        with Writer(settings) as writer:
            one = World(settings, topics, Story(seed, records), Seen(), services, writer, random.Random(seed))
            for number in range(JOINERS):
                one.start(f"join-{number}")
            yield one
    finally:
        services.kill()


def run(one: World, kills: int, say: Say) -> list[str]:
    """Faults under load, then the end of the stream; what is not as in a batch over the same records, or nothing."""
    reader = Reader(str(one.settings.bootstrap_servers), [one.topics.panes], 1, one.seen)
    reader.start()
    faults, started = planned(kills), time.monotonic()
    each = len(one.story.messages) * 9 // 10 // (len(faults) + 1)
    one.write(each)
    one.wait("the first errors")
    for number, kind in enumerate(faults, 1):
        one.inject(kind)
        one.write(max(one.sent, (number + 1) * each))
        say(f"{time.monotonic() - started:6.1f} s  {number}/{len(faults)} {kind}: {one.sent:,} messages")
    one.write(len(one.story.messages))
    one.wait("the end of the labels")
    one.end_all()
    reader.halt()
    last = Seen()
    for messages in read_all(one.settings, one.topics.panes):
        for message in messages:
            last(message)
    return reader.troubles + last.differences(*batch(_read_back(one)))


def _read_back(one: World) -> dict[int, tuple[list[Message], list[Message]]]:
    """The records as the topics hold them."""
    found: dict[int, tuple[list[Message], list[Message]]] = defaultdict(lambda: ([], []))
    for side, topic in enumerate((one.topics.predictions, one.topics.labels)):
        for messages in read_all(one.settings, topic):
            for message in messages:
                found[message.partition()][side].append(message)
    return found
