"""Reads the stream's labelled records: predictions and labels from their topics, on from where it last stopped.

A shell over `longshore.kafka.reader`; which rows come out is `longshore.trainer.join`'s rule. The offsets that were
read are recorded, and reading them again gives the same rows, for as long as the topics hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from longshore.config import Settings
from longshore.errors import DataError
from longshore.kafka.reader import read_all
from longshore.schema import Schema
from longshore.stream import Message
from longshore.topics import Topics
from longshore.trainer.join import Join
from longshore.trainer.rows import LabelledRows
from longshore.trainer.training_set import TrainingSet

UNLABELLED_ROOM = 2
"""Records and labels held per row wanted: some wait for their other half."""

Offsets = Mapping[str, Mapping[str, int]]
"""Topic → partition → offset, as a manifest has them."""


class StreamDataset:
    """The labelled rows of the topics as far as they were read; `refresh` reads on."""

    def __init__(self, settings: Settings, schema: Schema, *, stretch: tuple[Offsets, Offsets] | None = None) -> None:
        """`stretch`: read this alone, from the first offsets to the second (exclusive), as they were recorded."""
        self._settings = settings
        self._topics = Topics.of(settings.topic_prefix, schema)
        self.join = Join(schema, UNLABELLED_ROOM * settings.trainer.max_rows)
        self._first: dict[str, dict[int, int]] = {self._topics.predictions: {}, self._topics.labels: {}}
        self._next: dict[str, dict[int, int]] = {self._topics.predictions: {}, self._topics.labels: {}}
        self._stretch = stretch

    def refresh(self, cut_ms: int | None = None) -> LabelledRows:
        """Read both topics to their present end; the newest `trainer.max_rows` labelled rows, by event time.

        `cut_ms`: leave out what happened or was observed after that time.

        Raises:
            UnavailableError: no broker answers, or the topics do not exist.
            DataError: the stretch to be read is no longer there.

        """
        # Labels last: a label that is there when its record was read is then found with it.
        self._read(self._topics.predictions, self._add_predictions)
        self._read(self._topics.labels, lambda messages: self.join.add_labels([m.value() for m in messages]))
        return self.join.rows(self._settings.trainer.max_rows, cut_ms)

    def training_set(self, rows: LabelledRows, fresh_from_ms: int = 0, cut_ms: int | None = None) -> TrainingSet:
        """Rows with `event_time` from `fresh_from_ms` on are fresh; the older ones are history."""
        fresh = rows.columns.event_times >= fresh_from_ms
        return TrainingSet(
            rows=rows.take(np.flatnonzero(fresh)),
            history=rows.take(np.flatnonzero(~fresh)),
            source=f"stream {self._topics.predictions}, {self._topics.labels}",
            offsets=_recorded(self._next),
            from_offsets=_recorded(self._first),
            cut_ms=cut_ms,
            fresh_from_ms=fresh_from_ms,
            left_out={name: getattr(self.join.counts, name) for name in self.join.counts.__slots__},
        )

    def _add_predictions(self, messages: Sequence[Message]) -> None:
        self.join.add_predictions([m.value() for m in messages], [m.partition() for m in messages])

    def _read(self, topic: str, add: Callable[[Sequence[Message]], None]) -> None:
        first, after, wanted, upto = self._first[topic], self._next[topic], {}, None
        if self._stretch is not None:
            wanted, upto = ({int(number): at for number, at in part.get(topic, {}).items()} for part in self._stretch)
        for messages in read_all(self._settings, topic, from_offsets=wanted | after, to_offsets=upto):
            add(messages)
            for message in messages:
                first.setdefault(message.partition(), message.offset())
                after[message.partition()] = message.offset() + 1
        if any(first.get(number) != at for number, at in wanted.items()):
            raise DataError(
                f"topic {topic} no longer holds what was read: {wanted} is recorded, it begins at {first or 'its end'}",
                mend="use the rows that were stored: `longshore dataset restore`",
            )


def _recorded(offsets: dict[str, dict[int, int]]) -> dict[str, dict[str, int]]:
    return {topic: {str(number): offset for number, offset in at.items()} for topic, at in offsets.items()}
