"""What is heard on the topics while the demo runs: one thread a topic, one `Story` they all write to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from longshore.config import Settings
from longshore.errors import LongshoreError
from longshore.kafka.reader import follow
from longshore.records import DriftEvent, ModelEvent, ModelEventKind, RetrainRequest
from longshore.stream import Message
from longshore.topics import Topics


class Scored(msgspec.Struct, gc=False):
    """What the view needs of a prediction."""

    model_version: str


@dataclass(slots=True)
class Story:
    """What has happened so far. `news` is called once for each drift event, request and model event, in order.

    Provisional verdicts are no news: the final ones come.
    """

    produced: int = 0
    dead_letters: int = 0
    scored: Counter[str] = field(default_factory=Counter)
    verdict: DriftEvent | None = None
    state: str = "ok"
    alerts: list[DriftEvent] = field(default_factory=list)
    resolved: list[DriftEvent] = field(default_factory=list)
    requests: list[RetrainRequest] = field(default_factory=list)
    models: list[ModelEvent] = field(default_factory=list)
    verdicts_by_version: Counter[str] = field(default_factory=Counter)
    trouble: str = ""

    @property
    def champion(self) -> str:
        """The version promoted last."""
        moves = [event for event in self.models if event.kind is ModelEventKind.PROMOTED]
        return moves[-1].version if moves else "-"


class Watch:
    """Follows the topics in threads of its own until `close`."""

    def __init__(self, settings: Settings, topics: Topics, news: Callable[[Any], None]) -> None:
        self.story = Story()
        self._settings = settings
        self._news = news
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._scored = msgspec.json.Decoder(Scored)
        hears = {
            topics.records: self._hear_record,
            topics.dead_letters: self._hear_dead_letter,
            topics.predictions: self._hear_prediction,
            topics.events: self._hear_drift,
            topics.requests: self._hear_request,
            topics.models: self._hear_model,
        }
        self._threads = [
            threading.Thread(target=self._follow, args=(topic, hear), daemon=True) for topic, hear in hears.items()
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        for thread in self._threads:
            thread.join(5)

    def _follow(self, topic: str, hear: Callable[[Message], None]) -> None:
        try:
            for batch in follow(self._settings, topic, stop=self._stop):
                with self._lock:
                    for message in batch:
                        hear(message)
        except LongshoreError as error:
            if not self._stop.is_set():
                self.story.trouble = str(error)

    def _hear_record(self, _message: Message) -> None:
        self.story.produced += 1

    def _hear_dead_letter(self, _message: Message) -> None:
        self.story.dead_letters += 1

    def _hear_prediction(self, message: Message) -> None:
        self.story.scored[self._scored.decode(message.value() or b"").model_version] += 1

    def _hear_drift(self, message: Message) -> None:
        event = msgspec.json.decode(message.value() or b"", type=DriftEvent)
        if event.provisional:
            return
        self.story.state = event.state
        if event.kind == "verdict":
            self.story.verdict = event
            self.story.verdicts_by_version[event.model_version] += 1
        elif event.kind == "alert":
            self.story.alerts.append(event)
        elif event.kind == "resolved":
            self.story.resolved.append(event)
        self._news(event)

    def _hear_request(self, message: Message) -> None:
        request = msgspec.json.decode(message.value() or b"", type=RetrainRequest)
        self.story.requests.append(request)
        self._news(request)

    def _hear_model(self, message: Message) -> None:
        event = msgspec.json.decode(message.value() or b"", type=ModelEvent)
        self.story.models.append(event)
        self._news(event)
