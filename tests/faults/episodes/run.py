"""The episodes of one deployment: calm, drift, request, training, a new era; in each of them a replica dies."""

from __future__ import annotations

import json
import random
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
from tests.drift_stream import LATENESS_MS, PANE_MS, SCHEMA, SCHEMA_TOML, STEP_MS, predictions, rows
from tests.faults.chaos.readers import Reader
from tests.faults.episodes import processes
from tests.faults.episodes.processes import DIED, DOOM, POINTS
from tests.faults.episodes.seen import Seen
from tests.services import Services

from longshore.config import Settings
from longshore.kafka.admin import committed_offsets, create_topics, end_offsets
from longshore.kafka.writer import Writer
from longshore.monitor.reference import build_profile
from longshore.registry import Registry
from longshore.topics import Topics

REPLICAS = {"decide": 3, "count": 2, "train": 3}
FACTORS = (1.0, 2.0)
"""The cargo of the two worlds between which the stream moves, and a model follows."""
WINDOW, CHUNK, LABELLED = 200, 50, 10
AHEAD_MS = 5 * WINDOW * STEP_MS
"""How far the stream may be ahead of the last verdict: deciders that are down are waited for."""
MIN_FRESH_LABELS, COOLDOWN_WINDOWS = 50, 1
WITHOUT_LABELS = 3
"""Windows after a rejection in which there are no labels: its back-off is over, and nothing may be asked for."""
PACE_S, PATIENCE_S = 0.02, 90.0
STEPS_OF_A_RUN, LATEST_S = 14, 2.5

VARIABLES = {
    "LONGSHORE_MONITOR__PANE_S": str(PANE_MS / 1_000),
    "LONGSHORE_MONITOR__ALLOWED_LATENESS_S": str(LATENESS_MS / 1_000),
    "LONGSHORE_MONITOR__WINDOW_RECORDS": str(WINDOW),
    "LONGSHORE_MONITOR__MIN_FRESH_LABELS": str(MIN_FRESH_LABELS),
    "LONGSHORE_MONITOR__COOLDOWN_WINDOWS": str(COOLDOWN_WINDOWS),
    "LONGSHORE_MONITOR__COMMIT_INTERVAL_S": "0.1",
    "LONGSHORE_MONITOR__PROVISIONAL": "false",
    "LONGSHORE_TRAINER__CLAIM_TTL_S": "2",
    "LONGSHORE_KAFKA__SESSION_TIMEOUT_MS": "3000",
    "OMP_NUM_THREADS": "1",
}

Say = Callable[[str], None]


