"""What joining labels to predictions holds and how fast it is, over many records.

    python -m benchmarks.label_join                       # 2,000,000 records without Kafka, 300,000 with
    python -m benchmarks.label_join --records 10000000 --kafka-records 0

`--records`: the joining role's own loop (`Joining.step`: decoding, the partitions' files, errors, messages) over a
stream that is made as it is read, with commits that keep nothing: memory and files after each million predictions, and
the time of everything but making the stream. `--kafka-records`: the whole role on an embedded Kafka, from its first
record to the commit after the last, with no label, or with all of them, on the topic before it starts.

Of the labels 10 % come beyond the lateness, 5 % never, 1 % twice and 1 % again with another value; the others come
`--behind` predictions after theirs, of which so many therefore wait at any time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
import structlog

from longshore.config import MonitorSettings, Settings
from longshore.heap import collect_seldom
from longshore.kafka.admin import create_topics
from longshore.kafka.exactly_once import ExactlyOnce
from longshore.kafka.writer import Writer
from longshore.local.stack import LocalStack
from longshore.monitor.join_rules import Side
from longshore.monitor.models import Profiles
from longshore.monitor.reference import build_profile
from longshore.monitor.service_join import Joining, group_of, joining_of
from longshore.producers.generator import districts_frame, history_frame
from longshore.records import Source
from longshore.schema import districts
from longshore.stream import BEGINNING, Batch, Message, Partitions, Place, Single
from longshore.topics import Topics

SCHEMA = districts()
DISTINCT, PARTITIONS = 20_000, 4
START_MS, STEP_MS = 1_700_000_000_000, 1
PANE_S = 60


class Made:
    """A message that was made, not read."""

    __slots__ = ("_at", "_offset", "_value")

    def __init__(self, at: Place, offset: int, value: bytes) -> None:
        self._at, self._offset, self._value = at, offset, value

    def topic(self) -> str:
        return self._at[0]

    def partition(self) -> int:
        return self._at[1]

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return None

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 4_000_000_000_000


def templates() -> list[bytes]:
    """Predictions as the scorer writes them, with gaps for record id and event time."""
    frame = districts_frame(DISTINCT, 3)
    frame["guess"] = frame[SCHEMA.target] * 1.0123
    made = []
    for i, row in enumerate(json.loads(frame.to_json(orient="records"))):
        identity = {"record_id": "ID", SCHEMA.key: row[SCHEMA.key], "event_time": START_MS}
        value = identity | {"scored_at": START_MS + 10**11, "prediction": row["guess"], "model_version": "v1"}
        value |= {"route": "champion", "source": Source(f"longshore.{SCHEMA.topic}", 0, i)}
        value |= {"record": identity | {name: row[name] for name in SCHEMA.feature_names}}
        text = msgspec.json.encode(value).replace(b"%", b"%%").replace(b'"ID"', b'"%b"')
        made.append(text.replace(b"%d" % START_MS, b"%d"))
    return made


class Stream:
    """Predictions and labels by number, in the order in which they come; its labels lie `behind` predictions behind."""

    def __init__(self, behind: int, lateness_ms: int) -> None:
        self._templates = templates()
        self._behind, self._lateness_ms = behind, lateness_ms

    def prediction(self, i: int) -> bytes:
        """Prediction `i`; ids are like random ones, so that their order tells nothing."""
        record_id, when = _id(i), START_MS + i * STEP_MS
        template: Any = self._templates[i % DISTINCT]
        made: bytes = template % (record_id, when, record_id, when)
        return made

    def labels(self, i: int) -> list[bytes]:
        """What comes with prediction `i`: the labels of one before it."""
        j = i - self._behind
        if j < 0 or (chance := j * 2_654_435_761 % 100) < 5:
            return []
        when = START_MS + j * STEP_MS
        late = self._lateness_ms + 1 if chance >= 90 else 0
        made = [_label(j, when, when + late, 200_000.0)]
        if chance in (5, 6):
            made.append(_label(j, when, when, 200_000.0 + chance - 5))
        return made


def _id(i: int) -> bytes:
    return b"%016x" % (i * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)


def _label(j: int, when: int, observed: int, value: float) -> bytes:
    return b'{"record_id":"%b","event_time":%d,"observed_at":%d,"label":%.1f}' % (_id(j), when, observed, value)


class Endless:
    """A `HoldingStream` of made messages: half predictions, half labels, in turns over the partitions."""

    def __init__(self, stream: Stream, topics: Topics, records: int) -> None:
        self._numbers = iter(range(records))
        self._stream, self._topics = stream, topics
        self._offsets: dict[Place, int] = {}
        self.read = 0
        self.labels = 0
        self.making_s = 0.0
        self.told_bytes = 0

    def poll(self, max_records: int, timeout_s: float) -> list[Message]:
        del timeout_s
        started = time.perf_counter()
        batch: list[Message] = []
        for i in itertools.islice(self._numbers, max_records // 2):
            batch.append(self._made(self._topics.predictions, i % PARTITIONS, self._stream.prediction(i)))
            values = self._stream.labels(i)
            self.labels += len(values)
            number = (i - self._stream._behind) % PARTITIONS
            batch += [self._made(self._topics.labels, number, value) for value in values]
            self.read += 1
        self.making_s += time.perf_counter() - started
        return batch

    def commit(self, outputs: Sequence[Batch | Single] = (), **_: Any) -> None:
        self.told_bytes += sum(len(m["value"]) for one in outputs if isinstance(one, Batch) for m in one.messages)

    def hold(self, places: Partitions) -> None:
        """Both sides come together: none is ever ahead."""
        assert not places, places

    def positions(self) -> Mapping[Place, int]:
        return dict(self._offsets)

    def assignment(self) -> Partitions:
        return {(topic, n) for topic in (self._topics.predictions, self._topics.labels) for n in range(PARTITIONS)}

    def at_end(self) -> dict[Place, bool]:
        return dict.fromkeys(self.assignment(), True)

    def _made(self, topic: str, number: int, value: bytes) -> Message:
        at = (topic, number)
        offset = self._offsets.get(at, 0)
        self._offsets[at] = offset + 1
        return Made(at, offset, value)


def in_memory(profile: bytes, records: int, behind: int, lateness: int) -> None:
    """The loop over a made stream: memory and files after each million."""
    with tempfile.TemporaryDirectory() as folder:
        monitor = MonitorSettings(label_lateness_s=lateness * STEP_MS / 1_000, pane_s=PANE_S)
        settings = Settings(bootstrap_servers="none:1", home=Path(folder), monitor=monitor)
        topics = Topics.of(settings.topic_prefix, SCHEMA)
        stream = Endless(Stream(behind, lateness * STEP_MS), topics, records)
        joining = Joining(settings, SCHEMA, Profiles(lambda _: profile), Path(folder), PARTITIONS)
        joining.start(dict.fromkeys(stream.assignment(), (BEGINNING, "")))
        process, started, told = psutil.Process(), time.perf_counter(), 1_000_000
        print(f"\n{records:,} predictions, labels {behind:,} behind, lateness {lateness:,} predictions:", flush=True)
        while True:
            before = stream.read
            joining.step(stream)  # type: ignore[arg-type]
            if stream.read >= told or stream.read == before:
                size = sum(path.stat().st_size for path in Path(folder).glob("*.sqlite*")) / 2**20
                took = time.perf_counter() - started - stream.making_s
                waiting = [sum(part.progress.waiting[side] for part in joining._parts.values()) for side in Side]
                print(
                    f"  {stream.read:12,}: resident {process.memory_info().rss / 2**20:5.0f} MB, files {size:6.0f} MB, "
                    f"{waiting[0]:,} predictions wait, {(stream.read + stream.labels) / took:9,.0f} messages/s",
                    flush=True,
                )
                told += 1_000_000
            if stream.read == before:
                break
        joining.finish(stream)  # type: ignore[arg-type]
        print(f"  told: {stream.told_bytes / 2**20:.1f} MB", flush=True)


def with_kafka(profile: bytes, records: int) -> None:
    """The role on a topic that is there."""
    with tempfile.TemporaryDirectory() as folder, LocalStack(Path(folder) / "stack", ephemeral=True) as stack:
        monitor = MonitorSettings(label_lateness_s=records * STEP_MS / 1_000, pane_s=PANE_S)
        settings = Settings(bootstrap_servers=stack.bootstrap_servers, home=Path(folder), monitor=monitor)
        topics = Topics.of(settings.topic_prefix, SCHEMA)
        create_topics(settings, topics.specs(settings))
        source = Stream(0, records * STEP_MS)
        labels = 0
        with Writer(settings) as writer:
            for at in range(0, records, 10_000):
                numbers = range(at, min(records, at + 10_000))
                writer.send_batch(topics.predictions, list(_placed(source, numbers, labels=False)))
                batch = list(_placed(source, numbers, labels=True))
                labels += len(batch)
                writer.send_batch(topics.labels, batch)
        joining = joining_of(settings, SCHEMA, Profiles(lambda _: profile), "bench")
        stream = ExactlyOnce(
            settings, group=group_of(settings), instance="bench", topics=joining.topics,
            on_revoked=lambda gone: joining.finish(stream, gone), on_lost=joining.drop, on_start=joining.start,
            note=joining.note,
        )  # fmt: skip
        read, started = 0, 0.0
        polled = stream.poll

        def counting(most: int, timeout_s: float) -> list[Message]:
            nonlocal read, started
            batch = polled(most, timeout_s)
            started = started or (time.perf_counter() if batch else 0.0)
            read += len(batch)
            return batch

        stream.poll = counting  # type: ignore[method-assign]
        while read < records + labels:
            joining.step(stream)
        joining.finish(stream)
        took = time.perf_counter() - started
        stream.close()
        print(
            f"\nFrom Kafka: {records:,} predictions and {labels:,} labels in {took:.1f} s: "
            f"{(records + labels) / took:,.0f} messages/s, {records / took:,.0f} predictions/s with theirs",
            flush=True,
        )


def _placed(source: Stream, numbers: range, *, labels: bool) -> Iterator[dict[str, Any]]:
    for i in numbers:
        for value in source.labels(i) if labels else [source.prediction(i)]:
            yield {"key": b"k", "value": value, "partition": i % PARTITIONS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2_000_000, help="predictions without Kafka")
    parser.add_argument("--behind", type=int, default=100_000, help="predictions between one and its label")
    parser.add_argument("--lateness", type=int, default=500_000, help="the lateness, in predictions")
    parser.add_argument("--kafka-records", type=int, default=300_000, help="predictions on a real topic")
    args = parser.parse_args()
    collect_seldom()  # as `longshore monitor` does
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rows = history_frame(10_000, 1)
    fitted = rows[list(SCHEMA.feature_names)].assign(prediction=rows[SCHEMA.target].astype(float))
    profile = build_profile(fitted, [field.name for field in SCHEMA.nominal], SCHEMA.derived, SCHEMA.place)
    if args.records:
        in_memory(profile, args.records, args.behind, args.lateness)
    if args.kafka_records:
        with_kafka(profile, args.kafka_records)


if __name__ == "__main__":
    main()
