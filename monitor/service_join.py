"""The joining role's shell: polls predictions and labels, commits the errors of what met to `drift.panes`.

One transaction about once a second holds the errors and the offsets they came from, with a note beside the offsets that
tells how to make the state again. The partition's file is saved after it: what it lacks after a crash is read again,
without telling. Which rows meet is `longshore.monitor.join`'s work.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import structlog

from longshore import telemetry
from longshore.config import Settings
from longshore.errors import AbortedError, ConfigurationError
from longshore.instance import held_folder
from longshore.kafka.admin import partition_count
from longshore.monitor.groups import Scheme
from longshore.monitor.join import PartitionJoin
from longshore.monitor.join_errors import errors_of
from longshore.monitor.join_match import JoinReaders, Tally
from longshore.monitor.join_rules import Lateness, Side
from longshore.monitor.join_store import JoinStore
from longshore.monitor.messages import Errors, encode, errors_in_pieces
from longshore.monitor.models import Profiles
from longshore.schema import Schema
from longshore.stream import BEGINNING, Batch, HoldingStream, Message, Partitions, Place, by_partition
from longshore.topics import Topics

log = structlog.get_logger()

MAX_BATCH = 4_000
POLL_TIMEOUT_S = 0.2

MAX_MET = 50_000
"""Pairs held before a commit, whatever the time: bounds memory."""

CACHE_BYTES = 64 * 1024 * 1024
"""Of all partitions' files together, shared out evenly; no file gets less than `LEAST_CACHE_BYTES`."""

LEAST_CACHE_BYTES = 2 * 1024 * 1024

COMPLAIN_S = 60.0

LEFT_OUT = ("duplicates", "conflicting", "late", "unmatched", "unreadable", "future")
"""Labels that met no prediction, by reason."""


