"""What meets in one partition: stretches of messages in, pairs out; what must wait goes to the partition's file.

By the rules of `longshore.monitor.join_rules`. Where reading begins, what of it is told and when the file is saved is
`longshore.monitor.join`'s matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

import numpy as np

from longshore.monitor.errors import segments_of
from longshore.monitor.groups import Scheme
from longshore.monitor.join_rules import (
    Lateness,
    PredictionReader,
    Progress,
    ReadPredictions,
    Side,
    ahead_of_its_clock,
    is_misplaced,
    seen_after,
)
from longshore.monitor.join_store import JoinStore, Kept, Waiting
from longshore.monitor.label_reader import LabelReader
from longshore.monitor.models import Profiles
from longshore.profile import Ints
from longshore.schema import Schema
from longshore.stream import Message


@dataclass(slots=True)
class Tally:
    """What a partition told since its last commit.

    Attributes:
        met: pairs of a prediction and its label.
        counts: what was left out, by reason; `misplaced` labels are counted when they come, whatever becomes of them.
        offsets: first and last offset of the labels that were read; None where none were.
        conflict: an example, in words.
        unreadable: likewise.
        wrong: how many could not be read, by what is wrong with them.

    """

    met: list[tuple[Kept, float]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    offsets: tuple[int, int] | None = None
    conflict: str = ""
    unreadable: str = ""
    wrong: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.met or self.counts or self.offsets)


class JoinReaders:
    """What all partitions share: the rules, the decoders, the versions' profiles, and how rows are grouped."""

    def __init__(
        self, schema: Schema, profiles: Profiles, lateness: Lateness, partitions: int, scheme: Scheme | None = None
    ) -> None:
        self.schema, self.profiles, self.lateness, self.partitions = schema, profiles, lateness, partitions
        self.scheme = scheme or Scheme({})
        self.predictions, self.labels = PredictionReader(schema, self.scheme), LabelReader(schema)


