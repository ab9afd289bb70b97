"""Readers go on after a scorer's death and through a rolling restart, and a scorer taken for dead doubles nothing.

What must make them go on is checked, not how fast it is: other ways out are set so long that they would fail the test.
The figures are `benchmarks/recovery.py`'s work.
"""

from __future__ import annotations

import itertools
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.faults.scoring import (
    Load,
    OpenTransactions,
    Reading,
    concurrently,
    kill_inside_a_transaction,
    read_later,
    stop_inside_a_transaction,
)
from tests.services import Services, free_port, services
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.admin import create_topics
from longshore.local.stack import Endpoints
from longshore.schema import districts
from longshore.topics import Topics

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.slow]

SCORERS = 3
GONE_LIMIT_S = 30.0
"""Twice the issue's 15 s, for a busy machine. The way out is 10 s of transaction time-out and 1 s of the sweep; the
client's and KIP-848's defaults (60 s, 45 s) lie beyond it.
"""

PAUSE_LIMIT_S = 3.0
"""The issue's; 0.3 to 1.4 s are measured. A member that does not leave is missed for its session, 4 s."""

ROLLS = 3
"""How often a rolling restart is measured until one keeps the limit: this machine's other work pauses readers too."""


@dataclass(slots=True)
class World:
    """Three scorers under load, with a reader."""

    run: Services
    scorers: list[subprocess.Popen[bytes]]
    ports: list[int]
    transactions: OpenTransactions
    reading: Reading
    partitions: int

    def start(self, slot: int, **variables: str) -> None:
        self.scorers[slot : slot + 1] = [
            self.run.start("score", "--instance", f"s{slot}", LONGSHORE_SERVER__PORT=str(self.ports[slot]), **variables)
        ]

    def ready(self, slot: int) -> bool:
        assert self.scorers[slot].poll() is None, self.run.logs()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[slot]}/readyz", timeout=2):
                return True
        except OSError:
            return False

    def advances(self, since: float, timeout_s: float, *, what: str) -> None:
        """Every partition of the predictions has a record that its reader saw after `since`."""
        arrived = self.reading.arrived
        eventually(
            lambda: all(arrived[number][-1:] > [since] for number in range(self.partitions)), timeout_s, what=what
        )

    def longest_pause(self, since: float) -> float:
        now = time.monotonic()
        pause = 0.0
        for number in range(self.partitions):
            times = [since, *(at for at in list(self.reading.arrived[number]) if at > since), now]
            pause = max(pause, *(later - at for at, later in itertools.pairwise(times)))
        return pause

    def roll(self) -> float:
        """SIGTERM, wait for the exit, start, wait until ready, and the next; the longest pause of a partition."""
        began = time.monotonic()
        for slot, scorer in enumerate(list(self.scorers)):
            scorer.terminate()
            assert scorer.wait(20) == 0, self.run.logs()
            self.start(slot)
            eventually(lambda slot=slot: self.ready(slot), 30, what="ready")  # type: ignore[misc]
        self.advances(time.monotonic(), 30, what="every partition goes on after the restarts")
        return self.longest_pause(began)


@contextmanager
def scoring(settings: Settings, stack: Endpoints, folder: Path, trained: Path, **variables: str) -> Iterator[World]:
    """Three scorers under load; at the end each record must have come out once, for this reader and for a later one."""
    topics = Topics.of(settings.topic_prefix, districts())
    create_topics(settings, topics.specs(settings))
    outputs = [topics.predictions, topics.dead_letters]
    with services(settings, stack, folder, 12, **variables) as (run, _), concurrently(settings, outputs) as reading:
        run.adopt(trained)
        ports = [free_port() for _ in range(SCORERS)]
        transactions = OpenTransactions(settings, topics.predictions)
        world = World(run, [], ports, transactions, reading, settings.topics.partitions)
        for slot in range(SCORERS):
            world.start(slot)
        load = Load(settings, topics.records)
        load.start()
        logs = [folder / f"{slot}-score.log" for slot in range(SCORERS)]
        eventually(lambda: all('"partitions": ["' in log.read_text() for log in logs), 90, what="each has partitions")
        world.advances(time.monotonic(), 60, what="every partition at the start")
        yield world
        load.last.set()
        load.join(40)
        eventually(lambda: len(reading.seen) >= load.sent, 40, what="every record")
        for scorer in world.scorers:
            scorer.terminate()
        assert [scorer.wait(20) for scorer in world.scorers] == [0] * SCORERS, run.logs()
        later = read_later(settings, outputs)
        later.check(load.keys)
        eventually(lambda: reading.seen.total() >= later.seen.total(), 5)
    reading.check(load.keys)
    assert transactions.now() == {}


@pytest.mark.parametrize("protocol", [pytest.param("classic", marks=pytest.mark.long), "consumer"])
def test_readers_go_on_once_the_instance_is_back_and_through_a_rolling_restart(
    settings: Settings, stack: Endpoints, tmp_path: Path, trained: Path, protocol: str
) -> None:
    long = {"LONGSHORE_KAFKA__TRANSACTION_TIMEOUT_MS": "120000"}
    with scoring(settings, stack, tmp_path, trained, LONGSHORE_KAFKA__GROUP_PROTOCOL=protocol, **long) as world:
        # Only the instance's return can end its transaction in time, and only the end of its session frees its seat.
        kill_inside_a_transaction(world.scorers[1], world.transactions)
        world.start(1)
        eventually(lambda: world.ready(1), 30, what="ready")
        world.advances(time.monotonic(), 15, what="every partition after the kill")

        pauses = [world.roll()]
        while pauses[-1] > PAUSE_LIMIT_S and len(pauses) < ROLLS:
            pauses.append(world.roll())
        assert pauses[-1] <= PAUSE_LIMIT_S, f"a rolling restart paused a partition for {pauses} s"


@pytest.mark.parametrize("protocol", ["classic", pytest.param("consumer", marks=pytest.mark.long)])
def test_readers_go_on_without_the_instance_and_a_zombie_doubles_nothing(
    settings: Settings, stack: Endpoints, tmp_path: Path, trained: Path, protocol: str
) -> None:
    """A stopped process is a dead one to the broker, until it goes on: then it has lost its partitions and its
    transaction, and either joins again or ends and says that it was fenced (if it was stopped inside a commit).
    """
    with scoring(settings, stack, tmp_path, trained, LONGSHORE_KAFKA__GROUP_PROTOCOL=protocol) as world:
        zombie, log = world.scorers[0], tmp_path / "0-score.log"
        stop_inside_a_transaction(zombie, world.transactions)
        world.advances(time.monotonic(), GONE_LIMIT_S, what="every partition without the stopped scorer")
        told = len(log.read_text())
        zombie.send_signal(signal.SIGCONT)
        eventually(
            lambda: zombie.poll() is not None or "partitions assigned" in log.read_text()[told:],
            60,
            what=f"the end or return of {log}",
        )
        if zombie.poll() is not None:
            assert zombie.returncode == 1
            assert "transactional id" in log.read_text().splitlines()[-1]
            world.start(0)
            eventually(lambda: world.ready(0), 60, what="its successor is ready")
        world.advances(time.monotonic(), 30, what="every partition after the zombie's end or return")
