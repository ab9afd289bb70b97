"""What is read for a trace, in which order: the record, its outcome, then what is around it.

A prediction or dead letter follows its record: it is looked for from the record's time on, first in the partition its
key leads to; elsewhere, and from earlier on, only where the scorers' group has passed the record. Reading is the
`Finder`'s work, recognising `matching`'s, bounds `reading`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from longshore import dead_letters
from longshore.config import Settings
from longshore.errors import ConfigurationError
from longshore.partitioner import partition_of
from longshore.records import Source
from longshore.registry import Registry
from longshore.schema import Schema
from longshore.stream import Message
from longshore.topics import Topics
from longshore.tracing import matching
from longshore.tracing.asked import Asked, ById
from longshore.tracing.reading import WIDE_SLACK_MS, At, Finder, Searches, Stretch, sent_at
from longshore.tracing.surroundings import Surroundings
from longshore.tracing.trace import DeadLetter, Envelope, Payload, Prediction, Status, Trace, trace_context

MATCHES = 10
"""Records of one id that are named."""


class _Predicted(msgspec.Struct):
    prediction: float
    scored_at: int
    model_version: str
    route: str
    record: msgspec.Raw


@dataclass(slots=True)
class Collector:
    """Puts one trace together."""

    settings: Settings
    schema: Schema
    finder: Finder
    registry: Registry
    everything: bool = False
    topics: Topics = field(init=False)
    _searches: Searches = field(init=False)
    _around: Surroundings = field(init=False)

    def __post_init__(self) -> None:
        self.topics = Topics.of(self.settings.topic_prefix, self.schema)
        self._searches = Searches(self.finder, self.everything)
        self._around = Surroundings(self.topics, self.registry, self._searches)

    def trace(self, asked: Asked) -> Trace:
        """The answer, with what was searched for it.

        Raises:
            ConfigurationError: the records' topic does not exist.
            UnavailableError: no broker answers.

        """
        if not self.finder.partitions(self.topics.records):
            raise ConfigurationError(
                f"topic {self.topics.records} does not exist",
                mend="see LONGSHORE_TOPIC_PREFIX and LONGSHORE_SCHEMA_FILE, or `longshore topics create`",
            )
        found = self._by_id(asked) if isinstance(asked, ById) else self._by_source(asked)
        return msgspec.structs.replace(found, searched=self._searches.done, notes=self._searches.notes)

    def _by_id(self, asked: ById) -> Trace:
        """The oldest record of an id in the partitions and time asked for; further ones are named."""
        count = self.finder.partitions(self.topics.records)
        numbers = range(count) if asked.key is None else [partition_of(asked.key, count)]
        found: list[Message] = []
        for number in numbers:
            stretch = Stretch(
                "record", self.topics.records, number,
                since_ms=asked.since_ms, until_ms=asked.until_ms, matches=MATCHES,
            )  # fmt: skip
            found += self._searches.read(stretch, matching.record_with(asked.record_id))
        if not found:
            return Trace(status=Status.NOT_FOUND, detail=f"no record with the id {asked.record_id} was found")
        first, *others = sorted(found, key=lambda message: message.timestamp()[1])
        source = Source(first.topic(), first.partition(), first.offset())
        return self._of(source, first, [matching.where(message) for message in others])

    def _by_source(self, source: Source) -> Trace:
        """The record at its coordinates; a prediction may outlive its record."""
        count = self.finder.partitions(source.topic)
        if source.partition >= count:
            detail = f"{source.topic} has partitions 0 to {count - 1}, there is no {source.partition}"
            return Trace(status=Status.NOT_FOUND, detail=detail, source=source)
        at = self.finder.at(source)
        if at.record is not None:
            return self._of(source, at.record, [])
        if at.absent is Status.EXPIRED:
            return self._expired(source, at)
        return Trace(status=at.absent or Status.NO_RECORD, detail=_absent(source, at), source=source)

    def _expired(self, source: Source, at: At) -> Trace:
        """The record is gone; its prediction is at the front of what is left, or gone too."""
        count = self.finder.partitions(self.topics.predictions)
        same = count == self.finder.partitions(source.topic)
        numbers = [source.partition] if same and not self.everything else range(count)
        looker = matching.prediction_of(source)
        found = self._searches.first("prediction", self.topics.predictions, numbers, None, looker)
        gone = f"{source.topic}/{source.partition} begins at offset {at.first}: the record is past its retention"
        if found is None:
            detail = f"expired: {gone}, and no prediction of it was found"
            return Trace(status=Status.EXPIRED, detail=detail, source=source)
        self._searches.notes.append(f"{gone}; the input is shown as its prediction keeps it")
        return self._scored(Trace(status=Status.SCORED, detail="", source=source), None, found)

    def _of(self, source: Source, original: Message, others: list[str]) -> Trace:
        """The trace of a record that is there."""
        group = self.settings.topic_prefix + self.settings.scorer.group
        committed = self.finder.committed(group, source.topic).get(source.partition)
        trace = Trace(
            status=Status.NO_OUTCOME_FOUND,
            detail="",
            source=source,
            identity=matching.identity(original.value(), self.schema),
            input=Envelope.of(original),
            replay_of=matching.replay_of(original),
            traceparent={"input": trace_context(original.headers()), "prediction": None},
            group=group,
            committed=committed,
            others=others,
        )
        passed = committed is not None and committed > source.offset
        found = self._outcome(source, original, anywhere=passed)
        if found is None:
            return _unscored(trace, passed=passed)
        if found.topic() == self.topics.predictions:
            return self._scored(trace, original, found)
        return self._dead(trace, source, found)

    def _outcome(self, source: Source, original: Message, *, anywhere: bool) -> Message | None:
        looks = {
            self.topics.predictions: ("prediction", matching.prediction_of(source)),
            self.topics.dead_letters: ("dead letter", matching.dead_letter_of(source, original)),
        }
        since, likely = sent_at(original), {topic: self._likely(topic, original.key()) for topic in looks}
        for topic, (what, look) in looks.items():
            if found := self._searches.first(what, topic, likely[topic], since, look):
                return found
        if not anywhere:
            return None
        for topic, (what, look) in looks.items():
            numbers = sorted(range(self.finder.partitions(topic)), key=lambda number: number not in likely[topic])
            if found := self._searches.first(what, topic, numbers, since, look, slack_ms=WIDE_SLACK_MS):
                return found
        return None

    def _likely(self, topic: str, key: bytes | None) -> list[int]:
        """Where a message with the record's key must be; all partitions where it has no key."""
        count = self.finder.partitions(topic)
        return list(range(count)) if key is None or not count else [partition_of(key, count)]

    def _scored(self, trace: Trace, original: Message | None, found: Message) -> Trace:
        value = msgspec.json.decode(found.value() or b"", type=_Predicted)
        identity = matching.identity(bytes(value.record), self.schema)
        given = trace.input if original is not None else _kept(trace.source, found, bytes(value.record))
        return msgspec.structs.replace(
            trace,
            status=Status.SCORED,
            detail=f"scored by {value.model_version} as {value.route}",
            identity=identity,
            input=given,
            prediction=Prediction(
                prediction=value.prediction,
                scored_at=value.scored_at,
                model_version=value.model_version,
                route=value.route,
                message=msgspec.structs.replace(Envelope.of(found), value=None),
            ),
            label=self._around.label(identity, sent_at(original or found)),
            model=self._around.model(value.model_version, value.scored_at),
            drift=self._around.drift(value.scored_at, identity, value.model_version),
            traceparent={
                "input": trace_context(original.headers()) if original is not None else None,
                "prediction": trace_context(found.headers()),
            },
        )

    def _dead(self, trace: Trace, source: Source, found: Message) -> Trace:
        letter = dead_letters.DeadLetter.of(found, self.topics.records)
        stage, task = matching.errors_context(found, "stage", "task.id")
        # A dead letter keeps its record's timestamp; when it was scored is written nowhere.
        time = sent_at(found)
        return msgspec.structs.replace(
            trace,
            status=Status.DEAD_LETTER,
            detail=f"a dead letter: {letter.reason}",
            dead_letter=DeadLetter(
                reason=letter.reason,
                message=letter.message,
                stage=stage,
                task=task,
                envelope=Envelope.of(found),
                replay=self._around.replay(source, time),
            ),
            label=self._around.label(trace.identity, time),
            drift=None if time is None else self._around.drift(time, trace.identity, None),
        )


