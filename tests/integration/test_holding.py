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
    eventually(lambda: len(found.extend(stream.poll(100, 0.1)) or found) >= count, what=f"{count} records")  # type: ignore[func-returns-value]
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
    count = 3_000
    one, other = written(settings, count, "one", "other")
    stream = ExactlyOnce(settings, group=settings.topic_prefix + "g", instance="0", topics=[one, other])
    offsets: dict[str, list[int]] = {one: [], other: []}

    def poll() -> bool:
        for message in stream.poll(100, 0.1):
            offsets[message.topic()].append(message.offset())
        return True

    eventually(lambda: poll() and offsets[one] and offsets[other], what="records of both")
    for _ in range(3):
        stream.hold({(one, 0)})
        poll()  # what was under way
        before = len(offsets[one])
        wanted = min(count, len(offsets[other]) + 500)
        eventually(lambda wanted=wanted: poll() and len(offsets[other]) >= wanted, what="the other topic")  # type: ignore[misc]
        assert len(offsets[one]) == before
        stream.hold(set())
        eventually(lambda before=before: poll() and len(offsets[one]) > before, what="what was held")  # type: ignore[misc]
    eventually(lambda: poll() and all(len(found) == count for found in offsets.values()), what="all")
    assert offsets == {one: list(range(count)), other: list(range(count))}
    assert stream.positions() == {(one, 0): count, (other, 0): count}
    stream.close()
