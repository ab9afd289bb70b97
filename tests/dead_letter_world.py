"""Dead letters on real topics, made as the scorer makes them, and what a replay left behind."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from confluent_kafka import Producer

from longshore.codec import Reason, Reject
from longshore.config import Settings
from longshore.dead_letters import Coordinates, Filter, Outcome, Planner
from longshore.kafka.admin import create_topics, end_offsets
from longshore.kafka.dead_letters import read_letters
from longshore.kafka.reader import read_all
from longshore.kafka.replay import Replayer, Result, replay
from longshore.schema import districts
from longshore.scorer.encode import dead_letter
from longshore.stream import Message
from longshore.topics import Topics

SENT_AT = (int(time.time()) - 3_600) * 1_000
"""Recent: a dead letter keeps its record's timestamp, and the broker deletes what is older than the retention."""

REASONS = [Reason.NOT_JSON, Reason.INVALID, Reason.EMPTY]


@dataclass
class Original:
    """One record that failed; `at_ms` is when it was sent."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, Any]] = field(default_factory=list)
    reason: Reason = Reason.NOT_JSON
    at_ms: int = SENT_AT


def originals(count: int) -> list[Original]:
    """Keys, values and headers of every kind."""
    keys = [b"k1", None, b"\xff\x00", b""]
    values = [b"{", None, b"\x1b[2J\xff", b"", "é".encode()]
    return [
        Original(
            keys[i % 4],
            values[i % 5],
            [("trace", b"\x00\xff"), ("trace", str(i).encode()), ("empty", None)],
            REASONS[i % 3],
            SENT_AT + i,
        )
        for i in range(count)
    ]


class DeadLetters:
    """Topics under one prefix, records on them, and a dead letter for each.

    With `limit_bytes` the records' topic takes no larger message any more, as if that had been set since: of a larger
    record its beginning stands there.
    """

    def __init__(self, settings: Settings, *, limit_bytes: int | None = None) -> None:
        self.settings = settings
        self._limit = limit_bytes
        self.schema = districts()
        self.topics = Topics.of(settings.topic_prefix, self.schema)
        limits = {} if limit_bytes is None else {"max.message.bytes": str(limit_bytes)}
        configs = {self.topics.records: limits, self.topics.dead_letters: {}}
        specs = [spec for spec in self.topics.specs(settings) if spec.name in configs]
        create_topics(settings, [replace(spec, config=spec.config | configs[spec.name]) for spec in specs])
        self.at: dict[Coordinates, Original] = {}

    def add(self, records: Sequence[Original]) -> None:
        """Send the records and a dead letter for each."""
        sent: list[tuple[Original, Message]] = []
        producer = Producer({"bootstrap.servers": self.settings.bootstrap_servers, "message.max.bytes": 2_000_000})
        for i, record in enumerate(records):

            def delivered(error: Any, message: Any, record: Original = record) -> None:
                assert error is None, error
                sent.append((record, message))

            producer.produce(
                self.topics.records,
                record.value and record.value[: (self._limit or 2_000_000) // 2],
                record.key,
                partition=i % self.settings.topics.partitions,
                headers=record.headers,
                timestamp=record.at_ms,
                on_delivery=delivered,
            )
        assert producer.flush(30) == 0
        for record, message in sent:
            at = Coordinates(message.topic(), message.partition(), message.offset())
            self.at[at] = record
            reject = Reject(0, record.reason, f"message of {at}")
            letter = dead_letter(_Sent(message, record), reject, topic=self.topics.dead_letters, task="t")
            self.send(letter.key, letter.value, letter.headers, letter.timestamp_ms, producer)
        assert producer.flush(30) == 0

    def send(
        self, key: bytes | None, value: bytes | None, headers: Any, at_ms: int | None, producer: Producer | None = None
    ) -> None:
        """One message on the dead-letter topic as it is given."""
        to = producer or Producer({"bootstrap.servers": self.settings.bootstrap_servers})
        given = {} if at_ms is None else {"timestamp": at_ms}
        to.produce(self.topics.dead_letters, value, key, headers=headers, **given)
        if producer is None:
            assert to.flush(30) == 0

    def replay(self, *, batch: int = 500) -> list[Result]:
        """Replay all of them in this process."""
        planner = Planner(end_offsets(self.settings, self.topics.records), 3)
        letters = read_letters(self.settings, self.topics)
        with Replayer(self.settings, self.topics) as replayer:
            return list(
                replay(
                    letters,
                    Filter(),
                    lambda letter: planner.plan(letter, replayer.journal),
                    replayer.commit,
                    batch_records=batch,
                )
            )

    def replayed(self) -> dict[str, Message]:
        """Committed replays on the records' topic by their `replay-of`; fails where one is there twice."""
        found: Counter[str] = Counter()
        by_origin: dict[str, Message] = {}
        for batch in read_all(self.settings, self.topics.records):
            for message in batch:
                headers = dict(message.headers() or [])
                if "replay-of" in headers:
                    by_origin[headers["replay-of"].decode()] = message
                    found[headers["replay-of"].decode()] += 1
        assert {origin: count for origin, count in found.items() if count > 1} == {}, "replayed twice"
        return by_origin

    def journal(self) -> dict[str, dict[str, Any]]:
        """The journal's entries; fails where one is there twice."""
        rows = [m for batch in read_all(self.settings, self.topics.replays) for m in batch]
        entries = {(m.key() or b"").decode(): json.loads(m.value() or b"") for m in rows}
        assert len(entries) == len(rows), "an entry was written twice"
        return entries

    def check_each_replayed_once(self) -> None:
        """Every original was replayed once, and the journal says where."""
        replayed, journal = self.replayed(), self.journal()
        assert set(replayed) == set(journal) == {str(at) for at in self.at}
        for origin, message in replayed.items():
            assert journal[origin]["replayed_as"] == f"{message.topic()}/{message.partition()}/{message.offset()}"

    def outcomes(self, results: Sequence[Result]) -> Counter[Outcome]:
        return Counter(result.outcome for result in results)


class _Sent:
    """A delivered message with the headers it was sent with (delivery reports carry none)."""

    def __init__(self, message: Message, record: Original) -> None:
        self._message, self._record = message, record

    def topic(self) -> str:
        return self._message.topic()

    def partition(self) -> int:
        return self._message.partition()

    def offset(self) -> int:
        return self._message.offset()

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._record.headers

    def timestamp(self) -> tuple[int, int]:
        return (1, self._record.at_ms)
