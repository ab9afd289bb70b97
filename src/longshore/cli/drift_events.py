"""The monitor's events of the settings' schema, from `drift.events`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from longshore.cli.app import App
from longshore.errors import DataError, FormatError, LongshoreError
from longshore.profile import Profile
from longshore.records import UNREADABLE, DriftEvent
from longshore.registry import Registry
from longshore.stream import Message
from longshore.tracing.drift import Told


def read_events(app: App) -> Iterator[Told]:
    """Every event up to now. Provisional verdicts are among them: who gathers events leaves them out.

    Raises:
        UnavailableError: no broker answers.
        FormatError: what stands on the topic is no drift event.

    """
    from longshore.kafka.reader import read_all  # noqa: PLC0415  (two files are compared without Kafka's client)

    for batch in read_all(app.settings, app.topics.events):
        yield from told_of(app.schema.name, app.topics.events, batch)


def follow_events(app: App, stop: threading.Event) -> Iterator[list[Told]]:
    """Every event from the first on, as they come; an empty list when none came for a moment."""
    from longshore.kafka.reader import follow  # noqa: PLC0415

    schema, topic = app.schema.name, app.topics.events
    for batch in follow(app.settings, topic, stop=stop, timeout_s=0.5):
        yield list(told_of(schema, topic, batch))


def told_of(schema: str, topic: str, messages: Iterable[Message]) -> Iterator[Told]:
    """The topic's messages of this schema's stream set, decoded."""
    for message in messages:
        try:
            event = msgspec.json.decode(message.value() or b"", type=DriftEvent)
        except UNREADABLE as error:
            raise FormatError(
                f"{topic} offset {message.offset()} is no drift event ({error})",
                mend="see who else writes there, or upgrade",
            ) from error
        if event.stream_set == schema:
            yield Told(event, message.timestamp()[1])


def nothing_yet(app: App, what: str = "no verdict") -> DataError:
    """That there is nothing to show."""
    return DataError(
        f"{app.topics.events} holds {what} for {app.schema.name}",
        mend="see that `longshore monitor` runs and records are scored, or widen --since and --until",
    )


class ProfileReader:
    """The profiles of the registry's versions; None for one that is not there or cannot be read."""

    def __init__(self, app: App) -> None:
        self._registry = Registry.open(app.settings.registry(), app.settings.model)
        self._held: dict[str, Profile | None] = {}

    def __call__(self, version: str) -> Profile | None:
        """One version's, read once."""
        if version not in self._held:
            self._held[version] = None
            with suppress(LongshoreError):
                self._held[version] = Profile.from_bytes(self._registry.read(version, "profile"))
        return self._held[version]
