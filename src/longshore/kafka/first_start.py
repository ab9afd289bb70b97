"""Where a group that never committed anything begins, fixed before its first member reads.

Asked through a consumer that never joins: the admin client crashes when it asks a coordinator that still loads, as that
of a broker's very first group does (seen with librdkafka 2.16).
"""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from longshore.config import Settings
from longshore.kafka.admin import offsets_since, partition_count
from longshore.kafka.client import translate
from longshore.kafka.consuming import asking_config

ASK_S = 1.0
PAUSE_S = 0.1
"""Before a question is asked again: a coordinator that loads answers at once that it does."""


def fix_start(settings: Settings, group: str, topic: str, since_ms: int) -> None:
    """Commit the first offsets written at or after `since_ms` for a group that has none; others are left as they are.

    Raises:
        UnavailableError: no broker answers, within `kafka.request_timeout_s`.

    """
    consumer = Consumer(asking_config(settings, group))
    deadline = time.monotonic() + settings.kafka.request_timeout_s
    try:
        while True:
            try:
                if not _committed(consumer, topic, partition_count(settings, topic)):
                    starts = offsets_since(settings, topic, since_ms).items()
                    offsets = [TopicPartition(topic, number, at) for number, at in starts]
                    consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                # Also where another member has fixed it meanwhile, and joined: the next look will find that.
                if time.monotonic() > deadline:
                    raise translate(error, f"looking up where {group} begins") from error
                time.sleep(PAUSE_S)
            else:
                return
    finally:
        consumer.close()


def _committed(consumer: Consumer, topic: str, partitions: int) -> dict[int, int]:
    found = consumer.committed([TopicPartition(topic, number) for number in range(partitions)], timeout=ASK_S)
    for place in found:
        if place.error is not None:
            raise KafkaException(place.error)
    return {place.partition: place.offset for place in found if place.offset >= 0}
