"""Who takes part: what each is, and how it is started for one run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks._environments import python_of
from benchmarks.scoring.peers_setup import PEERS, java_command
from benchmarks.scoring.run import Start
from benchmarks.scoring.world import World

from longshore.config import ScorerSettings

PLAIN, TRACED, PART, FEW = "bench.", "traced.", "part.", "few."
"""Prefixes of the input topics: without headers, with traceparent, and shorter ones for those who take long."""
FEW_RECORDS = 2_000

STREAMS_SETTINGS = {
    "num.stream.threads": "2",
    "max.poll.records": "5000",
    "producer.compression.type": "lz4",
    "producer.transaction.timeout.ms": "60000",
    "producer.batch.size": "262144",
    "producer.buffer.memory": "67108864",
    "consumer.auto.offset.reset": "earliest",
    "consumer.fetch.max.wait.ms": "20",
}
"""Larger batches and polls than its defaults, which are slower here, and patience on a machine that is busy."""

SCORE = [sys.executable, "-m", "longshore.cli.main", "score"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """`name` is its word on the command line; `prefix` tells which input it reads."""

    name: str
    title: str
    model: str
    guarantee: str
    make: Callable[[World, Contestant, int], Start]
    prefix: str = PLAIN
    needs: str = ""
    """The peer that must have been installed or built."""
    variables: tuple[tuple[str, str], ...] = ()

    def start(self, world: World, records: int) -> Start:
        """A run of its own: a new group, its own output topic."""
        return self.make(world, self, records)

    def missing(self) -> str:
        """Why it cannot run, judged by the settings this Longshore knows."""
        known = ScorerSettings.model_fields
        unknown = [name for name, _ in self.variables if name.split("__")[-1].lower() not in known]
        return f"this Longshore does not know {', '.join(unknown)}" if unknown else ""


def longshore(world: World, one: Contestant, records: int) -> Start:
    """`longshore score` as its user starts it, with its defaults."""
    group = world.new_group(one.name)
    environment = world.environment(one.prefix, LONGSHORE_SCORER__GROUP=group, **dict(one.variables))
    full = one.prefix + group
    return Start(SCORE, environment, full, f"{one.prefix}districts", f"{one.prefix}predictions", records)


def limit(*options: str) -> Callable[[World, Contestant, int], Start]:
    """The client alone."""

    def make(world: World, one: Contestant, records: int) -> Start:
        group, topic, output = world.new_group(one.name), f"{one.prefix}districts", f"{one.prefix}output"
        command = [sys.executable, "-m", "benchmarks.scoring.limit", world.bootstrap, group, topic, output, *options]
        return Start(command, world.environment(one.prefix), group, topic, output, records)

    return make


def quix(kind: str) -> Callable[[World, Contestant, int], Start]:
    """Quix Streams: without a model, or with one called per record."""

    def make(world: World, one: Contestant, records: int) -> Start:
        group, topic, output = world.new_group(one.name), f"{one.prefix}districts", f"{one.prefix}output"
        # One OpenMP thread for one row: several wait for each other, the more so on a busy machine.
        environment = world.environment(one.prefix, OMP_NUM_THREADS="1")
        files = {"none": [], "sklearn": [str(world.sklearn_file)], "onnx": [str(world.model_file)]}[kind]
        command = [python_of("quix"), PEERS / "quix_peer.py", world.bootstrap, group, topic, output, kind, *files]
        return Start(list(map(str, command)), environment, group, topic, output, records)

    return make


def streams(*, with_model: bool, commit_ms: int = 100, linger_ms: int = 5) -> Callable[[World, Contestant, int], Start]:
    """Kafka Streams on two threads; settings with a dot are its own."""

    def make(world: World, one: Contestant, records: int) -> Start:
        group, topic, output = world.new_group(one.name), f"{one.prefix}districts", f"{one.prefix}output"
        words = {"input": topic, "output": output, "application.id": group, "bootstrap.servers": world.bootstrap}
        words |= {"state.dir": str(world.folder / "streams"), "commit.interval.ms": str(commit_ms)} | STREAMS_SETTINGS
        words |= {"producer.linger.ms": str(linger_ms)}
        words |= {"model": str(world.model_file)} if with_model else {}
        command = [*java_command(), *(f"{name}={value}" for name, value in words.items())]
        return Start(command, world.environment(one.prefix), group, topic, output, records)

    return make


def faust(world: World, one: Contestant, records: int) -> Start:
    """Faust, exactly once."""
    group, topic, output = world.new_group(one.name), f"{one.prefix}districts", f"{one.prefix}output"
    folder = str(world.folder / group)
    command = [python_of("faust"), PEERS / "faust_peer.py", world.bootstrap, group, topic, output, folder]
    return Start(list(map(str, command)), world.environment(one.prefix), group, topic, output, records)


def bytewax(world: World, one: Contestant, records: int) -> Start:
    """Bytewax keeps its positions itself: it is done when its output is complete."""
    group, topic, output = world.new_group(one.name), f"{one.prefix}districts", f"{one.prefix}output"
    command = [python_of("bytewax"), PEERS / "bytewax_peer.py", world.bootstrap, topic, output]
    return Start(list(map(str, command)), world.environment(one.prefix), group, topic, output, records, commits=False)


def overrides(consumer: dict[str, object], producer: dict[str, object]) -> tuple[str, str]:
    """Options for `limit` that change the client's settings."""
    return "--set", json.dumps({"consumer": consumer, "producer": producer})


CONTESTANTS: tuple[Contestant, ...] = (
    Contestant("limit", "confluent-kafka alone, equal bytes", "none", "exactly once", limit()),
    Contestant(
        "limit-tuned",
        "confluent-kafka alone, equal bytes, fetch back-off as Longshore's",
        "none",
        "exactly once",
        limit(*overrides({"fetch.queue.backoff.ms": 20}, {})),
    ),
    Contestant("limit-raw", "confluent-kafka alone, input bytes", "none", "exactly once", limit("--raw")),
    Contestant("longshore", "Longshore", "ONNX", "exactly once", longshore),
    Contestant(
        "longshore-alo",
        "Longshore, at least once",
        "ONNX",
        "at least once",
        longshore,
        variables=(("LONGSHORE_SCORER__DELIVERY", "at_least_once"),),
    ),
    Contestant("longshore-traced", "Longshore, traceparent headers", "ONNX", "exactly once", longshore, prefix=TRACED),
    Contestant("streams", "Kafka Streams, 2 threads", "none", "exactly once", streams(with_model=False), needs="java"),
    Contestant(
        "streams-onnx", "Kafka Streams, 2 threads", "ONNX", "exactly once", streams(with_model=True), needs="java"
    ),
    Contestant("quix", "Quix Streams", "none", "exactly once", quix("none"), needs="quix"),
    Contestant(
        "quix-onnx", "Quix Streams", "ONNX, per record", "exactly once", quix("onnx"), prefix=PART, needs="quix"
    ),
    Contestant(
        "quix-sklearn", "Quix Streams", "scikit-learn", "exactly once", quix("sklearn"), prefix=FEW, needs="quix"
    ),
    Contestant("faust", "Faust", "none", "exactly once", faust, prefix=PART, needs="faust"),
    Contestant("bytewax", "Bytewax", "none", "at least once", bytewax, needs="bytewax"),
)