class Joining:
    """Joins until told to stop. `files`: the folder for the partitions' files, this member's own."""

    def __init__(self, settings: Settings, schema: Schema, profiles: Profiles, files: Path, partitions: int) -> None:
        monitor = settings.monitor
        topics = Topics.of(settings.topic_prefix, schema)
        self._panes = topics.panes
        self._sides = {topics.predictions: Side.PREDICTIONS, topics.to_join(settings): Side.LABELS}
        self._names = tuple(self._sides)
        self._key = schema.name.encode()
        self._pane_ms = int(monitor.pane_s * 1_000)
        self._interval_s = monitor.commit_interval_s
        self._lateness = Lateness(int(monitor.label_lateness_s * 1_000))
        self._readers = JoinReaders(schema, profiles, self._lateness, partitions, Scheme(monitor.fairness.groups))
        self._partitions, self._files = partitions, files
        self._parts: dict[int, PartitionJoin] = {}
        self._opened: float | None = None
        self._broken = False
        self._unpaired: set[int] = set()
        self._complaints = Complaints()

    @property
    def topics(self) -> list[str]:
        """What is to be read."""
        return list(self._names)

    def start(self, found: Mapping[Place, tuple[int, str]]) -> dict[Place, int]:
        """Where to begin reading, given the group's offsets and the notes beside them (a hook of the stream)."""
        begins = {}
        for (topic, number), (offset, note) in found.items():
            part = self._parts.get(number)
            if part is None:
                part = self._parts[number] = self._open(number, note.encode())
            begins[topic, number] = part.start(self._sides[topic], offset, note.encode())
        return begins

    def note(self, place: Place) -> str:
        """What to keep beside a committed offset (a hook of the stream)."""
        part = self._parts.get(place[1])
        return part.note.decode() if part is not None else ""

    def step(self, stream: HoldingStream) -> None:
        """One round: poll, join, commit what is due; hold back the side that is too far ahead."""
        try:
            batch = stream.poll(MAX_BATCH, POLL_TIMEOUT_S)
            self._take(batch, stream)
            for (topic, number), ended in stream.at_end().items():
                if ended and number in self._parts:
                    self._parts[number].end(self._sides[topic])
            self.hold(stream)
            if self._due():
                self.commit(stream)
        except AbortedError as error:
            log.warning("joins will be made again", error=str(error))
            self._undo()
        except BaseException:
            self._broken = True  # what is half taken must not be committed
            raise

    def hold(self, stream: HoldingStream) -> None:
        """Stop reading what has nothing to meet yet, and what is too far ahead of it; read the rest."""
        ours, ends = stream.assignment(), stream.at_end()
        numbers = {number for _, number in ours}
        unpaired = {number for number in numbers if not ours.issuperset((topic, number) for topic in self._names)}
        if unpaired - self._unpaired:
            log.warning("partitions wait for their counterparts", partitions=sorted(unpaired), mend="docs/labels.md")
        self._unpaired = unpaired
        stream.hold({place for number in numbers for place in self._held(number, ours, ends)})

    def commit(self, stream: HoldingStream) -> None:
        """One transaction of all that met, with the offsets of the partitions that are not catching up."""
        ready = [part for part in self._parts.values() if not part.catching_up]
        offsets: dict[Place, int] = {}
        read = stream.positions()
        for part in ready:
            part.expire()
            part.take_note()
            places = [(topic, part.number) for topic in self._names]
            offsets |= {p: max(at, read.get(p, 0)) for p, at in zip(places, part.next_offsets(), strict=True)}
        told = [message for part in ready if part.tally for message in self._messages(part)]
        values = [{"key": self._key, "value": encode(message)} for message in told]
        if ready:
            stream.commit([Batch(self._panes, values)] if values else [], upto=offsets)
        for part in ready:
            _measure(part.tally, part.number, part.progress.waiting)
            self._complaints.add(part.tally)
        for part in self._parts.values():
            part.save()
        self._opened = None

    def finish(self, stream: HoldingStream, partitions: Partitions | None = None) -> None:
        """Commit before partitions are given up (None: all); an abort leaves the joining to the next owner."""
        if not self._broken:
            try:
                self.commit(stream)
            except AbortedError as error:
                log.warning("the last joins were not committed and will be made again", error=str(error))
                self._undo()
        self._let_go(partitions)

    def drop(self, partitions: Partitions) -> None:
        """Forget what is not committed of `partitions`, which are no longer ours; an abort tells of the others."""
        self._let_go(partitions)

    def _open(self, number: int, note: bytes) -> PartitionJoin:
        store = JoinStore(self._files / f"{number}.sqlite", max(LEAST_CACHE_BYTES, CACHE_BYTES // self._partitions))
        part = PartitionJoin.opened(number, self._readers, store, note, life=uuid.uuid4().hex[:8], beginning=BEGINNING)
        log.info("join opened", partition=number, begins=part.progress.next, waiting=part.progress.waiting)
        return part

    def _let_go(self, partitions: Partitions | None) -> None:
        gone = set(self._parts) if partitions is None else {number for _, number in partitions}
        for number in gone & self._parts.keys():
            self._parts.pop(number).close()
            for side in ("predictions", "labels"):
                telemetry.JOIN_WAITING.remove(side, str(number))

    def _undo(self) -> None:
        """Whether a commit that failed was carried out is known to Kafka only; `start` hears of it."""
        for part in self._parts.values():
            part.undo()
        self._opened = None

    def _take(self, batch: list[Message], stream: HoldingStream) -> None:
        for (topic, number), messages in by_partition(batch).items():
            if not stream.assignment().issuperset((name, number) for name in self._names):
                raise ConfigurationError(
                    f"partition {number} of {topic} is read here, and its counterpart by another member",
                    mend="let the group assign by range: no other assignor under kafka.client",
                )
            self._parts[number].take(self._sides[topic], messages)
        if batch:
            self._opened = self._opened or time.monotonic()

    def _held(self, number: int, ours: Partitions, ends: Mapping[Place, bool]) -> Iterable[Place]:
        places = [(topic, number) for topic in self._names]
        part = self._parts.get(number)
        if not ours.issuperset(places):
            return [place for place in places if place in ours]
        if part is None:
            return []
        if part.catching_up:
            return [place for side, place in zip(Side, places, strict=True) if part.reached(side)]
        ahead = self._lateness.too_far_ahead(part.progress.seen)
        if ahead is None or ends.get(places[1 - ahead], False):
            return []
        return [places[ahead]]

    def _due(self) -> bool:
        if self._opened is None:
            return False
        met = sum(len(part.tally.met) for part in self._parts.values())
        return met >= MAX_MET or time.monotonic() - self._opened >= self._interval_s

    def _messages(self, part: PartitionJoin) -> list[Errors]:
        tally, (_, next_label) = part.tally, part.next_offsets()
        first, last = tally.offsets or (next_label, next_label)
        return errors_in_pieces(
            Errors(
                part.number, self._partitions, first, last,
                errors_of(tally, self._readers.profiles, self._pane_ms, self._readers.scheme),
                duplicates=tally.counts["duplicates"],
                conflicting=tally.counts["conflicting"],
                late=tally.counts["late"],
                unmatched=tally.counts["unmatched"],
                unlabelled=tally.counts["unlabelled"],
                unreadable=dict(sorted(tally.wrong.items())),
            )
        )  # fmt: skip


class Complaints:
    """What is wrong with labels, said once in a while: how many since the last time, and an example."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._next = 0.0

    def add(self, tally: Tally) -> None:
        """Take note of what was committed; say it if it is time."""
        for name, example in (
            ("conflicting", tally.conflict),
            ("unreadable", tally.unreadable),
            ("misplaced", "another partition than their entities': monitor.relay_labels, docs/labels.md"),
        ):
            if tally.counts[name]:
                self._counts[name] += tally.counts[name]
                self._examples[name] = example
        if self._counts and time.monotonic() >= self._next:
            for name, count in self._counts.items():
                log.warning(f"labels are {name}", count=count, example=self._examples[name])
            self._counts.clear()
            self._next = time.monotonic() + COMPLAIN_S


def _measure(tally: Tally, partition: int, waiting: list[int]) -> None:
    counts = tally.counts
    telemetry.LABELS_JOINED.inc(len(tally.met))
    for reason in LEFT_OUT:
        if counts[reason]:
            telemetry.LABELS_LEFT_OUT.labels(reason).inc(counts[reason])
    telemetry.LABELS_MISPLACED.inc(counts["misplaced"])
    telemetry.PREDICTIONS_UNLABELLED.inc(counts["unlabelled"])
    telemetry.PREDICTIONS_REPEATED.inc(counts["repeated"])
    for side, rows in zip(("predictions", "labels"), waiting, strict=True):
        telemetry.JOIN_WAITING.labels(side, str(partition)).set(rows)


def joining_of(settings: Settings, schema: Schema, profiles: Profiles, instance: str) -> Joining:
    """A joiner on this process's own folder.

    Raises:
        ConfigurationError: the topics cannot be joined, or `home` cannot be written.

    """
    topics = Topics.of(settings.topic_prefix, schema)
    labels = topics.to_join(settings)
    counts = {topic: partition_count(settings, topic) for topic in (topics.predictions, labels)}
    if len(set(counts.values())) > 1:
        raise ConfigurationError(
            " and ".join(f"{topic} has {count} partitions" for topic, count in counts.items()),
            mend="a label is looked for in its prediction's partition: give both topics the same number",
        )
    files = held_folder(settings, "join/" + f"{settings.topic_prefix}{instance}".replace("/", "-"))
    return Joining(settings, schema, profiles, files, counts[labels])


def group_of(settings: Settings) -> str:
    """Another topic has other offsets: so another group."""
    relayed = ".relayed" if settings.monitor.relay_labels else ""
    return f"{settings.topic_prefix}{settings.monitor.group}.join{relayed}"
