"""How long a new model takes to reach every replica, and what the swap costs: two scorer processes under steady load.

    python benchmarks/swaps.py                        # 1,000 swaps with notifications, 200 without
    python benchmarks/swaps.py --swaps 80 --lost 20   # a short form

Two signed versions of a gradient-boosting model of at least 200 trees take turns as champion: the second is promoted,
then rolled back. `to every replica`: from
the alias's move to the first prediction by the new version, committed and read, in the last of all partitions.
`lost`: the promoter dies right after the alias's move; nobody tells Redis, no hint is sent, scorers find out by
looking. `between versions`: the longest stretch from the old version's last record to the new one's first (`scored_at`)
in any partition; `paused`: as much of it as that first record had been waiting for, from when it was made; `around`:
the longest such wait of any partition in a window around each swap, and in one as long before it, without a swap.
Memory: resident, after the first tenth of the swaps and at the end. Kafka, Redis and the load (a process of its own)
share the machine with the scorers; the broker is warmed first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from benchmarks._warming import warm_up
from confluent_kafka import Producer
from pydantic import SecretStr

from longshore.config import Settings
from longshore.kafka.admin import create_topics
from longshore.kafka.reader import follow
from longshore.key_files import signer
from longshore.local.stack import LocalStack
from longshore.manifest import SERVING
from longshore.producers.generator import districts_frame, history_frame
from longshore.projector import Projector
from longshore.records import ModelEventKind
from longshore.redis_store import ModelCache
from longshore.registry import Registry
from longshore.schema import districts
from longshore.served_model import ServedModel
from longshore.topics import Topics
from longshore.trainer import golden
from longshore.trainer.export import to_onnx
from longshore.trainer.fit import CANDIDATES, MANY_ROWS, Parameters, fit
from longshore.trainer.housing import recipe_for
from longshore.trainer.rows import from_frame

SCHEMA = districts()
SCORERS, PARTITIONS, TREES = 2, 4, 220
WINDOW_S = 0.6
WARM_S = 45.0
"""A broker just started compiles its own code meanwhile, and pauses everybody for 100 ms."""
LIMIT_S = 180.0


class Load:
    """A process that writes `rate` records a second, over all partitions by key, until it is told to end."""

    def __init__(self, settings: Settings, topic: str, rate: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop, self._sent = context.Event(), context.Value("q", 0)
        given = (str(settings.bootstrap_servers), topic, rate, self._stop, self._sent)
        self._process = context.Process(target=write, args=given, daemon=True)

    @property
    def sent(self) -> int:
        return int(self._sent.value)

    def start(self) -> None:
        self._process.start()

    def end(self) -> None:
        self._stop.set()
        self._process.join(40)


def write(servers: str, topic: str, rate: int, stop: Any, sent: Any) -> None:
    """Their event time is when they were made, in ms."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 1})
    rows = json.loads(districts_frame(1_000, 9).to_json(orient="records"))
    started, number = time.monotonic(), 0
    while not stop.is_set():
        for i in range(number, int((time.monotonic() - started) * rate)):
            now = int(time.time() * 1_000)
            body = rows[i % 1_000] | {"record_id": f"r{i}", "district_id": f"d{i % 400}", "event_time": now}
            producer.produce(topic, json.dumps(body).encode(), f"d{i % 400}".encode())
            number = i + 1
        sent.value = number
        producer.poll(0)
        time.sleep(0.002)
    producer.flush(30)


class Scored(NamedTuple):
    """The first record of a partition with this `scored_at`: for how long none was scored before, and it waited."""

    at: int
    gap: int
    waited: int


