"""A run: requests, and batch runs by name, each driven to its end by trainers that are killed all the while."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from tests.faults.trainer_chaos import launch
from tests.faults.trainer_chaos.oracle import violations
from tests.faults.trainer_chaos.watch import Watch
from tests.services import Services
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.admin import committed_offsets, create_topics, end_offsets
from longshore.kafka.writer import Writer
from longshore.producers.generator import districts_frame, history_frame
from longshore.records import RetrainRequest, Window
from longshore.registry import Registry
from longshore.schema import districts
from longshore.topics import Topics
from longshore.trainer.training import STAGES

ROWS = 600
"""Of a batch run's file, and fresh ones for a request."""
FACTORS = (1.0, 2.0)
"""Prices by turns: whatever is trained on the newer rows is better on them, so that there is something to promote."""
FATES = ("step", "step", "step", "stage", "stage", "stage", "moment")
"""When a process dies: after a step of the registry's files, soon after it told of a stage (both however slow the
machine is), or some time after its start."""
MOST_STEPS, LONGEST_S, SOON_S, NEVER = 28, 6.0, 0.7, float("inf")
"""A request takes about so many steps."""
PATIENCE_S, PAUSE_S = 120.0, 0.01
TWICE_EVERY, STALE_EVERY = 3, 4
"""Every so many requests is sent twice; after every so many comes one about a model that is no longer champion."""

VARIABLES = {
    "LONGSHORE_TRAINER__CLAIM_TTL_S": "2",
    "LONGSHORE_TRAINER__MAX_ROWS": str(2 * ROWS),
    # Prices that double by turns forget the ones before, and a busy machine answers late: neither is the subject here.
    "LONGSHORE_TRAINER__FORGETTING_MARGIN": "1000",
    "LONGSHORE_TRAINER__SEGMENT_MARGIN": "1000",
    "LONGSHORE_TRAINER__MAX_LATENCY_MS": "1000",
    "LONGSHORE_KAFKA__SESSION_TIMEOUT_MS": "2000",
    "OMP_NUM_THREADS": "1",
}

TOLD = re.compile(rb'\[\d/\d\] (\w+)|"stage": "(\w+)"|"event": "(retraining(?: ended)?)"')
"""What a trainer's log tells of how far it is."""
IDLE, CLAIMED = "idle", "claimed"

Say = Callable[[str], None]


@dataclass(slots=True)
class Place:
    """A name under which one process after another runs, and the present one's fate."""

    name: str
    process: ForkServerProcess | None = None
    doomed: bool = False
    moment: float = NEVER
    after_stage: tuple[str, float] | None = None
    log: Path = Path()
    log_began: int = 0

    def told(self) -> list[str]:
        """How far the present process came, in its own words: stages, `claimed` before them, `idle` when work ended."""
        with self.log.open("rb") as log:
            log.seek(self.log_began)
            words = [next(filter(None, match.groups())).decode() for match in TOLD.finditer(log.read())]
        return [{"retraining": CLAIMED, "retraining ended": IDLE}.get(word, word) for word in words]


