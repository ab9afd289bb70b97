"""Reads the stream's labelled records: predictions and labels from their topics, on from where it last stopped.

A shell over `longshore.kafka.reader`; which rows come out is `longshore.trainer.join`'s rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from longshore.config import Settings
from longshore.kafka.reader import read_all
from longshore.schema import Schema
from longshore.topics import Topics
from longshore.trainer.join import Join
from longshore.trainer.rows import LabelledRows
from longshore.trainer.training import TrainingSet

UNLABELLED_ROOM = 2
"""Records and labels held per row wanted: some wait for their other half."""


class StreamDataset:
    """The labelled rows of the topics as far as they were read; `refresh` reads on."""

    def __init__(self, settings: Settings, schema: Schema) -> None:
        self._settings = settings
        self._topics = Topics.of(settings.topic_prefix, schema)
        self._join = Join(schema, UNLABELLED_ROOM * settings.trainer.max_rows)
        self._offsets: dict[str, dict[int, int]] = {self._topics.predictions: {}, self._topics.labels: {}}

    def refresh(self) -> LabelledRows:
        """Read both topics to their present end; the newest `trainer.max_rows` labelled rows, by event time.

        Raises:
            UnavailableError: no broker answers, or the topics do not exist.

        """
        # Labels last: a label that is there when its record was read is then found with it.
        self._read(self._topics.predictions, self._join.add_predictions)
        self._read(self._topics.labels, self._join.add_labels)
        return self._join.rows(self._settings.trainer.max_rows)

    def training_set(self, rows: LabelledRows, fresh_from_ms: int = 0) -> TrainingSet:
        """Rows with `event_time` from `fresh_from_ms` on are fresh; the older ones are history."""
        fresh = rows.columns.event_times >= fresh_from_ms
        return TrainingSet(
            rows=rows.take(np.flatnonzero(fresh)),
            history=rows.take(np.flatnonzero(~fresh)),
            source=f"stream {self._topics.predictions}, {self._topics.labels}",
            offsets={
                topic: {str(number): offset for number, offset in at.items()} for topic, at in self._offsets.items()
            },
            left_out={name: getattr(self._join.counts, name) for name in self._join.counts.__slots__},
        )

    def _read(self, topic: str, add: Callable[[Sequence[bytes | None]], None]) -> None:
        offsets = self._offsets[topic]
        for messages in read_all(self._settings, topic, from_offsets=offsets):
            add([message.value() for message in messages])
            for message in messages:
                offsets[message.partition()] = message.offset() + 1
