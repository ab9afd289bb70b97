"""The counting role's shell: polls predictions, labels, model events and KPIs, commits their deltas to `drift.panes`.

One transaction about once a second holds the deltas and the positions they came from, so that nothing is counted twice
or not at all. What is counted and not committed lives in tallies only: an abort or a lost partition drops them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from longshore import telemetry
from longshore.config import Settings
from longshore.errors import AbortedError, UnavailableError
from longshore.kafka.admin import committed_offsets, end_offsets, partition_count
from longshore.kafka.reader import read_all
from longshore.monitor.idle import IdleJudge
from longshore.monitor.messages import NEVER, Counted, Idle, PaneMessage, decode, encode, in_pieces
from longshore.monitor.models import Profiles
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.relayed import kpis_seen, models_moved
from longshore.schema import Schema
from longshore.stream import BEGINNING, Batch, ExactlyOnceStream, Message, Partitions, Place, by_partition
from longshore.topics import Topics

log = structlog.get_logger()

MAX_BATCH = 4_000
SMALL_BATCH = 500
"""Records polled at once where most fill a pane of their own (a slow stream read fast): each takes up to 200 KB."""

POLL_TIMEOUT_S = 0.2
MAX_PANES = 1_000
"""Panes held before a commit, whatever the time: bounds memory when event time runs fast."""

RECENT = (200, 5_000, 50_000)
"""Pane messages read back when looking for watermarks that no note tells: so many, then so many, and no more."""

NOTE = "watermark="
"""How a partition's watermark is noted beside its committed position: what was counted before it reached so far."""

SETTLED_S = 60.0
"""How long a look back waits, at least, for what was written before it to be committed or aborted."""

Watermarks = Callable[[set[int]], dict[int, int]]


