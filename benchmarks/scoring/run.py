"""One run of one contestant: started, watched until its group has committed everything, its output counted."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from benchmarks.scoring.figures import steady_rate
from benchmarks.scoring.world import World, Written
from confluent_kafka import KafkaException

from longshore.errors import LongshoreError

POLL_S = 0.1
STALLED_S = 90.0
"""Without any progress for so long a contestant has failed."""


@dataclass(frozen=True, slots=True)
class Start:
    """How one contestant is started for one run: its processes are the same command `processes` times."""

    command: list[str]
    environment: dict[str, str]
    group: str
    input: str
    output: str
    records: int
    partitions: int = 4
    processes: int = 1
    commits: bool = True
    """Whether progress is the group's committed offsets; if not, it is the size of the output."""


@dataclass(slots=True)
class Run:
    """What a run gave; `problem` is empty where every record came out once."""

    rate: float | None
    problem: str = ""
    seconds: float = 0.0
    cpu_s: float = 0.0
    rss_mb: float = 0.0
    value_bytes: float = 0.0
    written: Written | None = None
    memory: list[tuple[float, float]] = field(default_factory=list)
    joined_ms: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        names = ("rate", "problem", "seconds", "cpu_s", "rss_mb", "value_bytes")
        return {name: getattr(self, name) for name in names}


class Processes:
    """A contestant's processes, with their logs; ended at the end of the block."""

    def __init__(self, start: Start, folder: Path) -> None:
        self._start = start
        self._folder = folder
        self.all: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Processes:
        for number in range(self._start.processes):
            with (self._folder / f"{self._start.group}-{number}.log").open("wb") as log:
                self.all.append(
                    subprocess.Popen(
                        self._start.command, env=self._start.environment, cwd=self._folder, stdout=log, stderr=log
                    )
                )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.all:
            process.terminate()
        for process in self.all:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def dead(self) -> str:
        """Why one has ended, if it has."""
        codes = [process.poll() for process in self.all]
        return f"ended with {codes}: {self.last_lines()}" if any(code is not None for code in codes) else ""

    def last_lines(self) -> str:
        """The end of the first process's log."""
        text = (self._folder / f"{self._start.group}-0.log").read_text(errors="replace").strip()
        return " | ".join(text.splitlines()[-3:])[-400:]


class Sampler(threading.Thread):
    """Resident memory (their sum), sampled; CPU seconds so far."""

    def __init__(self, processes: Processes, every_s: float = 0.25) -> None:
        super().__init__(daemon=True)
        self._watched = [psutil.Process(process.pid) for process in processes.all]
        self._every_s = every_s
        self._over = threading.Event()
        self.memory: list[tuple[float, float]] = []
        self.cpu_s = 0.0

    def run(self) -> None:
        while not self._over.wait(self._every_s):
            try:
                resident = sum(process.memory_info().rss for process in self._watched)
                times = [process.cpu_times() for process in self._watched]
            except psutil.Error:
                continue
            self.memory.append((time.time() * 1_000, resident / 2**20))
            self.cpu_s = sum(each.user + each.system for each in times)

    def end(self) -> None:
        self._over.set()
        self.join()


def throughput(world: World, start: Start, *, at_least: bool = False, keep: bool = False) -> Run:
    """Let a contestant work through the whole input, then count what a committed reader sees of its output."""
    try:
        return _throughput(world, start, at_least, keep)
    except (LongshoreError, KafkaException) as error:
        return Run(None, f"{type(error).__name__}: {error}"[:300])


def _throughput(world: World, start: Start, at_least: bool, keep: bool) -> Run:
    world.fresh_topic(start.output, start.partitions)
    began = time.perf_counter()
    joined_ms, problem = 0.0, ""
    with Processes(start, world.folder) as processes:
        sampler = Sampler(processes)
        sampler.start()
        problem, joined_ms = _watch(world, start, processes)
        sampler.end()
        seconds = time.perf_counter() - began
    run = Run(None, problem, seconds, sampler.cpu_s, max((mb for _, mb in sampler.memory), default=0.0))
    run.memory, run.joined_ms = sampler.memory, joined_ms
    if not problem:
        written = world.written(start.output)
        run.value_bytes = written.value_bytes
        complete = len(written) >= start.records if at_least else len(written) == start.records
        run.problem = "" if complete else f"{len(written):,} outputs of {start.records:,} records"
        run.rate = steady_rate(written.times_ms) if complete else None
        run.written = written if keep else None
    world.drop(start.output)
    return run


def _watch(world: World, start: Start, processes: Processes) -> tuple[str, float]:
    """Until everything is committed: ("", when all members had joined), or what went wrong."""
    left, moved, joined_ms = start.records, time.monotonic(), 0.0
    with world.progress(start.group, start.input) as behind:
        while left > 0:
            time.sleep(POLL_S)
            if dead := processes.dead():
                return dead, joined_ms
            now = behind() if start.commits else start.records - sum(world.ends(start.output).values())
            if now is not None and now != left:
                left, moved = now, time.monotonic()
            elif time.monotonic() - moved > STALLED_S:
                return f"stalled with {left:,} records to go: {processes.last_lines()}", joined_ms
            if not joined_ms and start.processes > 1 and world.members(start.group) >= start.processes:
                joined_ms = time.time() * 1_000
    return "", joined_ms


def rate_of_all(run: Run) -> float | None:
    """Records a second while every process works: from when all had joined to the first partition's end."""
    if run.written is None:
        return None
    times, partitions = run.written.times_ms, run.written.partitions
    first_end = min(times[partitions == number].max() for number in np.unique(partitions))
    begin = max(run.joined_ms, float(np.sort(times)[len(times) // 10]))
    inside = int(((times > begin) & (times <= first_end)).sum())
    return inside / ((first_end - begin) / 1_000) if first_end - begin > 500 else None
