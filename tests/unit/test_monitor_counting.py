"""The counting role between a commit whose answer is lost and what Kafka says of it."""

from types import SimpleNamespace

import pytest
from tests.drift_stream import PROFILES, SCHEMA, predictions, rows

from longshore.config import Settings
from longshore.errors import AbortedError, UnavailableError
from longshore.monitor.messages import Counted, decode
from longshore.monitor.service_count import Counting
from longshore.stream import BEGINNING
from longshore.topics import Topics

EARLY, AHEAD, LATE = slice(0, 100), slice(300, 400), slice(100, 110)
VALUES = predictions(rows(400, 1))
LOG = VALUES[EARLY] + VALUES[AHEAD] + VALUES[LATE]
"""One partition: the last ten are later than the lateness allows, once those before them have been counted."""


class Stream:
    """Gives the log out in three polls; the commit numbered `ambiguous` is carried out, but ends in an error.

    `older`: as an older program left it, with a committed position and no note beside it.
    """

    def __init__(self, topics, ambiguous, *, older=False):
        self.panes = []
        self._topic, self._ambiguous = topics.predictions, ambiguous
        self._older, self._noted = older, (0, "") if older else (BEGINNING, "")
        self._at = self._commits = 0

    def begin(self, counting):
        """As on assignment, and after an abort."""
        self._counting = counting
        assert counting.start({self.place: self._noted}) == {self.place: self._noted[0]}

    @property
    def place(self):
        return self._topic, 0

    def poll(self, _most, _timeout):
        start = self._at
        self._at = next((end for end in (100, 200, 210) if end > start), start)
        return [self._message(offset) for offset in range(start, self._at)]

    def commit(self, outputs=(), *, wait=False, then=None):
        self._noted = self._at, "" if self._older else self._counting.note(self.place)
        self.panes += [decode(message["value"]) for batch in outputs for message in batch.messages]
        self._commits += 1
        if self._commits == self._ambiguous:
            self.begin(self._counting)
            raise AbortedError("committing did not come back in time")
        if then is not None:
            then()

    def settle(self):
        """Nothing is under way: every commit ends at once."""

    def at_end(self):
        return {}

    def _message(self, offset):
        return SimpleNamespace(
            topic=lambda: self._topic, partition=lambda: 0, offset=lambda: offset, value=lambda: LOG[offset]
        )


def counted(ambiguous, *, older=False):
    settings = Settings(monitor={"pane_s": 1, "allowed_lateness_s": 1, "commit_interval_s": 1e-9})
    stream = Stream(Topics.of(settings.topic_prefix, SCHEMA), ambiguous, older=older)

    def watermarks(partitions):
        asked.append(set(partitions))
        return {m.partition: m.watermark for m in stream.panes if isinstance(m, Counted) and m.partition in partitions}

    asked = []
    counting = Counting(settings, SCHEMA, PROFILES, watermarks)
    counting._partitions, counting._next_idle_check = 1, float("inf")
    stream.begin(counting)
    for _ in range(5):
        counting.step(stream)
    assert bool(asked) == older, "the panes are read back only where no note tells"
    return sum(delta.records for m in stream.panes for delta in m.panes), [(m.late, m.watermark) for m in stream.panes]


def test_a_batch_that_was_read_and_not_counted_is_not_committed():
    """Whatever ends the process: closing the stream gives its partitions up, which commits what is counted."""
    settings = Settings(monitor={"pane_s": 1, "allowed_lateness_s": 1, "commit_interval_s": 1_000})
    stream = Stream(Topics.of(settings.topic_prefix, SCHEMA), None, older=True)

    def unavailable(_partitions):
        raise UnavailableError("a transaction has not ended", mend="see that Kafka is up")

    counting = Counting(settings, SCHEMA, PROFILES, unavailable)
    counting._partitions, counting._next_idle_check = 1, float("inf")
    stream.begin(counting)
    with pytest.raises(UnavailableError):
        counting.step(stream)
    counting.finish(stream)
    assert stream._commits == 0


@pytest.mark.parametrize("older", [False, True])
def test_after_a_commit_that_may_have_been_carried_out_the_watermark_is_what_kafka_holds(older):
    """With the watermark from before it, records beyond the lateness would be counted as if in time."""
    assert counted(ambiguous=None, older=older) == (200, [(0, 990), (0, 3_990), (10, 3_990)])
    assert counted(ambiguous=2, older=older) == counted(ambiguous=None)
