"""What is found around an outcome: the label, the model's origin, the monitor's events, a dead letter's replays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from longshore.dead_letters.journal import Entry
from longshore.dead_letters.letter import Coordinates
from longshore.errors import LongshoreError
from longshore.partitioner import partition_of
from longshore.records import UNREADABLE, DriftEvent, RetrainRequest, Source
from longshore.registry import Registry
from longshore.stream import Message
from longshore.topics import Topics
from longshore.tracing import drift, matching
from longshore.tracing.lineage import lineage
from longshore.tracing.matching import Look
from longshore.tracing.reading import CLOCK_SLACK_MS, READ_LIMIT, Searches, Stretch
from longshore.tracing.trace import Drift, Identity, Label, Model, Replay

EVENTS_BEFORE, EVENTS_AFTER = 200, 5_000
"""Offsets read on `drift.events` before and after the moment of scoring."""
ENTRIES = 100
"""Entries of the replay journal for one origin: one, more only after some were taken back."""


class _Labelled(msgspec.Struct):
    label: float
    observed_at: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Reads what belongs to one record whose outcome is known."""

    topics: Topics
    registry: Registry
    searches: Searches

    def label(self, identity: Identity, since_ms: int | None) -> Label | None:
        """The first label of the record's id, in its entity's partition."""
        finder, topic = self.searches.finder, self.topics.labels
        count = finder.partitions(topic)
        if identity.record_id is None or not count:
            return None
        numbers = range(count) if identity.entity is None else [partition_of(identity.entity.encode(), count)]
        found = self.searches.first("label", topic, numbers, since_ms, matching.labelled(identity.record_id))
        if found is None:
            return None
        try:
            value = msgspec.json.decode(found.value() or b"", type=_Labelled)
        except msgspec.MsgspecError:
            self.searches.notes.append(f"the label at {matching.where(found)} cannot be read")
            return None
        return Label(
            label=value.label,
            observed_at=value.observed_at,
            topic=found.topic(),
            partition=found.partition(),
            offset=found.offset(),
        )

    def model(self, version: str, scored_at: int) -> Model:
        """The version's origin and reigns, from the registry; the request it was trained for, from its topic."""
        name = self.registry.model
        try:
            manifest, history = self.registry.manifest(version), self.registry.history()
        except LongshoreError as error:
            return Model(version=version, model=name, problem=str(error))
        request = self._request(str(manifest.get("trigger_id") or ""))
        return lineage(name, version, manifest, history, scored_at=scored_at, request=request)

    def drift(self, scored_at: int, identity: Identity, version: str | None) -> Drift | None:
        """The events around the moment of scoring, up to the first verdict on a later window."""
        finder, topic = self.searches.finder, self.topics.events
        if not finder.partitions(topic):
            return None
        middle = finder.offset_at(topic, 0, scored_at)
        told: list[drift.Told] = []

        def look(message: Message) -> Look:
            try:
                event = msgspec.json.decode(message.value() or b"", type=DriftEvent)
            except UNREADABLE:
                return Look.GO_ON
            told.append(drift.Told(event, message.timestamp()[1]))
            late = message.offset() >= middle and drift.passed(event, identity.event_time)
            return Look.PASSED if late else Look.GO_ON

        stretch = Stretch("drift", topic, 0, start=max(0, middle - EVENTS_BEFORE), stop=middle + EVENTS_AFTER)
        self.searches.read(stretch, look)
        return drift.drift_of(told, scored_at=scored_at, event_time=identity.event_time, version=version)

    def replay(self, source: Source, since_ms: int | None) -> Replay | None:
        """The journal's last entry for a source offset; one taken back (a null value) is none."""
        topic = self.topics.replays
        if not self.searches.finder.partitions(topic):
            return None
        origin = str(Coordinates(source.topic, source.partition, source.offset))
        limit = None if self.searches.everything else READ_LIMIT
        since = None if self.searches.everything or since_ms is None else since_ms - CLOCK_SLACK_MS
        stretch = Stretch("replay", topic, 0, since_ms=since, limit=limit, matches=ENTRIES)
        entries = self.searches.read(stretch, matching.keyed(origin.encode()))
        if not entries or entries[-1].value() is None:
            return None
        try:
            entry = msgspec.json.decode(entries[-1].value() or b"", type=Entry)
        except UNREADABLE:
            self.searches.notes.append(f"it was replayed, but the entry at {matching.where(entries[-1])} is damaged")
            return None
        return Replay(
            replayed_as=entry.replayed_as,
            replayed_at=entry.replayed_at,
            attempt=entry.attempt,
            patched=entry.patched,
            root=entry.root,
        )

    def _request(self, trigger_id: str) -> dict[str, Any] | None:
        """The monitor's request a version was trained for; a run by hand has none."""
        if not trigger_id or not self.searches.finder.partitions(self.topics.requests):
            return None

        def look(message: Message) -> Look:
            try:
                found = msgspec.json.decode(message.value() or b"", type=RetrainRequest)
            except UNREADABLE:
                return Look.GO_ON
            return Look.FOUND if found.trigger_id == trigger_id else Look.GO_ON

        found = self.searches.first("training request", self.topics.requests, [0], None, look)
        return None if found is None else msgspec.json.decode(found.value() or b"", type=dict[str, Any])
