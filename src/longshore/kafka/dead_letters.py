"""Reading dead letters and the journal of their replays: committed records only, a batch in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from longshore.config import Settings
from longshore.dead_letters import DeadLetter, Journal
from longshore.errors import DataError
from longshore.kafka.admin import end_offsets, existing_topics, offsets_since
from longshore.kafka.reader import read_all
from longshore.topics import Topics


def read_letters(
    settings: Settings, topics: Topics, *, since_ms: int | None = None, from_offsets: Mapping[int, int] | None = None
) -> Iterator[list[DeadLetter]]:
    """The dead letters there are now, those of each partition in order; none that comes while reading.

    `since_ms` only tells where to begin: timestamps are the original records' and do not rise from offset to offset.
    """
    ends = end_offsets(settings, topics.dead_letters)
    starts = dict.fromkeys(ends, 0) | dict(from_offsets or {})
    unknown = sorted(set(starts) - set(ends))
    if unknown:
        raise DataError(
            f"{topics.dead_letters} has no partition {unknown[0]}", mend=f"its partitions are {sorted(ends)}"
        )
    if since_ms is not None:
        found = offsets_since(settings, topics.dead_letters, max(0, since_ms))
        starts = {number: max(at, found[number]) for number, at in starts.items()}
    batches = read_all(settings, topics.dead_letters, from_offsets=starts, to_offsets=ends)
    return ([DeadLetter.of(message, topics.records) for message in batch] for batch in batches)


def read_one(settings: Settings, topics: Topics, partition: int, offset: int) -> DeadLetter:
    """The dead letter that stands at an offset of the dead-letter topic.

    Raises:
        DataError: there is none.

    """
    starts, ends = {partition: offset}, {partition: offset + 1}
    if offset < end_offsets(settings, topics.dead_letters).get(partition, -1):
        for batch in read_all(settings, topics.dead_letters, from_offsets=starts, to_offsets=ends):
            for message in batch:
                if message.offset() == offset:
                    return DeadLetter.of(message, topics.records)
    raise DataError(
        f"{topics.dead_letters} holds no dead letter at {partition}/{offset}", mend="`longshore dlq list` names them"
    )


def read_journal(settings: Settings, topics: Topics) -> Journal:
    """What has been replayed; nothing where the journal's topic does not exist yet."""
    journal = Journal(topics.records)
    if topics.replays in existing_topics(settings):
        for batch in read_all(settings, topics.replays):
            journal.read((message.key(), message.value()) for message in batch)
    return journal
