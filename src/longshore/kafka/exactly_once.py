"""A consumer-group member that commits outputs and positions together (KIP-98, KIP-447), or one after the other."""

from __future__ import annotations

import threading
from typing import Unpack

from longshore.config import Settings
from longshore.kafka.flushes import Flushes
from longshore.kafka.holding import HoldingMember
from longshore.kafka.member import GroupMember
from longshore.kafka.outlet import Hooks
from longshore.kafka.transactions import Transactions


class ExactlyOnce(HoldingMember):
    """A member whose outputs and positions advance in one Kafka transaction, or not at all.

    Starting waits for Kafka; `stop` ends that early, with an UnavailableError.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        instance: str,
        topics: list[str],
        stop: threading.Event | None = None,
        **hooks: Unpack[Hooks],
    ) -> None:
        service = group.removeprefix(settings.topic_prefix)
        # First of all: it settles what a predecessor of this name left open, which holds up every reader.
        transactions = Transactions(settings, f"{group}-{instance}", service, stop=stop)
        super().__init__(settings, transactions, group=group, topics=topics, **hooks)


class AtLeastOnce(GroupMember):
    """A member whose positions advance after its outputs: a crash in between does them again."""

    def __init__(self, settings: Settings, *, group: str, topics: list[str], **hooks: Unpack[Hooks]) -> None:
        flushes = Flushes(settings, group.removeprefix(settings.topic_prefix))
        super().__init__(settings, flushes, group=group, topics=topics, **hooks)
