"""A member that keeps notes beside its offsets, begins where it likes, and leaves partitions unread for a while."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.admin import create_topics
from longshore.kafka.exactly_once import ExactlyOnce
from longshore.kafka.writer import Writer
from longshore.stream import BEGINNING, Message, Place
from longshore.topics import TopicSpec

pytestmark = pytest.mark.integration


def written(settings: Settings, count: int, *names: str) -> list[str]:
    topics = [settings.topic_prefix + name for name in names]
    create_topics(settings, [TopicSpec(topic, 1, {}) for topic in topics])
    with Writer(settings) as writer:
        for topic in topics:
            writer.send_batch(topic, [{"key": b"k", "value": b"%d" % i} for i in range(count)])
    return topics


def read(stream: ExactlyOnce, count: int) -> list[Message]:
    found: list[Message] = []

    def enough() -> bool:
        found.extend(stream.poll(100, 0.1))
        return len(found) >= count

    eventually(enough, what=f"{count} records")
    return found


def test_a_note_comes_back_with_the_offset_and_reading_begins_where_the_hook_says(settings: Settings) -> None:
    (topic,) = written(settings, 10, "in")
    asked: list[dict[Place, tuple[int, str]]] = []

    def begin(found: Mapping[Place, tuple[int, str]]) -> dict[Place, int]:
        asked.append(dict(found))
        return {place: 4 if offset >= 0 else offset for place, (offset, _) in found.items()}

    def member() -> ExactlyOnce:
        group = settings.topic_prefix + "g"
        return ExactlyOnce(
            settings, group=group, instance="0", topics=[topic], on_start=begin, note=lambda place: f"of {place[1]}"
        )

    stream = member()
    assert len(read(stream, 10)) == 10
    stream.commit()
    stream.close()
    stream = member()
    assert [message.offset() for message in read(stream, 6)] == list(range(4, 10))
    stream.close()
    assert asked == [{(topic, 0): (BEGINNING, "")}, {(topic, 0): (10, "of 0")}]


def test_what_is_held_is_left_unread_and_nothing_of_it_is_lost(settings: Settings) -> None:
    count = 5_000
    one, other = written(settings, count, "one", "other")
    stream = ExactlyOnce(settings, group=settings.topic_prefix + "g", instance="0", topics=[one, other])
    offsets: dict[str, list[int]] = {one: [], other: []}

    def read_until(wanted: int) -> None:
        def enough() -> bool:
            for message in stream.poll(100, 0.1):
                offsets[message.topic()].append(message.offset())
            return len(offsets[one]) >= wanted

        eventually(enough, what=f"{wanted} records of the first topic")

    for wanted in (1, 700, 2_000):
        read_until(wanted)
        stream.hold({(one, 0)})
        read_until(wanted)  # what was under way
        before = len(offsets[one])
        assert before < count
        for _ in range(5):
            read_until(wanted)
        assert len(offsets[one]) == before
        stream.hold(set())
    read_until(count)

    def all_read() -> bool:
        read_until(count)
        return len(offsets[other]) == count

    eventually(all_read, what="all of the second topic")
    assert offsets == {one: list(range(count)), other: list(range(count))}
    assert stream.positions() == {(one, 0): count, (other, 0): count}
    stream.close()
