"""How topics are consumed: committed records only, each partition's end reported, offsets moved by us alone."""

from __future__ import annotations

from typing import Any

from longshore.config import Settings
from longshore.kafka.client import client_config

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


def member_config(settings: Settings, group: str) -> dict[str, Any]:
    """For a member of `group`: the broker assigns it partitions."""
    config: dict[str, Any] = {
        "group.id": group,
        "group.protocol": settings.kafka.group_protocol,
        "queued.max.messages.kbytes": 32_768,
    }
    if settings.kafka.group_protocol == "classic":
        config["partition.assignment.strategy"] = "range"
        config["session.timeout.ms"] = settings.kafka.session_timeout_ms
        config["heartbeat.interval.ms"] = settings.kafka.session_timeout_ms // 3
    return _consumer_config(settings, config)


def _consumer_config(settings: Settings, ours: dict[str, Any]) -> dict[str, Any]:
    users = {key: value.get_secret_value() for key, value in settings.kafka.client.items()}
    return client_config(settings) | CONSUMER_DEFAULTS | ours | users
