"""The producers' shell: sends a stream's blocks at a pace until its end or a signal, then waits for the brokers.

What is sent is `longshore.producers.stream`'s decision, when is `longshore.producers.pacing`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from longshore import telemetry
from longshore.producers.encode import Message
from longshore.producers.pacing import Pace
from longshore.producers.stream import Block, Stream
from longshore.service import Runtime
from longshore.topics import Topics

LONGEST_WAIT_S = 5.0
"""A slow stream still shows that it lives: the heartbeat never waits longer."""


class Sink(Protocol):
    """Where messages go (`longshore.kafka.writer.Writer`)."""

    def send_batch(self, topic: str, messages: list[Message]) -> None:
        """Queue messages, waiting while there is no room."""

    def flush(self) -> None:
        """Wait until all have arrived."""


@dataclass(slots=True)
class Summary:
    """What a run sent. `labels_outstanding` are labels whose time had not come when it was interrupted."""

    produced: int = 0
    labels: int = 0
    malformed: int = 0
    labels_outstanding: int = 0
    interrupted: bool = False
    seconds: float = 0.0
    records_per_s: float = 0.0
    detail: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """All of it as one flat mapping, for JSON."""
        values = asdict(self)
        detail: dict[str, Any] = values.pop("detail")
        return values | detail


def produce(
    stream: Stream,
    sink: Sink,
    topics: Topics,
    runtime: Runtime,
    *,
    count: int | None,
    pace: Pace,
    advance: Callable[[int], None] = lambda _records: None,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Send `count` records (None: without end) and their labels; everything counted has arrived when it returns.

    A run that reaches its end sends the outstanding labels at once. An interrupted one drops them, as a feed of labels
    that stops does, and counts them.

    Raises:
        UnavailableError: Kafka did not take the messages.

    """
    summary, started = Summary(), clock()
    runtime.set_ready(True)
    while not runtime.stop.is_set() and (count is None or summary.produced < count):
        runtime.beat()
        wait_s = pace.wait_s(summary.produced, clock() - started)
        if wait_s > 0:
            runtime.stop.wait(min(wait_s, LONGEST_WAIT_S))
            continue
        size = pace.block if count is None else min(pace.block, count - summary.produced)
        _send(stream.block(size), sink, topics, summary)
        advance(size)
    summary.interrupted = count is None or summary.produced < count
    _finish(stream, sink, topics, summary)
    summary.seconds = clock() - started
    summary.records_per_s = summary.produced / summary.seconds if summary.seconds > 0 else 0.0
    return summary


def _send(block: Block, sink: Sink, topics: Topics, summary: Summary) -> None:
    sink.send_batch(topics.records, block.records)
    if block.labels:
        sink.send_batch(topics.labels, block.labels)
    summary.produced += len(block.records)
    summary.labels += len(block.labels)
    summary.malformed += block.malformed
    telemetry.RECORDS_PRODUCED.labels(topics.records).inc(len(block.records))
    telemetry.RECORDS_PRODUCED.labels(topics.labels).inc(len(block.labels))


def _finish(stream: Stream, sink: Sink, topics: Topics, summary: Summary) -> None:
    if summary.interrupted:
        summary.labels_outstanding = stream.outstanding
    else:
        _send(Block([], stream.flush(), 0), sink, topics, summary)
    sink.flush()