def _unscored(trace: Trace, *, passed: bool) -> Trace:
    if not passed:
        at = "has committed nothing on this partition" if trace.committed is None else f"stands at {trace.committed}"
        return msgspec.structs.replace(
            trace, status=Status.NOT_SCORED_YET, detail=f"not scored yet: group {trace.group} {at}"
        )
    detail = (
        f"no outcome found: group {trace.group} has passed the record (it stands at {trace.committed}), but neither a "
        "prediction nor a dead letter is in what was searched; --everything searches both topics from their start"
    )
    return msgspec.structs.replace(trace, detail=detail)


def _kept(source: Source | None, found: Message, record: bytes) -> Envelope:
    """The input as its prediction keeps it: bytes and key. When it was sent, and with which headers, is lost."""
    assert source is not None  # noqa: S101  # coordinates were asked for
    return Envelope(
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        timestamp=None,
        key=Payload.of(found.key()),
        value=Payload.of(record),
        headers=[],
    )


def _absent(source: Source, at: At) -> str:
    where = f"{source.topic}/{source.partition}"
    texts = {
        Status.BEYOND_END: f"beyond the end: {where} ends at {at.end}, nothing was written at {source.offset} yet",
        Status.OPEN: f"{where} offset {source.offset} is in or behind an open transaction: not readable yet",
        Status.ABORTED: f"{where} offset {source.offset} is a record of an aborted transaction: nobody scores it",
        Status.NO_RECORD: f"{where} offset {source.offset} is no record: a transaction's marker, or compacted away",
    }
    return texts[at.absent or Status.NO_RECORD]