@dataclass
class World:
    """Trainers, what they are asked for, and what was done to them."""

    settings: Settings
    topics: Topics
    folder: Path
    environment: dict[str, str]
    watch: Watch
    chance: random.Random
    longest_s: float
    done: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    followed: list[str] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    _context: ForkServerContext = field(default_factory=launch.prepared)
    _places: list[Place] = field(default_factory=list)

    @property
    def registry(self) -> Registry:
        return Registry.open(self.settings.registry(), self.settings.model)

    def batch(self, kills: int, say: Say) -> None:
        """Runs of one name after another, each by two processes at once, until `kills` have died; each to its end."""
        for number, factor in enumerate(FACTORS):
            frame: pd.DataFrame = history_frame(ROWS, number)
            frame["median_house_value"] *= factor
            frame.to_csv(self.folder / f"{number}.csv", index=False)
        places = [Place("batch-0"), Place("batch-1")]
        wanted = self.done["kills"] + kills
        while self.done["kills"] < wanted:
            number = len(self.batches)
            self._batch(places, f"batch-{number}", self.folder / f"{number % len(FACTORS)}.csv", wanted)
            say(f"{len(self.batches)} batch runs have ended, {self.done['kills']} killed")

    def _batch(self, places: list[Place], trigger_id: str, data: Path, wanted: int) -> None:
        """Start it again and again at both places, until it ends at one; the other may go on, or die."""
        arguments, finished = ("train", "--trigger-id", trigger_id, "--data", str(data)), False
        while not finished or any(place.process for place in places):
            for place in places:
                finished = self._ended(place) == 0 or finished
                if place.process is None and not finished:
                    self._start(place, arguments, doomed=self.done["kills"] < wanted, longest_s=self.longest_s / 2)
            time.sleep(PAUSE_S)
        self.batches.append(trigger_id)

    def follow(self, kills: int, say: Say) -> None:
        """Requests one after another, served by two followers, until `kills` have died; then to the last one's end."""
        places = [Place("trainer-0"), Place("trainer-1")]
        wanted = self.done["kills"] + kills
        while not self._answered() or any(place.doomed for place in places) or self.done["kills"] < wanted:
            enough = self.done["kills"] >= wanted
            if self._answered() and not enough:
                self._ask()
                say(f"{len(self.followed)} requests, {self.done['kills']} killed")
            for place in places:
                if place.doomed and enough:
                    place.moment = 0.0
                if self._ended(place) not in (None, -signal.SIGKILL):
                    self.troubles.append(f"{place.name} ended by itself: see {place.name}.log")
                if place.process is None:
                    arguments = ("train", "--follow", "--instance", place.name)
                    self._start(place, arguments, doomed=not enough, longest_s=self.longest_s)
            time.sleep(PAUSE_S)
        self._end(places)

    def outcomes(self) -> Counter[str]:
        """How the requests ended."""
        found = [self.registry.outcome(trigger_id) for trigger_id in self.followed]
        return Counter(outcome["status"] if outcome else "open" for outcome in found)

    def kill(self) -> None:
        """End whatever still runs."""
        for place in self._places:
            if place.process is not None:
                place.process.kill()
                place.process.join()

    def _answered(self) -> bool:
        return all(self.registry.outcome(trigger_id) for trigger_id in self.followed[-2:])

    def _ask(self) -> None:
        """New rows at other prices, and a request about them; some are sent twice, some are about a former champion."""
        number = self.asked
        self.asked += 1
        champion = self.registry.alias()
        assert champion is not None
        start = (number + 1) * ROWS
        frame = districts_frame(start + ROWS, 3).iloc[start:].drop(columns="district_id")
        frame["median_house_value"] *= FACTORS[(number + len(self.batches)) % len(FACTORS)]
        with Writer(self.settings) as writer:
            for i, row in zip(range(start, start + ROWS), json.loads(frame.to_json(orient="records")), strict=True):
                label = row.pop("median_house_value")
                key: dict[str, Any] = {"record_id": f"r{i}", "district_id": f"d{i}", "event_time": i}
                body = {**key, "prediction": 1.0, "model_version": "v1", "route": "champion", "record": {**key, **row}}
                writer.send(self.topics.predictions, key["district_id"].encode(), json.dumps(body).encode())
                body = {**key, "observed_at": i + 1, "label": label}
                writer.send(self.topics.labels, key["district_id"].encode(), json.dumps(body).encode())
        versions = [champion.version] * (2 if number % TWICE_EVERY == 0 else 1)
        versions += ["v0"] if number % STALE_EVERY == 0 else []
        with Writer(self.settings) as writer:
            for version in versions:
                trigger_id = f"request-{number}" + ("-stale" if version == "v0" else "")
                asked = RetrainRequest(trigger_id, "covariate", version, Window(start, start + ROWS, ROWS), [], "e")
                writer.send(self.topics.requests, b"default", msgspec.json.encode(asked))
                if trigger_id not in self.followed:
                    self.followed.append(trigger_id)

    def _start(self, place: Place, arguments: tuple[str, ...], *, doomed: bool, longest_s: float) -> None:
        """One more process, which dies after a step or at a moment, or lives."""
        place.doomed, place.moment, place.after_stage, steps = doomed, NEVER, None, None
        fate, at = self.chance.choice(FATES), self.chance.uniform(0.0, 1.0)
        stage = self.chance.choice((CLAIMED, *STAGES))
        if doomed and fate == "step":
            steps = self.chance.randint(1, MOST_STEPS)
        if doomed and fate == "stage":
            place.after_stage = stage, at * SOON_S
        if doomed and fate == "moment":
            place.moment = time.monotonic() + at * longest_s
        place.log = self.folder / f"{place.name}.log"
        place.log_began = place.log.stat().st_size if place.log.exists() else 0
        place.log.touch()
        place.process = launch.start(self._context, arguments, self.environment, place.log, steps)
        self.done["processes"] += 1
        if place not in self._places:
            self._places.append(place)

    def _ended(self, place: Place) -> int | None:
        """The exit code of the place's process, which is then gone; None while it lives. Carries out its fate."""
        process = place.process
        if process is None:
            return None
        code = process.exitcode
        if place.after_stage is not None and place.after_stage[0] in place.told():
            place.moment, place.after_stage = time.monotonic() + place.after_stage[1], None
        if code is None and time.monotonic() < place.moment:
            return None
        by_itself = code is not None
        process.kill()
        process.join()
        place.process = None
        code = process.exitcode
        if code == -signal.SIGKILL:
            self._killed(place, "after a step" if by_itself else "at a moment")
        elif code:
            self.troubles.append(f"{place.name} ended with {code}: see {place.name}.log")
        return code

    def _killed(self, place: Place, when: str) -> None:
        """Count it, if there was work to be interrupted."""
        stage = (place.told() or [IDLE])[-1]
        if stage == IDLE:
            self.done["killed idle, not counted"] += 1
            return
        self.done["kills"] += 1
        self.done[f"killed {when}"] += 1
        self.done[f"killed: {place.name.partition('-')[0]}, {stage}"] += 1

    def _end(self, places: list[Place]) -> None:
        """SIGTERM, which must end them well once what they did is committed."""
        group, requests = self.settings.topic_prefix + self.settings.trainer.group, self.topics.requests

        def all_committed() -> bool:
            return committed_offsets(self.settings, group, requests) == end_offsets(self.settings, requests)

        eventually(all_committed, PATIENCE_S, what="the commit of every request's offset")
        for place in places:
            process = place.process
            assert process is not None and process.pid is not None
            os.kill(process.pid, signal.SIGTERM)
            process.join(PATIENCE_S)
            if process.exitcode != 0:
                self.troubles.append(f"{place.name} ended with {process.exitcode} after SIGTERM")


@contextmanager
def world(settings: Settings, folder: Path, *, seed: int, longest_s: float = LONGEST_S) -> Iterator[World]:
    """Topics and a registry that is looked at all the while; all processes end with the context.

    `longest_s`: how long after its start a process may be killed.
    """
    topics = Topics.of(settings.topic_prefix, districts())
    create_topics(settings, topics.specs(settings))
    environment = Services(settings, folder, VARIABLES).environment
    watch = Watch(settings)
    watch.start()
    one = World(settings, topics, folder, environment, watch, random.Random(seed), longest_s)
    try:
        yield one
    finally:
        one.kill()
        watch.halt.set()
        watch.join()


def run(one: World, kills: int, say: Say) -> list[str]:
    """Half the kills among batch runs, half among followers; what is wrong in the end, or nothing."""
    one.batch(kills // 2, say)
    one.follow(kills - kills // 2, say)
    one.watch.halt.set()
    one.watch.join()
    return one.troubles + one.watch.troubles + violations(one.settings, one.topics, one.followed, one.batches)
