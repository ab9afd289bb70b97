"""A stream of records and labels, in the order in which they go out: pure, the same for the same seed and plan.

Source → scenarios → malformed → bytes, and each label when its record is `delay` records old. When to send is
`longshore.producers.pacing`'s decision, sending is `longshore.producers.service`'s work.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from longshore.producers import malformed
from longshore.producers.chance import uniform
from longshore.producers.encode import Encoder, Message
from longshore.producers.rows import Rows, Source
from longshore.producers.scenarios import Pipeline
from longshore.schema import Schema


@dataclass(frozen=True, slots=True)
class Labels:
    """Truths follow `delay` records behind; a share `missing` of them never does."""

    delay: int
    missing: float


@dataclass(frozen=True, slots=True)
class Block:
    """What goes out next: records, then the labels that have come due with them."""

    records: list[Message]
    labels: list[Message]
    malformed: int


class Stream:
    """Cuts a source into blocks of messages. Blocks are asked for in order, of any size.

    `labels` None sends none. A malformed record has no label.
    """

    def __init__(
        self,
        schema: Schema,
        source: Source,
        pipeline: Pipeline,
        encoder: Encoder,
        *,
        seed: int,
        labels: Labels | None,
        malformed_share: float = 0.0,
    ) -> None:
        self._schema = schema
        self._source = source
        self._pipeline = pipeline
        self._encoder = encoder
        self._seed = seed
        self._labels = labels
        self._malformed_share = malformed_share
        self._next = 0
        self._waiting: deque[tuple[int, Message]] = deque()

    @property
    def outstanding(self) -> int:
        """Labels whose time has not come."""
        return len(self._waiting)

    def block(self, count: int) -> Block:
        """The next `count` records (fewer at the source's end) with the labels that they make due."""
        rows = self._pipeline.apply(self._source.rows(self._next, count))
        records = self._encoder.records(rows)
        bad = malformed.positions(uniform(self._seed, "malformed", rows.index), self._malformed_share)
        for position in bad.tolist():
            number = int(rows.index[position])
            records[position]["value"] = malformed.broken(records[position]["value"], number, self._schema)
        self._next += len(rows)
        self._queue_labels(rows, bad)
        return Block(records, self._due(self._next), len(bad))

    def flush(self) -> list[Message]:
        """All labels that are still outstanding, in order."""
        rest = [message for _, message in self._waiting]
        self._waiting.clear()
        return rest

    def _queue_labels(self, rows: Rows, bad: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
        if self._labels is None:
            return
        known = uniform(self._seed, "label", rows.index) >= self._labels.missing
        known &= ~np.isnan(rows.target)
        known[bad] = False
        index, delay = rows.index[known], self._labels.delay
        messages = self._encoder.labels(index, rows.keys[known], rows.target[known], delay)
        self._waiting.extend(zip((index + delay).tolist(), messages, strict=True))

    def _due(self, sent: int) -> list[Message]:
        """Labels whose record is at least `delay` records older than the last one sent."""
        due = []
        while self._waiting and self._waiting[0][0] < sent:
            due.append(self._waiting.popleft()[1])
        return due
