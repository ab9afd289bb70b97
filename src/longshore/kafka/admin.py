"""Topics and offsets as an administrator sees them: create, describe, compare."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from longshore.config import Settings
from longshore.errors import ConfigurationError, UnavailableError
from longshore.kafka.client import bootstrap, client_config, translate
from longshore.topics import TopicSpec

SETTING_TIMEOUT_S = 2.0
"""For a question that has a default answer."""


@contextlib.contextmanager
def _admin(settings: Settings, doing: str) -> Iterator[AdminClient]:
    try:
        yield AdminClient(client_config(settings))
    except KafkaException as error:
        if error.args[0].code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN):
            raise UnavailableError(
                f"Kafka at {bootstrap(settings)} does not answer ({doing})",
                mend="see that it is up and that LONGSHORE_BOOTSTRAP_SERVERS is right",
            ) from error
        if error.args[0].code() == KafkaError._INVALID_ARG:
            raise ConfigurationError(f"kafka.client: {error.args[0].str()}", mend="correct the key it names") from error
        raise translate(error, doing) from error


def check_reachable(settings: Settings) -> int:
    """The number of brokers that answer.

    Raises:
        UnavailableError: none does.

    """
    with _admin(settings, "connecting") as admin:
        return len(admin.list_topics(timeout=settings.kafka.request_timeout_s).brokers)


def broker_setting(settings: Settings, name: str) -> str | None:
    """What one broker of the cluster has for `name`; None where it has no such setting.

    Raises:
        UnavailableError: no broker answers, or this client may not ask.

    """
    timeout_s = min(SETTING_TIMEOUT_S, settings.kafka.request_timeout_s)
    with _admin(settings, f"reading the broker's {name}") as admin:
        broker = min(admin.list_topics(timeout=timeout_s).brokers)
        return _setting(admin, ConfigResource(ResourceType.BROKER, str(broker)), name, timeout_s)


def topic_setting(settings: Settings, topic: str, name: str) -> str | None:
    """What a topic has for `name`, its own or the broker's default; errors as `broker_setting`."""
    with _admin(settings, f"reading {topic}'s {name}") as admin:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        return _setting(admin, resource, name, settings.kafka.request_timeout_s)


def _setting(admin: AdminClient, resource: ConfigResource, name: str, timeout_s: float) -> str | None:
    entries = admin.describe_configs([resource], request_timeout=timeout_s)[resource].result()
    return entries[name].value if name in entries else None


def existing_topics(settings: Settings) -> dict[str, int]:
    """Every topic's name and number of partitions."""
    with _admin(settings, "listing topics") as admin:
        topics = admin.list_topics(timeout=settings.kafka.request_timeout_s).topics
        return {name: len(topic.partitions) for name, topic in topics.items()}


def create_topics(settings: Settings, specs: Iterable[TopicSpec]) -> list[str]:
    """Create what is missing and return its names; a topic that exists is left as it is."""
    brokers = check_reachable(settings)
    replication = settings.topics.replication or min(3, brokers)
    in_sync = settings.topics.min_insync_replicas or max(1, replication - 1)
    existing = existing_topics(settings)
    missing = [spec for spec in specs if spec.name not in existing]
    new = [
        NewTopic(
            spec.name,
            num_partitions=spec.partitions,
            replication_factor=replication,
            config=spec.config | {"min.insync.replicas": str(in_sync)},
        )
        for spec in missing
    ]
    created = []
    with _admin(settings, "creating topics") as admin:
        for name, future in (admin.create_topics(new) if new else {}).items():
            try:
                future.result(timeout=settings.kafka.request_timeout_s)
                created.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
    return created


def partition_count(settings: Settings, topic: str) -> int:
    """How many partitions a topic has.

    Raises:
        UnavailableError: no broker answers or the topic does not exist.

    """
    with _admin(settings, f"describing {topic}") as admin:
        found = admin.list_topics(topic, timeout=settings.kafka.request_timeout_s).topics[topic]
    if found.error is not None or not found.partitions:
        raise UnavailableError(f"topic {topic} does not exist", mend="run `longshore topics create`")
    return len(found.partitions)


def end_offsets(settings: Settings, topic: str, *, committed: bool = False) -> dict[int, int]:
    """The offset after the last one of each partition, markers and open transactions included.

    With `committed`: after the last one that can be read, before the first open transaction.
    """
    isolation = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    return _listed(settings, topic, OffsetSpec.latest(), f"reading the ends of {topic}", isolation)


def first_offsets(settings: Settings, topic: str) -> dict[int, int]:
    """The first offset that each partition still holds; above 0 where retention has deleted what was before."""
    return _listed(settings, topic, OffsetSpec.earliest(), f"reading the beginnings of {topic}")


def _listed(
    settings: Settings,
    topic: str,
    spec: OffsetSpec,
    doing: str,
    isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
) -> dict[int, int]:
    """What the brokers say of every partition; −1 where they know of none."""
    numbers = range(partition_count(settings, topic))
    with _admin(settings, doing) as admin:
        asked = {TopicPartition(topic, number): spec for number in numbers}
        futures = admin.list_offsets(asked, isolation_level=isolation)
        timeout = settings.kafka.request_timeout_s
        return {partition.partition: future.result(timeout=timeout).offset for partition, future in futures.items()}


def committed_offsets(settings: Settings, group: str, topic: str) -> dict[int, int]:
    """A group's committed offsets of a topic; partitions without one are left out."""
    numbers = range(partition_count(settings, topic))
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, n) for n in numbers])
    with _admin(settings, f"reading the offsets of {group}") as admin:
        future = admin.list_consumer_group_offsets([wanted])[group]
        found = future.result(timeout=settings.kafka.request_timeout_s).topic_partitions
        return {p.partition: p.offset for p in found if p.offset >= 0}


def offsets_since(settings: Settings, topic: str, at_ms: int) -> dict[int, int]:
    """The first offset of each partition whose record's timestamp is `at_ms` or later; its end where none is."""
    ends = end_offsets(settings, topic)
    found = _listed(settings, topic, OffsetSpec.for_timestamp(at_ms), f"looking up a time in {topic}")
    return {number: found[number] if found[number] >= 0 else end for number, end in ends.items()}
