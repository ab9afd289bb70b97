"""One partition's join: messages of both topics in, pairs out; what must wait goes to the partition's file. No Kafka.

Between two `saved` states the file follows the messages; the shell saves it once Kafka has the offsets. A join that
begins behind the group's offsets (after a crash, or with a new file) first reads up to them and tells nothing of it:
whatever met before them was told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from longshore.errors import FormatError
from longshore.monitor.errors import segments_of
from longshore.monitor.join_rules import (
    NOTE_FORMAT,
    LabelReader,
    Lateness,
    Note,
    PredictionReader,
    Progress,
    ReadPredictions,
    Side,
    ahead_of_its_clock,
    is_misplaced,
    seen_after,
)
from longshore.monitor.join_store import JoinStore, Kept, Waiting
from longshore.monitor.models import Profiles
from longshore.profile import Ints
from longshore.schema import Schema
from longshore.stream import Message, value_of

_progress = msgspec.json.Decoder(Progress)
_note = msgspec.json.Decoder(Note)
_NOTE_MEND = "upgrade; or reset the group: then all that the topics hold is joined and told anew"


@dataclass(slots=True)
class Tally:
    """What a partition told since its last commit.

    Attributes:
        met: pairs of a prediction and its label.
        counts: what was left out, by reason; `misplaced` labels are counted when they come, beside what becomes of them.
        offsets: first and last offset of the labels that were read; None where none were.
        conflict: an example, in words.
        unreadable: likewise.

    """

    met: list[tuple[Kept, float]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    offsets: tuple[int, int] | None = None
    conflict: str = ""
    unreadable: str = ""

    def __bool__(self) -> bool:
        return bool(self.met or self.counts or self.offsets)


class JoinReaders:
    """What all partitions share: the rules, the decoders, and the versions' profiles."""

    def __init__(self, schema: Schema, profiles: Profiles, lateness: Lateness, partitions: int) -> None:
        self.schema, self.profiles, self.lateness, self.partitions = schema, profiles, lateness, partitions
        self.predictions, self.labels = PredictionReader(schema), LabelReader(schema)


