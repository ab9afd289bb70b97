"""End to end: from the moment a record should have been sent to a `read_committed` reader's having its prediction.

`python -m benchmarks.scoring.latency produce|read …`: producer and reader are processes of their own, apart from the
contestant. Open loop: record i is due at `begin + i / rate` whatever happened to those before it, and its latency
counts from then, so a stall delays all who queue behind it in the figures as in life. All three share one monotonic
clock. Record ids carry i; the records are the generator's otherwise.
"""

from __future__ import annotations

import argparse
import gc
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from benchmarks.scoring.figures import percentile
from benchmarks.scoring.run import Processes, Start
from benchmarks.scoring.world import ROOT, World, record_blocks
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

NUMBER = re.compile(rb'"record_id":"m-(\d+)"')
GRACE_S = 15.0
SETTLE_S = 0.5
WARM_RECORDS = 20_000
"""Enough for a JVM to have compiled what it runs."""
READY_TIMEOUT_S = 90.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds; `lost` never came, or came after the last was due by more than the grace."""

    p50: float
    p99: float
    p999: float
    largest: float
    records: int
    lost: int

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def measure(world: World, start: Start, *, rate: int, warm_s: float, seconds: float) -> Latency | str:
    """One contestant at one rate, on topics of its own; or why there is no figure.

    Before the clock starts the contestant has scored and committed a first batch, and `warm_s` of the stream follow
    that do not count: transactions, coordinators and a JVM are warm.
    """
    world.fresh_topic(start.input, start.partitions)
    world.fresh_topic(start.output, start.partitions)
    warm, counted = int(rate * warm_s), int(rate * seconds)
    result = world.folder / "latency.npy"
    result.unlink(missing_ok=True)
    with Processes(start, world.folder) as processes:
        _produce_at_once(world, start.input, WARM_RECORDS)
        if problem := _wait_committed(world, start, processes):
            return problem
        common = [world.bootstrap, str(rate), str(warm + counted)]
        reading = [*common, start.output, "--partitions", str(start.partitions), "--to", str(result)]
        ends = [_end("read", reading, world), _end("produce", [*common, start.input], world)]
        try:
            _begin_together(ends)
            for process in ends:
                process.wait(warm_s + seconds + GRACE_S + 60)
        finally:
            for process in ends:
                process.kill()
                process.wait()
        if dead := processes.dead():
            return dead
    world.drop(start.output, start.input)
    measured = summary(np.load(result)[warm:])
    return measured if measured.records else f"none of {counted:,} records came within {GRACE_S:.0f} s"


def _end(role: str, arguments: list[str], world: World) -> subprocess.Popen[str]:
    """The producer or the reader."""
    command = [sys.executable, "-m", "benchmarks.scoring.latency", role, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=world.environment(""), cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def _begin_together(ends: list[subprocess.Popen[str]]) -> None:
    """Wait until each says that it is ready, then tell both the same begin."""
    for process in ends:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("the latency producer or reader ended before it began")
    begin = time.monotonic() + SETTLE_S
    for process in ends:
        assert process.stdin is not None
        process.stdin.write(f"{begin!r}\n")
        process.stdin.flush()


def _told_begin() -> float:
    print("ready", flush=True)
    return float(sys.stdin.readline())


def summary(seconds: Any) -> Latency:
    """Figures of the latencies in seconds; NaN is a record that never came."""
    came = seconds[~np.isnan(seconds)] * 1_000
    if not len(came):
        return Latency(0.0, 0.0, 0.0, 0.0, 0, len(seconds))
    ordered = came.tolist()
    p50, p99, p999 = (percentile(ordered, share) for share in (0.5, 0.99, 0.999))
    return Latency(p50, p99, p999, float(came.max()), len(came), int(len(seconds) - len(came)))


def _produce_at_once(world: World, topic: str, records: int) -> None:
    producer = Producer(producer_config(world.bootstrap))
    for block in record_blocks(records):
        for message in block:
            producer.produce(topic, key=message["key"], value=message["value"])
    producer.flush(30)


def _wait_committed(world: World, start: Start, processes: Processes) -> str:
    deadline = time.monotonic() + READY_TIMEOUT_S
    with world.progress(start.group, start.input) as behind:
        while behind() != 0:
            if dead := processes.dead():
                return dead
            if time.monotonic() > deadline:
                return f"not ready after {READY_TIMEOUT_S:.0f} s: {processes.last_lines()}"
            time.sleep(0.1)
    return ""


def producer_config(bootstrap: str) -> dict[str, Any]:
    """A producer that waits for nobody: a record leaves at once, unless five requests are under way already."""
    return {
        "bootstrap.servers": bootstrap,
        "enable.idempotence": True,
        "linger.ms": 0,
        "max.in.flight.requests.per.connection": 5,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
    }


def _produce(args: argparse.Namespace) -> None:
    prepared = [message for block in record_blocks(args.count) for message in block]
    for number, message in enumerate(prepared):
        fields = msgspec.json.decode(message["value"])
        message["value"] = msgspec.json.encode(fields | {"record_id": f"m-{number}"})
    producer = Producer(producer_config(args.bootstrap))
    producer.list_topics(args.topic, timeout=10)
    gc.freeze()
    gc.disable()
    begin = _told_begin()
    for number, message in enumerate(prepared):
        due = begin + number / args.rate
        while (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        producer.produce(args.topic, key=message["key"], value=message["value"])
        producer.poll(0)
    producer.flush(30)


def _read(args: argparse.Namespace) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": args.bootstrap,
            "group.id": "bench-latency-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 500,
        }
    )
    consumer.assign([TopicPartition(args.topic, number, OFFSET_BEGINNING) for number in range(args.partitions)])
    latency = np.full(args.count, np.nan)
    consumer.consume(1, 1.0)  # the warm-up's predictions: it is connected before anything counts
    gc.freeze()
    gc.disable()
    begin, seen = _told_begin(), 0
    over = begin + args.count / args.rate + GRACE_S
    while seen < args.count and time.monotonic() < over:
        events = consumer.consume(1, 0.2)
        events += consumer.consume(10_000, 0) if events else []
        now = time.monotonic()
        for event in events:
            found = NUMBER.search(event.value()) if event.error() is None else None
            if found and np.isnan(latency[int(found[1])]):
                number = int(found[1])
                latency[number] = now - (begin + number / args.rate)
                seen += 1
    np.save(args.to, latency)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("produce", "read"))
    parser.add_argument("bootstrap")
    parser.add_argument("rate", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("topic")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--to", type=Path)
    args = parser.parse_args()
    (_produce if args.role == "produce" else _read)(args)


if __name__ == "__main__":
    main()