@dataclass
class Watch:
    """What came out: when each partition first showed a version since `expect`, when records were scored, how many."""

    version: str = ""
    first: dict[int, float] = field(default_factory=dict)
    changes: list[Scored] = field(default_factory=list)
    scored: defaultdict[int, list[Scored]] = field(default_factory=lambda: defaultdict(list))
    offsets: set[tuple[int, int]] = field(default_factory=set)
    count: int = 0

    def expect(self, version: str) -> None:
        self.first, self.changes = {}, []
        self.version = version

    def add(self, partition: int, value: dict[str, Any]) -> None:
        self.count += 1
        self.offsets.add((value["source"]["partition"], value["source"]["offset"]))
        times, at = self.scored[partition], value["scored_at"]
        gap = at - times[-1].at if times else 0
        found = Scored(at, gap, max(0, min(gap, at - value["event_time"])))
        if value["model_version"] == self.version and partition not in self.first:
            self.changes.append(found)
            self.first[partition] = time.time()
        if not times or gap:
            times.append(found)

    def longest_wait_ms(self, since_ms: float, until_ms: float) -> float:
        """The longest pause of any partition that touches the window: no record scored, though one waited."""
        waits = [
            found.waited
            for times in list(self.scored.values())
            for found in times[-8_000:]
            if since_ms < found.at and found.at - found.waited < until_ms
        ]
        return float(max(waits, default=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=1_000, help="with notifications")
    parser.add_argument("--lost", type=int, default=200, help="without")
    parser.add_argument("--rate", type=int, default=1_000, help="records a second")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, LocalStack(Path(folder) / "stack", ephemeral=True) as stack:
        settings = Settings(
            bootstrap_servers=stack.bootstrap_servers,
            redis_url=SecretStr(stack.redis_url),
            home=Path(folder),
            registry_url=str(Path(folder) / "registry"),
        )
        create_topics(settings, Topics.of(settings.topic_prefix, SCHEMA).specs(settings))
        registry = Registry.open(settings.registry(), settings.model)
        sizes = [register(registry, settings, seed) for seed in (1, 2)]
        print(
            f"models of {TREES} trees, {sizes[0]:,} bytes; load {args.rate:,} records/s; {SCORERS} scorers", flush=True
        )
        run(settings, registry, stack.pids["kafka"], args)


def register(registry: Registry, settings: Settings, seed: int) -> int:
    """A signed version with golden rows, as the trainer makes it, only with more trees."""
    rows = from_frame(history_frame(6_000, seed), SCHEMA)
    pipeline = fit(rows, None, CANDIDATES[0], recipe_for(SCHEMA), PARAMETERS)
    onnx = to_onnx(pipeline)
    model = ServedModel.load(onnx)
    columns = (list(model.numeric), list(model.nominal))
    needs = {"serving": SERVING, "target": SCHEMA.target, "numeric": columns[0], "nominal": columns[1]}

    def fitted(asked: Any) -> Any:
        return pipeline.predict(asked.frame())

    proof = {"needs": needs, "golden": golden.choose(rows.columns, model.predict, fitted, columns)}
    registry.register({"model.onnx": onnx}, proof, signer=signer(settings))
    return len(onnx)


PARAMETERS = Parameters(many=replace(MANY_ROWS, max_iter=TREES, early_stopping=False))


def run(settings: Settings, registry: Registry, broker: int, args: argparse.Namespace) -> None:
    assert settings.redis_url is not None
    topics = Topics.of(settings.topic_prefix, SCHEMA)
    projector = Projector(settings, registry, ModelCache(settings.redis_url.get_secret_value()), None)
    watch, stop = Watch(), threading.Event()
    load = Load(settings, topics.records, args.rate)
    reader = threading.Thread(target=read, args=(settings, topics.predictions, watch, stop), daemon=True)
    reader.start()
    move(registry, watch, projector)
    scorers = [start(settings, slot) for slot in range(SCORERS)]
    try:
        load.start()
        wait(lambda: len(watch.first) == PARTITIONS, "the first predictions")
        print(f"broker {warm_up(broker, time.sleep, WARM_S)}", flush=True)
        plan = [True] * args.swaps + [False] * args.lost
        found = swap_all(plan, registry, watch, projector, scorers)
    finally:
        load.end()
    wait(lambda: watch.count >= load.sent, "every record")
    for scorer in scorers:
        scorer.terminate()
    assert [scorer.wait(30) for scorer in scorers] == [0] * SCORERS
    stop.set()
    lost, doubled = load.sent - len(watch.offsets), watch.count - len(watch.offsets)
    print(f"\n{load.sent:,} records: {lost} lost, {doubled} doubled")
    report(found, args.swaps)


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap: seconds to every replica; ms between versions, pauses at, around and before it; MB of each scorer."""

    seconds: float
    between_ms: float
    paused_ms: float
    around_ms: float
    usual_ms: float
    memory: tuple[float, ...]


def swap_all(
    plan: list[bool], registry: Registry, watch: Watch, projector: Projector, scorers: list[subprocess.Popen[bytes]]
) -> list[Swap]:
    found = []
    for number, told in enumerate(plan):
        quiet = time.time()
        time.sleep(WINDOW_S)
        moved = move(registry, watch, projector if told else None)
        wait(lambda: len(watch.first) == PARTITIONS, "every partition on the new version")
        seconds = max(watch.first.values()) - moved
        # The window ends a little after the swap: what was read so far was scored up to now.
        time.sleep(max(0.0, WINDOW_S - seconds))
        until = moved + max(seconds, WINDOW_S)
        around = watch.longest_wait_ms(moved * 1_000, until * 1_000 - 100)
        usual = watch.longest_wait_ms(quiet * 1_000 + 50, quiet * 1_000 + WINDOW_S * 1_000 - 50)
        memory = tuple(psutil.Process(scorer.pid).memory_info().rss / 2**20 for scorer in scorers)
        between, paused = (max(getattr(change, name) for change in watch.changes) for name in ("gap", "waited"))
        found.append(Swap(seconds, between, paused, around, usual, memory))
        if number % 20 == 19:
            print(f"{number + 1:5} swaps, {memory[0]:.0f} and {memory[-1]:.0f} MB", flush=True)
    return found


def move(registry: Registry, watch: Watch, projector: Projector | None) -> float:
    """Make the other version champion; with a projector, Redis is told and a hint sent. When that began."""
    alias = registry.alias()
    back = alias is not None and alias.version == "v2"
    version = "v1" if alias is None or back else "v2"
    watch.expect(version)
    began = time.time()
    registry.move_alias(
        "champion",
        version,
        expected_generation=alias.generation if alias else 0,
        trigger_id="",
        actor="benchmark",
        reason="",
        kind=ModelEventKind.ROLLED_BACK if back else ModelEventKind.PROMOTED,
    )
    if projector is not None:
        assert projector.tick() == []
    return began


def start(settings: Settings, slot: int) -> subprocess.Popen[bytes]:
    assert settings.redis_url is not None
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
    environment = clean | {
        "LONGSHORE_BOOTSTRAP_SERVERS": str(settings.bootstrap_servers),
        "LONGSHORE_REDIS_URL": settings.redis_url.get_secret_value(),
        "LONGSHORE_REGISTRY_URL": settings.registry(),
        "LONGSHORE_HOME": str(settings.home),
    }
    log = (settings.home / f"score-{slot}.log").open("wb")
    command = [sys.executable, "-m", "longshore.cli.main", "score", "--instance", f"s{slot}"]
    return subprocess.Popen(command, env=environment, cwd=settings.home, stdout=log, stderr=log)


def read(settings: Settings, topic: str, watch: Watch, stop: threading.Event) -> None:
    for batch in follow(settings, topic, stop=stop):
        for message in batch:
            watch.add(message.partition(), json.loads(message.value() or b""))


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {LIMIT_S:.0f} s"
        time.sleep(0.002)


PAUSES = ("between_ms", "paused_ms", "around_ms", "usual_ms")


def report(found: list[Swap], told: int) -> None:
    print("\n| swaps | number | to every replica p50 | p99 | longest | between versions p50 | p99 | paused p50 "
          "| p99 | around p50 | p99 | without a swap p50 | p99 |")  # fmt: skip
    print("|---" * 13 + "|")
    kinds = {
        "with notifications": found[:told],
        "of these, rollbacks": found[1:told:2],
        "notifications lost": found[told:],
    }
    for name, some in kinds.items():
        if some:
            seconds = [swap.seconds for swap in some]
            pauses = [[getattr(swap, name) for swap in some] for name in PAUSES]
            cells = [f"{percentile(seconds, q):.3f} s" for q in (50, 99, 100)]
            cells += [f"{percentile(each, q):.0f} ms" for each in pauses for q in (50, 99)]
            print(f"| {name} | {len(some)} | {' | '.join(cells)} |")
    early = found[len(found) // 10].memory
    growth = [f"{before:.0f} to {after:.0f} MB ({after / before - 1:+.1%})" for before, after in
              zip(early, found[-1].memory, strict=True)]  # fmt: skip
    print(f"\nresident memory from swap {len(found) // 10 + 1} to {len(found)}: {', '.join(growth)}")


def percentile(values: list[float], q: int) -> float:
    if q == 50:
        return statistics.median(values)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q / 100))]


if __name__ == "__main__":
    main()