class Counting:
    """Counts until told to stop."""

    def __init__(self, settings: Settings, schema: Schema, profiles: Profiles, watermarks: Watermarks) -> None:
        monitor = settings.monitor
        self._settings = settings
        self._topics = Topics.of(settings.topic_prefix, schema)
        self._key = schema.name.encode()
        self._counter = PaneCounter(
            schema,
            profiles,
            pane_ms=int(monitor.pane_s * 1_000),
            lateness_ms=int(monitor.allowed_lateness_s * 1_000),
            sample_rows=monitor.sample_rows if monitor.joint else 0,
            estimate=monitor.estimate,
        )
        self._watermarks = watermarks
        self._tallies: dict[int, Tally] = {}
        self._noted: dict[int, int] = {}
        self._others: list[PaneMessage] = []
        self._idle = IdleJudge(monitor.idle_after_s)
        self._opened: float | None = None
        self._at_once = SMALL_BATCH
        self._next_idle_check = 0.0
        self._partitions = 0
        self._broken = False

    def start(self, found: Mapping[Place, tuple[int, str]]) -> dict[Place, int]:
        """Begin where the group stands, with the watermarks noted there (a hook of the stream).

        Where nothing was ever committed nothing was counted; an older program noted nothing.
        """
        for (topic, partition), (offset, note) in found.items():
            if topic != self._topics.predictions:
                continue
            self._noted.pop(partition, None)
            if offset == BEGINNING:
                self._noted[partition] = NEVER
            elif note.startswith(NOTE):
                self._noted[partition] = int(note.removeprefix(NOTE))
        return {place: offset for place, (offset, _) in found.items()}

    def note(self, place: Place) -> str:
        """A partition's watermark, to be kept beside its committed position (a hook of the stream)."""
        topic, partition = place
        if topic != self._topics.predictions:
            return ""
        tally = self._tallies.get(partition)
        watermark = self._noted.get(partition) if tally is None else tally.watermark
        return "" if watermark is None else f"{NOTE}{watermark}"

    def step(self, stream: ExactlyOnceStream) -> None:
        """One round: poll, count, commit what is due, mark what is idle."""
        try:
            batch = stream.poll(self._at_once, POLL_TIMEOUT_S)
            if batch:
                self._opened = self._opened or time.monotonic()
                before = self._held()
                self._take(batch, stream)
                self._at_once = MAX_BATCH if 2 * (self._held() - before) <= len(batch) else SMALL_BATCH
            self._mark_idle(stream)
            if self._due():
                self.commit(stream)
        except AbortedError as error:
            log.warning("counts will be made again", error=str(error))
            self._begin_anew()
        except BaseException:
            self._broken = True  # the batch is read and not counted: its offsets must not be committed
            raise

    def commit(self, stream: ExactlyOnceStream, *, wait: bool = False) -> None:
        """One transaction of everything counted; unless told to `wait`, counting goes on while it ends."""
        if self._opened is None:
            if wait:
                stream.commit()
            return
        counted = self._messages()
        values = [{"key": self._key, "value": encode(message)} for message in (*counted, *self._others)]
        outputs = [Batch(self._topics.panes, values)] if values else []
        stream.commit(outputs, wait=wait, then=lambda: _measure(counted))
        self._opened, self._others = None, []
        self._tallies = {partition: tally.after_commit() for partition, tally in self._tallies.items()}

    def finish(self, stream: ExactlyOnceStream, partitions: Partitions | None = None) -> None:
        """Commit before partitions are given up (None: all); an abort leaves the counting to the next owner."""
        if self._broken:
            return
        try:
            self.commit(stream, wait=True)
        except AbortedError as error:
            log.warning("the last counts were not committed and will be made again", error=str(error))
            self.drop(partitions)
            return
        gone = set(self._tallies) if partitions is None else self._ours(partitions)
        self._tallies = {partition: tally for partition, tally in self._tallies.items() if partition not in gone}
        self._idle.forget(gone)

    def drop(self, partitions: Partitions | None = None) -> None:
        """Forget everything not committed; `partitions` are no longer ours (None: all)."""
        self._idle.forget(set(self._tallies) if partitions is None else self._ours(partitions))
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Whether a commit that failed was carried out is known to Kafka only: watermarks are read back from there."""
        self._tallies, self._opened, self._others = {}, None, []

    def _ours(self, partitions: Iterable[tuple[str, int]]) -> set[int]:
        return {number for topic, number in partitions if topic == self._topics.predictions}

    def _take(self, batch: list[Message], stream: ExactlyOnceStream) -> None:
        groups = by_partition(batch)
        self._recover(self._ours(groups), stream)
        predictions = []
        for (topic, partition), members in groups.items():
            values = [message.value() for message in members]
            if topic == self._topics.predictions:
                offsets = (members[0].offset(), members[-1].offset())
                predictions.append((self._tallies[partition], values, offsets))
                self._idle.hear(partition, time.monotonic())
            elif topic == self._topics.labels:
                self._others.append(self._counter.count_labels(partition, values))
            elif topic == self._topics.models:
                self._others += models_moved(values)
            else:
                self._others += kpis_seen(values)
        if predictions:
            self._counter.count_all(predictions)

    def _recover(self, partitions: set[int], stream: ExactlyOnceStream) -> None:
        """Go on from the watermark that the last counts of a partition new to us had.

        It stands beside the committed position. Only where an older program committed that, the panes are searched.
        """
        unknown = partitions - set(self._tallies)
        if not unknown:
            return
        stream.settle()  # a transaction of our own that has failed would be waited for
        found = {partition: self._noted[partition] for partition in unknown & self._noted.keys()}
        if rest := unknown - set(found):
            found |= self._watermarks(rest)
        for partition in unknown:
            self._tallies[partition] = Tally(watermark=found[partition]) if partition in found else Tally()

    def _messages(self) -> list[Counted]:
        total = self._partition_count()
        counted = [tally.message(p, total) for p, tally in sorted(self._tallies.items()) if tally.last_offset >= 0]
        return [piece for message in counted for piece in in_pieces(message)]

    def _held(self) -> int:
        """How many panes are counted and not committed."""
        return sum(len(tally.panes) for tally in self._tallies.values())

    def _due(self) -> bool:
        if self._opened is None:
            return False
        return self._held() >= MAX_PANES or time.monotonic() - self._opened >= self._settings.monitor.commit_interval_s

    def _mark_idle(self, stream: ExactlyOnceStream) -> None:
        now = time.monotonic()
        if now < self._next_idle_check:
            return
        self._next_idle_check = now + self._settings.monitor.commit_interval_s
        at_end = {number: end for (topic, number), end in stream.at_end().items() if topic == self._topics.predictions}
        suspects = self._idle.suspects(now, at_end)
        if not suspects:
            return
        group = self._settings.topic_prefix + self._settings.scorer.group
        scored = committed_offsets(self._settings, group, self._topics.records)
        ends = end_offsets(self._settings, self._topics.records)
        idle = self._idle.idle(suspects, ends, scored, now)
        self._others += [Idle(partition, self._partition_count()) for partition in idle]
        self._opened = self._opened or (now if idle else None)

    def _partition_count(self) -> int:
        if not self._partitions:
            self._partitions = partition_count(self._settings, self._topics.predictions)
        return self._partitions


def _measure(committed: list[Counted]) -> None:
    for message in committed:
        telemetry.RECORDS_COUNTED.inc(sum(delta.records for delta in message.panes))
        telemetry.RECORDS_LATE.inc(message.late)


def watermarks_from_panes(settings: Settings, topic: str) -> Watermarks:
    """Reads partitions' last watermarks back from `drift.panes`, from its recent end.

    A partition whose last counts are further back than `RECENT` is told nothing of: what is late there is then counted,
    and the decider, which knows its watermark, sets it aside.

    What stands there when it is asked is waited for: the group's offsets may show a predecessor's commit before its
    counts can be read.

    Raises:
        UnavailableError: (the function) no broker answers, or a transaction on the topic does not end.

    """

    def find(partitions: set[int]) -> dict[int, int]:
        end = end_offsets(settings, topic)[0]
        _wait_until_stable(settings, topic, end)
        found: dict[int, int] = {}
        for start in (max(0, end - recent) for recent in RECENT):
            found = _scan(settings, topic, partitions, start)
            if not start or not partitions - set(found):
                break
        return found

    return find


def _wait_until_stable(settings: Settings, topic: str, end: int) -> None:
    begun, patience = time.monotonic(), max(SETTLED_S, 2 * settings.kafka.transaction_timeout_ms / 1_000 + 20)
    while end_offsets(settings, topic, committed=True)[0] < end:
        if time.monotonic() - begun > patience:
            raise UnavailableError(
                f"topic {topic}: a transaction on it has not ended for {patience:.0f} s",
                mend="see docs/operations/transaction-aborts.md on transactions that hang",
            )
        time.sleep(0.2)


def _scan(settings: Settings, topic: str, partitions: set[int], start: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for batch in read_all(settings, topic, from_offsets={0: start} if start else None):
        for message in batch:
            value = decode(message.value())
            if isinstance(value, Counted) and value.partition in partitions:
                found[value.partition] = value.watermark
    return found
