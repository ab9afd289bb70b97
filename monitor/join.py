"""One partition's join between Kafka and its file: where reading begins, what of it is told, when the file is saved.

Between two `saved` states the file follows the messages; the shell saves it once Kafka has the offsets. A join that
begins behind the group's offsets (after a crash, or with a new file) first reads up to them and tells nothing of it:
whatever met before them was told. What meets is `longshore.monitor.join_match`'s work.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from longshore.errors import FormatError
from longshore.monitor.join_match import JoinReaders, Matcher, Tally
from longshore.monitor.join_rules import NOTE_FORMAT, Note, Progress, Side
from longshore.monitor.join_store import Expired, JoinStore
from longshore.stream import Message

_progress = msgspec.json.Decoder(Progress)
_note = msgspec.json.Decoder(Note)
_NOTE_MEND = "upgrade; or reset the group: then all that the topics hold is joined and told anew"


class PartitionJoin:
    """The join of the partitions `number` of both topics, in one file."""

    def __init__(self, number: int, readers: JoinReaders, store: JoinStore, saved: Progress) -> None:
        """Go on from what the file says that it is."""
        self.number = number
        self.tally = Tally()
        self.note = self._kept_note = b""
        self._store, self._lateness = store, readers.lateness
        self._matcher = Matcher(number, readers, store, saved)
        self._saved = tuple(saved.next)
        self._told = [0, 0]
        self._held: list[list[Message]] = [[], []]
        self._reached = [False, False]
        self._taken, self._started = 0, [-1, -1]
        self._told_horizon = saved.horizon

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
        if (known := read_note(note)) is not None:
            self.note = self._kept_note = note
            self._told_horizon = known.horizon
        self._reached[side] = self._saved[side] >= committed or committed <= 0
        self._go_on_if_reached()
        return self._saved[side]

    @property
    def progress(self) -> Progress:
        """How far it has come, and what waits."""
        return self._matcher.progress

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
            self._matcher.take(side, messages, self.tally)
            return
        told = self._told[side]
        old = [message for message in messages if message.offset() < told]
        if old:
            self._matcher.take(side, old, Tally())
        # The rest is held back until the other side is as far: only from there on is told what meets.
        self._held[side] += messages[len(old) :]
        if self._held[side] or self.progress.next[side] >= told:
            self.end(side)

    def expire(self) -> None:
        """Let go of what can no longer meet."""
        horizon = self._lateness.horizon(self.progress.seen)
        if self.catching_up or horizon <= self.progress.horizon:
            return
        gone = self._expire(horizon)
        for name, count in (("unlabelled", gone.predictions), ("unmatched", gone.labels)):
            if count:
                self.tally.counts[name] += count

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
        self._matcher.progress = _progress.decode(self._store.saved() or b"")
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

    def _expire(self, horizon: int) -> Expired:
        progress, gone = self.progress, self._store.expire(horizon)
        progress.horizon = horizon
        progress.waiting = [held - count for held, count in zip(progress.waiting, gone, strict=True)]
        progress.forget()
        return gone

    def _go_on_if_reached(self) -> None:
        if self.catching_up:
            return
        if self._told_horizon > self.progress.horizon:
            self._expire(self._told_horizon)  # counted, too, in a commit that the file does not know
        held, self._held = self._held, [[], []]
        for side in Side:
            if held[side]:
                self._matcher.take(side, held[side], self.tally)


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
