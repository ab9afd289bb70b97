"""How topics are consumed: committed records only, each partition's end reported, offsets moved by us alone."""

from __future__ import annotations

from typing import Any

from longshore.config import Settings
from longshore.errors import LongshoreError
from longshore.kafka.admin import broker_setting
from longshore.kafka.client import client_config, users_own

SESSION_MS = 4_000
"""Where the broker allows it: a killed member is out, and its partitions are read again, within 5 s."""

ACCEPTED_SESSION_MS = 6_000
"""A broker's default minimum: assumed where the broker does not tell its own."""

HEARTBEAT_MS = 500
"""Members learn of a rebalance by their next heartbeat, and all of them wait for the last one to learn of it."""

CONSUMER_DEFAULTS: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 20,
}


def reader_config(settings: Settings) -> dict[str, Any]:
    """For a consumer outside any group: it assigns itself partitions (the client wants a group's name all the same)."""
    return _consumer_config(settings, {"group.id": f"{settings.topic_prefix}reader"})


def asking_config(settings: Settings, group: str) -> dict[str, Any]:
    """For a client that never joins `group` and asks what it has committed; KIP-848 lets such a one ask too."""
    return _consumer_config(settings, {"group.id": group}) | {"group.protocol": "classic"}


def member_config(settings: Settings, group: str, topics: int = 1) -> dict[str, Any]:
    """For a member of `group` that reads so many topics: the broker assigns it partitions."""
    config: dict[str, Any] = {
        "group.id": group,
        "group.protocol": settings.kafka.group_protocol,
        "queued.max.messages.kbytes": 32_768,
        # Once enough is fetched ahead, the client looks away for this long: its default of a second is longer than what
        # it holds lasts (100,000 messages), and readers stood still for a third of the time.
        "fetch.queue.backoff.ms": 20,
        # `longshore.kafka.starts` says where to begin: the client must never do so by itself.
        "auto.offset.reset": "error",
    }
    if settings.kafka.group_protocol == "classic":
        # By range, the same numbers of topics with equally many partitions go to the same member: joining needs that.
        config["partition.assignment.strategy"] = "range"
        session_ms = settings.kafka.session_timeout_ms or _least_session_ms(settings)
        config["session.timeout.ms"] = session_ms
        config["heartbeat.interval.ms"] = min(HEARTBEAT_MS, session_ms // 3)
    elif topics > 1:
        config["group.remote.assignor"] = "range"
    return _consumer_config(settings, config)


def is_incremental(config: dict[str, Any]) -> bool:
    """Whether a rebalance hands over only what moves, not the whole assignment."""
    return config["group.protocol"] == "consumer" or "cooperative" in config.get("partition.assignment.strategy", "")


def _least_session_ms(settings: Settings) -> int:
    """`SESSION_MS`, or the broker's minimum where that is more: it refuses members that ask for less."""
    try:
        least = broker_setting(settings, "group.min.session.timeout.ms")
    except LongshoreError:
        least = None
    return max(SESSION_MS, int(least or ACCEPTED_SESSION_MS))


def _consumer_config(settings: Settings, ours: dict[str, Any]) -> dict[str, Any]:
    return client_config(settings) | CONSUMER_DEFAULTS | ours | users_own(settings)
