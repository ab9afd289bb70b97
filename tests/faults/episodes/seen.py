"""What stands on `drift.events` and `retrain.requests`, as a read_committed reader sees it."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.records import DriftEvent, RetrainRequest
from longshore.topics import Topics


class Seen:
    """Everything that was told, in order. `judged_ms`: how far verdicts have come in event time."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.events: list[DriftEvent] = []
        self.requests: list[RetrainRequest] = []
        self.judged_ms = self.verdicts = 0
        self._closed: dict[str, int] = {}
        self._last: dict[str, str] = {}

    def __call__(self, message: Any) -> None:
        """Take in a message of either topic."""
        if message.topic() == self._topics.requests:
            self.requests.append(msgspec.json.decode(message.value(), type=RetrainRequest))
            return
        event = msgspec.json.decode(message.value(), type=DriftEvent)
        if event.provisional:
            return
        self.events.append(event)
        if event.kind in ("verdict", "era"):
            self.judged_ms = max(self.judged_ms, event.window.end)
        if event.kind == "verdict":
            self.verdicts += 1
            self._last[event.model_version] = event.state
        elif event.kind == "attempt_closed":
            self._closed[event.detail["trigger_id"]] = self.verdicts

    def request(self, version: str, attempt: int) -> RetrainRequest | None:
        """The first that asks for a version's successor with this attempt."""
        return next((one for one in self.requests if (one.model_version, one.attempt) == (version, attempt)), None)

    def closed(self, trigger_id: str) -> int | None:
        """How many verdicts stood before an attempt's end; None: it has not been told."""
        return self._closed.get(trigger_id)

    def calm(self, version: str) -> bool:
        """Whether the last verdict on this version left nothing open, and no cooldown."""
        return self._last.get(version) == "ok"