class PartitionJoin:
    """The join of the partitions `number` of both topics, in one file."""

    def __init__(self, number: int, readers: JoinReaders, store: JoinStore, saved: Progress) -> None:
        """Go on from what the file says that it is."""
        self.number = number
        self.tally = Tally()
        self.note = self._kept_note = b""
        self.progress = saved
        self._readers, self._lateness, self._store = readers, readers.lateness, store
        self._saved = tuple(saved.next)
        self._told = [0, 0]
        self._held: list[list[Message]] = [[], []]
        self._reached = [False, False]
        self._taken, self._started = 0, [-1, -1]

    @classmethod
    def opened(
        cls, number: int, readers: JoinReaders, store: JoinStore, note: bytes, *, life: str, beginning: int
    ) -> PartitionJoin:
        """With the file that there is, if it is of the noted history and not ahead of it; else to be read anew.

        `life` names a new history, which begins at the offsets `beginning`, where there is no note.
        """
        width, saved = readers.lateness.width, store.saved()
        known = read_note(note)
        held = _saved_progress(saved)
        usable = (
            held is not None and known is not None and held.life == known.life and held.width == width
            and all(mine <= theirs for mine, theirs in zip(held.next, known.next, strict=True))
        )  # fmt: skip
        if held is None or not usable:
            held = Progress.of_note(known, width) if known else Progress.anew(life, width, beginning)
            store.begin_anew(msgspec.json.encode(held))
        return cls(number, readers, store, held)

    def start(self, side: Side, committed: int, note: bytes) -> int:
        """Where to begin reading a side, of which the group has committed so far (negative: nothing), with this note.

        After an abort this may be asked before `undo` is called: both speak of what is saved.
        """
        self._told[side], self._started[side] = max(committed, 0), self._taken
        if note:
            self.note = self._kept_note = note
        self._reached[side] = self._saved[side] >= committed or committed <= 0
        self._go_on_if_reached()
        return self._saved[side]

    @property
    def catching_up(self) -> bool:
        """Whether what is read now was told before."""
        return not all(self._reached)

    def reached(self, side: Side) -> bool:
        """Whether a side is read as far as was told."""
        return self._reached[side]

    def end(self, side: Side) -> None:
        """A side is read to its present end: nothing that was told can be left."""
        if not self._reached[side]:
            self._reached[side] = True
            self._go_on_if_reached()

    def take(self, side: Side, messages: Sequence[Message]) -> None:
        """The next messages of a side, in order of their offsets."""
        self._taken += 1
        if not self.catching_up:
            self._take(side, messages, self.tally)
            return
        told = self._told[side]
        old = [message for message in messages if message.offset() < told]
        if old:
            self._take(side, old, Tally())
        # The rest is held back until the other side is as far: only from there on is told what meets.
        self._held[side] += messages[len(old) :]
        if self._held[side] or self.progress.next[side] >= told:
            self.end(side)

    def expire(self) -> None:
        """Let go of what can no longer meet."""
        horizon = self._lateness.horizon(self.progress.seen)
        if self.catching_up or horizon <= self.progress.horizon:
            return
        self.progress.horizon = horizon
        gone = self._store.expire(horizon)
        for side, count, name in zip(Side, gone, ("unlabelled", "unmatched"), strict=True):
            self.progress.waiting[side] -= count
            if count:
                self.tally.counts[name] += count
        self.progress.forget()

    def next_offsets(self) -> tuple[int, int]:
        """What is committed: the first message of either side that was not taken."""
        first, second = map(max, self.progress.next, self._told)
        return first, second

    def take_note(self) -> None:
        """Write down what the group is to keep with the next offsets."""
        self.note = msgspec.json.encode(self.progress.note())

    def save(self) -> None:
        """Keep what was read, and what came of it, in the file: the group's offsets are not behind it."""
        self._store.save(msgspec.json.encode(self.progress))
        self._saved, self._kept_note = tuple(self.progress.next), self.note
        if not self.catching_up:
            self.tally = Tally()

    def undo(self) -> None:
        """Back to what was last saved: its messages will come again."""
        self._store.rollback()
        self.progress = _progress.decode(self._store.saved() or b"")
        self.tally, self.note = Tally(), self._kept_note
        self._held = [[], []]
        # A side that was not asked for again may have been committed further than was known.
        self._reached = [
            started == self._taken and (told == 0 or at >= told)
            for started, at, told in zip(self._started, self._saved, self._told, strict=True)
        ]

    def close(self) -> None:
        """Forget what is not saved."""
        self._store.close()

    def _go_on_if_reached(self) -> None:
        if self.catching_up:
            return
        held, self._held = self._held, [[], []]
        for side in Side:
            if held[side]:
                self._take(side, held[side], self.tally)

    def _take(self, side: Side, messages: Sequence[Message], tally: Tally) -> None:
        if side is Side.PREDICTIONS:
            self._take_predictions(messages, tally)
        else:
            self._take_labels(messages, tally)
        self.progress.next[side] = messages[-1].offset() + 1

    def _take_predictions(self, messages: Sequence[Message], tally: Tally) -> None:
        read = self._readers.predictions.read(list(map(value_of, messages)))
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
        versions = [columns.versions[row] for row in rows.tolist()]
        for version in dict.fromkeys(versions):
            watched = self._readers.profiles.of(version)
            if watched is None:
                continue
            of_version = np.array([one == version for one in versions], dtype=np.bool_)
            chosen = rows[of_version]
            segments = segments_of(watched, self._readers.schema, columns, chosen).astype(np.int8)
            found += [
                Kept(offset, read.ids[row], time, mark, version, columns.routes[row], prediction, low, high, segment)
                for offset, row, time, mark, prediction, low, high, segment in zip(
                    offsets[chosen].tolist(), chosen.tolist(), columns.times[chosen].tolist(),
                    seen[of_version].tolist(), columns.values[-1][chosen].tolist(), read.low[chosen].tolist(),
                    read.high[chosen].tolist(), map(bytes, segments), strict=True,
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
        read = self._readers.labels.read(list(map(value_of, messages)))
        if unreadable := len(messages) - len(read.ids):
            tally.counts["unreadable"] += unreadable
            tally.unreadable = read.reason
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
                misplaced = is_misplaced(entity, self.number, self._readers.partitions)
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


def read_note(note: bytes) -> Note | None:
    """A note beside a group's offsets; None where there is none.

    Raises:
        FormatError: it is damaged, or a newer program's.

    """
    if not note:
        return None
    try:
        found = _note.decode(note)
    except msgspec.MsgspecError as error:
        raise FormatError(f"the note beside the join's offsets is damaged: {error}", mend=_NOTE_MEND) from error
    if found.format > NOTE_FORMAT:
        raise FormatError(f"the note beside the join's offsets has format {found.format}", mend=_NOTE_MEND)
    return found


def _saved_progress(saved: bytes | None) -> Progress | None:
    """What a file says of itself; None where that is nothing, or nothing of this program's."""
    try:
        return _progress.decode(saved) if saved else None
    except msgspec.MsgspecError:
        return None