@dataclass
class World:
    """One deployment, its replicas, and how far its stream has come. `champion`: the version that scores."""

    settings: Settings
    topics: Topics
    folder: Path
    environment: dict[str, str]
    seen: Seen
    reader: Reader
    writer: Writer
    chance: random.Random
    context: ForkServerContext
    champion: str = "v1"
    model_world: int = 0
    at_ms: int = 0
    sent: int = 0
    seconds: list[float] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    living: dict[str, ForkServerProcess] = field(default_factory=dict)
    _fall: tuple[float, str] | None = None
    _rows: dict[int, list[Any]] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        return Registry.open(self.settings.registry(), self.settings.model)

    def start(self, name: str) -> None:
        """A process under this name."""
        role, arguments = name.split("-", maxsplit=1)[0], ("--instance", name)
        command = ("train", "--follow", *arguments) if role == "train" else ("monitor", "--role", role, *arguments)
        log = self.folder / f"{name}.log"
        self.living[name] = processes.start(self.context, command, self.environment, self.folder, log)
        self.done["processes"] += 1

    def tend(self) -> None:
        """Carry out what is due, and start again whoever has died."""
        if self._fall is not None and time.monotonic() >= self._fall[0]:
            role, self._fall = self._fall[1], None
            victim = self.chance.choice([name for name in self.living if name.startswith(role)])
            self.living[victim].kill()
            self.living[victim].join()
            self.done[f"{role}: at a moment"] += 1
        for name, process in list(self.living.items()):
            if process.exitcode is not None:
                if process.exitcode != -signal.SIGKILL:
                    self.troubles.append(f"{name} ended by itself with {process.exitcode}")
                self.start(name)

    def condemn(self, number: int) -> None:
        """How and where somebody dies in this episode: by the role, in its transaction, at a file, or at a moment."""
        role = self.chance.choice(("decide", "decide", "decide", "train", "train", "count"))
        if self.chance.random() < 0.25:
            self._fall = time.monotonic() + self.chance.uniform(0.0, LATEST_S), role
            return
        doom: dict[str, Any] = {"number": number, "role": role, "asked": False, "times": 1}
        if role == "train":
            doom |= {"point": "step", "times": self.chance.randint(1, STEPS_OF_A_RUN)}
        else:
            asked = role == "decide" and self.chance.random() < 0.7
            times = 1 if asked else self.chance.randint(1, 8)
            doom |= {"point": self.chance.choice(POINTS), "asked": asked, "times": times}
        draft = self.folder / "doom.draft"
        draft.write_text(json.dumps(doom))
        draft.rename(self.folder / DOOM)

    def spare(self) -> None:
        """The episode is over: a doom that nobody met is lifted."""
        try:
            (self.folder / DOOM).unlink()
        except FileNotFoundError:
            return
        self.done["dooms that nobody met"] += 1

    def flow(self, until: Callable[[], Any], world: int, *, labels: bool, what: str) -> Any:
        """Let records of a world come, as fast as they are judged, until something is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := until()):
            assert time.monotonic() < deadline, f"{what} did not come within {PATIENCE_S:.0f} s"
            assert not self.reader.troubles, self.reader.troubles
            self.tend()
            if self.at_ms <= self.seen.judged_ms + AHEAD_MS:
                self._send(world, labels=labels)
            time.sleep(PACE_S)
        return found

    def episode(self, number: int) -> None:
        """Drift until it is asked for, and what follows, to the calm after the new era's beginning."""
        began, champion, moved = time.monotonic(), self.champion, 1 - self.model_world
        self.condemn(number)
        attempt = 1
        while True:
            request = self.flow(
                lambda attempt=attempt: self.seen.request(champion, attempt),  # type: ignore[misc]
                moved, labels=True, what=f"request {attempt} for {champion}",
            )  # fmt: skip
            outcome = self.flow(
                lambda request=request: self.registry.outcome(request.trigger_id),  # type: ignore[misc]
                moved, labels=False, what=f"the outcome of {request.trigger_id}",
            )  # fmt: skip
            self.done[outcome["status"]] += 1
            if outcome["status"] != "rejected":
                break
            after = self.flow(
                lambda request=request: self.seen.closed(request.trigger_id),  # type: ignore[misc]
                moved, labels=False, what="the rejection's relay",
            )  # fmt: skip
            self.flow(
                lambda after=after: self.seen.verdicts >= after + WITHOUT_LABELS,  # type: ignore[misc]
                moved, labels=False, what="windows without labels",
            )  # fmt: skip
            attempt += 1
        self.spare()
        if outcome["status"] != "promoted":
            self.troubles.append(f"{request.trigger_id} ended as {outcome}")
            return
        self.champion, self.model_world = outcome["version"], moved
        self.flow(lambda: self.seen.calm(self.champion), moved, labels=True, what=f"calm under {self.champion}")
        self.seconds.append(time.monotonic() - began)

    def end(self) -> None:
        """SIGTERM, once every request's offset is committed."""
        group = self.settings.topic_prefix + self.settings.trainer.group

        def committed() -> bool:
            held = committed_offsets(self.settings, group, self.topics.requests)
            return held == end_offsets(self.settings, self.topics.requests)

        self.flow(committed, self.model_world, labels=False, what="the commit of every request's offset")
        for process in self.living.values():
            process.terminate()
        for name, process in self.living.items():
            process.join(PATIENCE_S)
            if process.exitcode not in (0, -signal.SIGTERM):  # the second: it had not yet begun to listen
                self.troubles.append(f"{name} ended with {process.exitcode} after SIGTERM")
        died = self.folder / DIED
        for line in died.read_text().splitlines() if died.exists() else []:
            doom = json.loads(line)
            self.done[f"{doom['role']}: {doom['point']}" + (" of a request" if doom["asked"] else "")] += 1

    def _send(self, world: int, *, labels: bool) -> None:
        if world not in self._rows:
            frame = rows(20_000, 31 + world, factor=FACTORS[world])
            self._rows[world] = [frame.iloc[i : i + CHUNK] for i in range(0, len(frame), CHUNK)]
        frame = self.chance.choice(self._rows[world])
        first = self.at_ms
        for i, value in enumerate(predictions(frame, first, self.champion, first_id=self.sent)):
            self.writer.send(self.topics.predictions, b"s", value, partition=i % 2)
        for i in range(LABELLED if labels else 0):
            label = {
                "record_id": f"r{self.sent + i}",
                "event_time": first + i * STEP_MS,
                "observed_at": first,
                "label": 1.0,
            }
            self.writer.send(self.topics.labels, b"s", msgspec.json.encode(label), partition=i % 2)
        self.writer.flush()
        self.at_ms += CHUNK * STEP_MS
        self.sent += CHUNK


def profiles() -> list[bytes]:
    """The reference profiles of the two worlds."""
    return [build_profile(rows(5_000, 7, factor=factor), ["flag"]) for factor in FACTORS]


@contextmanager
def world(settings: Settings, folder: Path, made: list[bytes], *, seed: int) -> Iterator[World]:
    """Topics, a registry with a champion, all replicas and a reader; all of it ends with the context."""
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 2})})
    topics = Topics.of(settings.topic_prefix, SCHEMA)
    create_topics(settings, topics.specs(settings))
    (folder / "ships.toml").write_text(SCHEMA_TOML)
    for number, profile in enumerate(made):
        (folder / f"profile-{number}").write_bytes(profile)
    registry = Registry.open(settings.registry(), settings.model)
    manifest = {"trigger_id": "first", "world": 0, "metrics": {}}
    registry.register({"model.onnx": b"unused", "profile": made[0]}, manifest)
    registry.move_alias("champion", "v1", expected_generation=0, trigger_id="first", actor="a", reason="the first")
    variables = VARIABLES | {"LONGSHORE_SCHEMA_FILE": str(folder / "ships.toml")}
    seen = Seen(topics)
    watched = (topics.events, topics.requests)
    reader = Reader(str(settings.bootstrap_servers), watched, 1, seen)
    environment = Services(settings, folder, variables).environment
    with Writer(settings) as writer:
        one = World(
            settings, topics, folder, environment, seen, reader, writer, random.Random(seed), processes.prepared()
        )
        try:
            reader.start()
            for role, many in REPLICAS.items():
                for slot in range(many):
                    one.start(f"{role}-{slot}")
            yield one
        finally:
            reader.halt()
            for process in one.living.values():
                process.kill()
                process.join()


def run(one: World, episodes: int, say: Say, until: float = float("inf")) -> int:
    """Episodes, so many or until a moment (monotonic); how many there were."""
    one.flow(lambda: one.seen.calm("v1"), 0, labels=True, what="calm under v1")
    for number in range(episodes):
        if time.monotonic() >= until:
            return number
        one.episode(number)
        say(f"{one.settings.topic_prefix}{number + 1} of {episodes}: {one.champion}, {one.seconds[-1]:.1f} s")
    return episodes