class Matcher:
    """Matches the messages of the partitions `number` of both topics; `progress` is moved by what is taken."""

    def __init__(self, number: int, readers: JoinReaders, store: JoinStore, progress: Progress) -> None:
        self.progress = progress
        self._number, self._readers, self._lateness, self._store = number, readers, readers.lateness, store

    def take(self, side: Side, messages: Sequence[Message], tally: Tally) -> None:
        """The next messages of a side, in order of their offsets; what comes of them is added to a tally."""
        if side is Side.PREDICTIONS:
            self._take_predictions(messages, tally)
        else:
            self._take_labels(messages, tally)
        self.progress.next[side] = messages[-1].offset() + 1

    def _take_predictions(self, messages: Sequence[Message], tally: Tally) -> None:
        read = self._readers.predictions.read([message.value() for message in messages])
        if not len(read.rows):
            return
        offsets = np.array([message.offset() for message in messages], dtype=np.int64)[read.positions]
        times = read.columns.times[read.rows]
        seen = seen_after(self.progress.seen[Side.PREDICTIONS], times)
        self.progress.seen[Side.PREDICTIONS] = int(seen[-1])
        in_time = (seen <= times + self._lateness.ms) & (times >= self.progress.horizon)
        if behind := int((~in_time).sum()):
            tally.counts["unlabelled"] += behind
        kept = self._kept(read, read.rows[in_time], offsets, seen[in_time])
        if not kept:
            return
        again = self._store.add_predictions(kept)
        if again:
            tally.counts["repeated"] += len(again)
            self._keep_firsts(again)
        self.progress.waiting[Side.PREDICTIONS] += len(kept) - len(again)
        self._keep_marks(Side.PREDICTIONS, kept)
        if self.progress.waiting[Side.LABELS]:
            self._meet_waiting(kept[0].offset, kept[-1].offset, tally)

    def _kept(self, read: ReadPredictions, rows: Ints, offsets: Ints, seen: Ints) -> list[Kept]:
        """Rows of versions that the registry holds, as they will wait, in order of their offsets."""
        columns = read.columns
        found: list[Kept] = []
        names = list(chain.from_iterable(repeat(name, count) for name, count in columns.named))
        versions = [names[row][0] for row in rows.tolist()]
        for version in dict.fromkeys(versions):
            watched = self._readers.profiles.of(version)
            if watched is None:
                continue
            of_version = np.array([one == version for one in versions], dtype=np.bool_)
            chosen = rows[of_version]
            segments = segments_of(watched, self._readers.schema, columns, chosen)
            fields = [read.fields[row] for row in chosen.tolist()]
            tails = self._readers.scheme.tails(watched.profile, fields, segments)
            found += [
                Kept(offset, read.ids[row], time, mark, version, names[row][1], prediction, low, high, segment + tail)
                for offset, row, time, mark, prediction, low, high, segment, tail in zip(
                    offsets[chosen].tolist(), chosen.tolist(), columns.times[chosen].tolist(),
                    seen[of_version].tolist(), columns.values[-1][chosen].tolist(), read.low[chosen].tolist(),
                    read.high[chosen].tolist(), map(bytes, segments.astype(np.int8)), tails, strict=True,
                )
            ]  # fmt: skip
        return found if len(found) < 2 or found[0].version == found[-1].version else sorted(found)

    def _keep_firsts(self, again: Sequence[Kept]) -> None:
        """To know these as repeated when all is read again, the first of each id must be read, too."""
        firsts = self._store.predictions_of([row.id for row in again])
        self._keep_marks(Side.PREDICTIONS, [firsts[row.id]._replace(time=row.time) for row in again])

    def _keep_marks(self, side: Side, rows: Sequence[Kept] | Sequence[Waiting]) -> None:
        times, offsets, seen = (
            np.array([row[at] for row in rows], dtype=np.int64)
            for at in (Kept._fields.index("time"), Kept._fields.index("offset"), Kept._fields.index("seen"))
        )
        self.progress.keep(side, times, offsets, seen)

    def _meet_waiting(self, first: int, last: int, tally: Tally) -> None:
        """Predictions that have come may have been waited for."""
        meet = self._lateness.meet
        pairs = [
            (kept, label)
            for kept, label in self._store.met(first, last)
            if meet((kept.time, kept.seen), (label.time, label.seen))
        ]
        if pairs:
            self._store.remove_labels([label.offset for _, label in pairs])
            self.progress.waiting[Side.LABELS] -= len(pairs)
            self._tell(pairs, tally)

    def _tell(self, pairs: Sequence[tuple[Kept, Waiting]], tally: Tally) -> None:
        self._store.label([(label.label, kept.offset) for kept, label in pairs])
        self.progress.waiting[Side.PREDICTIONS] -= len(pairs)
        tally.met += [(kept, label.label) for kept, label in pairs]
        # For as long as either is there, a second label must be known as such.
        self._keep_marks(Side.LABELS, [label._replace(time=max(kept.time, label.time)) for kept, label in pairs])

    def _take_labels(self, messages: Sequence[Message], tally: Tally) -> None:
        first = messages[0].offset() if tally.offsets is None else tally.offsets[0]
        tally.offsets = (first, messages[-1].offset())
        read = self._readers.labels.read([message.value() for message in messages])
        if unreadable := len(messages) - len(read.ids):
            tally.counts["unreadable"] += unreadable
            tally.unreadable = read.reason
            tally.wrong.update(read.wrong)
        places = [messages[at] for at in read.positions.tolist()]
        stamps = np.array([message.timestamp()[1] for message in places], dtype=np.int64)
        future = ahead_of_its_clock(read.times, stamps)
        seen = seen_after(self.progress.seen[Side.LABELS], np.where(future, -1, read.times))
        if len(seen):
            self.progress.seen[Side.LABELS] = int(seen[-1])
        late = (read.observed - read.times > self._lateness.ms) | (seen > read.times + self._lateness.ms)
        late |= read.times < self.progress.horizon
        for name, count in (("future", int(future.sum())), ("late", int((late & ~future).sum()))):
            if count:
                tally.counts[name] += count
        rows = np.flatnonzero(~(late | future)).tolist()
        labels = [
            Waiting(places[i].offset(), read.ids[i], int(read.times[i]), int(seen[i]), read.values[i], 0) for i in rows
        ]
        self._match(labels, [read.entities[i] for i in rows], tally)

    def _match(self, labels: Sequence[Waiting], entities: Sequence[object], tally: Tally) -> None:
        """Labels in their order, each with its prediction if that is there; the others wait."""
        ids = [label.id for label in labels]
        predictions = self._store.predictions_of(ids)
        waiting = self._store.labels_of(ids) if self.progress.waiting[Side.LABELS] else {}
        wait: list[Waiting] = []
        pairs: list[tuple[Kept, Waiting]] = []
        for label, entity in zip(labels, entities, strict=True):
            kept = predictions.get(label.id)
            known = waiting.get(label.id, kept.label if kept is not None else None)
            if known is not None:
                self._second(label, known, tally)
            elif kept is not None and self._lateness.meet((kept.time, kept.seen), (label.time, label.seen)):
                pairs.append((kept, label))
                predictions[label.id] = kept._replace(label=label.label)
            else:
                misplaced = is_misplaced(entity, self._number, self._readers.partitions)
                if misplaced:
                    tally.counts["misplaced"] += 1
                wait.append(label._replace(misplaced=int(misplaced)))
                waiting[label.id] = label.label
        if wait:
            self._store.add_labels(wait)
            self.progress.waiting[Side.LABELS] += len(wait)
            self._keep_marks(Side.LABELS, wait)
        if pairs:
            self._tell(pairs, tally)

    def _second(self, label: Waiting, known: float, tally: Tally) -> None:
        """A label for a record that has one; a conflict with it when it is another."""
        if label.label == known:
            tally.counts["duplicates"] += 1
        else:
            tally.counts["conflicting"] += 1
            tally.conflict = f"{label.id!r} is labelled {known:g} and then {label.label:g}"
