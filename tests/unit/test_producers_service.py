"""The loop sends the count it was told at the pace it was told, and ends cleanly at any moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from longshore.producers import service
from longshore.producers.encode import Clock, Encoder
from longshore.producers.generator import Districts
from longshore.producers.pacing import Pace
from longshore.producers.scenarios import Pipeline
from longshore.producers.stream import Labels, Stream
from longshore.schema import districts
from longshore.service import Runtime
from longshore.topics import Topics

SCHEMA = districts()
TOPICS = Topics.of("t.", SCHEMA)


class Recorder:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Any]] = {TOPICS.records: [], TOPICS.labels: []}
        self.flushed = 0

    def send_batch(self, topic: str, messages: list[dict[str, Any]]) -> None:
        self.sent[topic] += messages

    def flush(self) -> None:
        self.flushed += 1


class SimulatedTime(threading.Event):
    """A stop signal whose waits pass at once on a clock of their own; each look at the clock costs `cost_s`."""

    def __init__(self, cost_s: float = 0.0005) -> None:
        super().__init__()
        self.now = 100.0
        self.looks = 0
        self._cost_s = cost_s

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()

    def clock(self) -> float:
        self.now += self._cost_s
        self.looks += 1
        return self.now


def run(count: int | None, rate: float | None, time: SimulatedTime, stop_after: int | None = None) -> Any:
    sink, runtime = Recorder(), Runtime("producer")
    runtime.stop = time
    encoder = Encoder(SCHEMA, "r", Clock(0, 10))
    source = Districts(1)
    flow = Stream(SCHEMA, source, Pipeline([], SCHEMA, source, 1), encoder, seed=1, labels=Labels(50, 0.0))

    def advance(_records: int) -> None:
        if stop_after is not None and len(sink.sent[TOPICS.records]) >= stop_after:
            time.set()

    summary = service.produce(
        flow, sink, TOPICS, runtime, count=count, pace=Pace(rate), advance=advance, clock=time.clock
    )
    return summary, sink


@pytest.mark.parametrize("count", [1, 49, 4_096, 10_001])
def test_a_run_that_ends_sends_its_count_and_every_label(count: int) -> None:
    summary, sink = run(count, None, SimulatedTime())

    assert len(sink.sent[TOPICS.records]) == summary.produced == count
    assert len(sink.sent[TOPICS.labels]) == summary.labels == count
    assert sink.flushed == 1
    assert not summary.interrupted
    assert summary.labels_outstanding == 0


@pytest.mark.parametrize("rate", [3.0, 50.0, 777.0, 20_000.0])
def test_the_rate_is_kept_to_two_percent_without_busy_waiting(rate: float) -> None:
    time = SimulatedTime()
    count = max(200, int(rate * 5))

    summary, _sink = run(count, rate, time)

    assert summary.produced / summary.seconds == pytest.approx(rate, rel=0.02)
    assert time.looks < 3 * count / Pace(rate).block + summary.seconds + 10


def test_a_signal_ends_it_flushed_with_the_labels_that_were_not_due_counted() -> None:
    summary, sink = run(None, None, SimulatedTime(), stop_after=10_000)

    assert summary.interrupted
    assert summary.produced == len(sink.sent[TOPICS.records]) >= 10_000
    assert summary.labels == len(sink.sent[TOPICS.labels])
    assert summary.labels + summary.labels_outstanding == summary.produced
    assert summary.labels_outstanding == 50
    assert sink.flushed == 1


def test_a_signal_while_it_waits_for_a_slow_pace_ends_it_at_once() -> None:
    summary, sink = run(100, 0.01, SimulatedTime(), stop_after=1)

    assert summary.produced == 1
    assert summary.interrupted
    assert sink.flushed == 1


def test_the_description_is_flat() -> None:
    summary, _sink = run(10, None, SimulatedTime())
    summary.detail = {"run_id": "r"}

    assert summary.describe().keys() >= {"produced", "labels", "malformed", "run_id"}
    assert "detail" not in summary.describe()
