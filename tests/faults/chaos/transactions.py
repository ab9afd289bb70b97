"""Transactions as the broker's log has them: who wrote what in which one, how it ended, and what readers made of it.

A transaction spans partitions, and in each its data ends with a marker. Which markers belong together is read from the
coordinator's own log: each decision to commit or abort names the partitions it will mark, and no second decision of one
producer falls before the first one's markers are written. So a piece (the data of one producer in one partition up to a
marker) belongs to the last decision not later than its marker. That this holds is checked, not assumed: outcome and
partition must fit, and the pieces of one partition must belong to different transactions, in order.

Pure but for `read`, which reads the broker's folder.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tests.faults.chaos.history import PREDICTION, Ints, Seen, Verdict, verdict
from tests.faults.chaos.segments import ABORT, COMMIT, LogBatch, Place, Step, batches, coordinator_steps

OFFSETS_TOPIC = "__consumer_offsets"
_OUTCOMES = {"PrepareCommit": COMMIT, "PrepareAbort": ABORT}


@dataclass(frozen=True)
class Piece:
    """What one producer wrote into one partition in one transaction: the offset ranges of its batches."""

    place: Place
    producer: int
    outcome: str
    time_ms: int
    ranges: tuple[tuple[int, int], ...]


@dataclass
class Transaction:
    """One decision of the coordinator, and the pieces it ended."""

    transactional_id: str
    producer: int
    outcome: str
    time_ms: int
    partitions: frozenset[Place]
    pieces: list[Piece] = field(default_factory=list)

    def __str__(self) -> str:
        """Its owner and when it was decided."""
        return f"{self.transactional_id} (producer {self.producer}, {self.outcome} at {self.time_ms})"


@dataclass
class Log:
    """The scorers' transactions, oldest first by producer; `unclear`: what could not be joined, in words."""

    transactions: list[Transaction]
    unclear: list[str]
    open_at_end: list[str]
    bare: list[str]
    """Data that was written outside any transaction."""

    def outcomes(self) -> Counter[str]:
        """How many were committed, and how many aborted."""
        return Counter(transaction.outcome for transaction in self.transactions)


def read(data: Path, topics: dict[int, str], partitions: int) -> Log:
    """The log of the output topics, from the broker's data folder."""
    places = [(topic, number) for topic in topics.values() for number in range(partitions)]
    logs = {place: batches(data / f"{place[0]}-{place[1]}") for place in places}
    log = join(decisions(coordinator_steps(data)), logs)
    log.open_at_end += _pending_offsets(data)
    return log


def _pending_offsets(data: Path) -> list[str]:
    """Offsets whose transaction has no marker: whoever is assigned their partitions waits for them for ever."""
    log = Log([], [], [], [])
    for folder in sorted(data.glob(f"{OFFSETS_TOPIC}-*")):
        place = OFFSETS_TOPIC, int(folder.name.rpartition("-")[2])
        for _ in _pieces(place, (batch for batch in batches(folder) if batch.transactional), log):
            pass
    return log.open_at_end


def decisions(steps: Iterable[Step]) -> list[Transaction]:
    """Every decision to commit or abort; the same one written again after a coordinator's restart counts once."""
    found: list[Transaction] = []
    last: dict[str, tuple[int, str, int]] = {}
    for step in steps:
        outcome = _OUTCOMES.get(step.state)
        this = (step.producer, step.state, step.started_ms)
        if outcome and last.get(step.transactional_id) != this:
            found.append(Transaction(step.transactional_id, step.producer, outcome, step.updated_ms, step.partitions))
        if outcome or step.state == "Ongoing":
            last[step.transactional_id] = this
    return found


def join(decided: list[Transaction], logs: dict[Place, Iterable[LogBatch]]) -> Log:
    """Give every piece to the decision that ended it."""
    by_producer: defaultdict[int, list[Transaction]] = defaultdict(list)
    for transaction in decided:
        by_producer[transaction.producer].append(transaction)
    times = {producer: [t.time_ms for t in mine] for producer, mine in by_producer.items()}
    log = Log(decided, [], [], [])
    for place, entries in logs.items():
        last: dict[int, int] = {}
        for piece in _pieces(place, entries, log):
            mine = by_producer[piece.producer]
            at = bisect_right(times.get(piece.producer, []), piece.time_ms) - 1
            fits = at >= 0 and mine[at].outcome == piece.outcome and place in mine[at].partitions
            if not fits or at <= last.get(piece.producer, -1):
                log.unclear.append(f"{place[0]}-{place[1]}: the {piece.outcome} marker of {piece.time_ms}")
                continue
            last[piece.producer] = at
            mine[at].pieces.append(piece)
    return log


def _pieces(place: Place, entries: Iterable[LogBatch], log: Log) -> Iterator[Piece]:
    """The pieces of one partition. A marker with no data before it (written twice after a restart) is none."""
    going: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for entry in entries:
        if entry.marker:
            ranges = going.pop(entry.producer, [])
            if ranges:
                yield Piece(place, entry.producer, entry.marker, entry.time_ms, tuple(ranges))
        elif entry.transactional:
            going[entry.producer].append((entry.first, entry.last))
        else:
            log.bare.append(f"{place[0]}-{place[1]} at {entry.first}")
    log.open_at_end += [f"{place[0]}-{place[1]} from {ranges[0][0]}" for ranges in going.values()]


def judge(log: Log, topics: dict[int, str], later: Seen) -> list[Verdict]:
    """What the log proves: no mixed versions, offsets with their outputs, nothing aborted seen, nothing left open."""
    view = _View(later, topics)
    written = [t for t in log.transactions if t.pieces]
    mixed, strays, alone = [], [], []
    for transaction in written:
        committed = transaction.outcome == COMMIT
        versions: set[str] = set()
        for piece in transaction.pieces:
            visible, records, found = view.look(piece)
            versions |= found
            if visible != (records if committed else 0):
                strays.append(f"{transaction}: {visible} of {records} visible in {piece.place[0]}-{piece.place[1]}")
        if len(versions) > 1:
            mixed.append(f"{transaction}: {', '.join(sorted(versions))}")
        if committed and all(topic != OFFSETS_TOPIC for topic, _ in transaction.partitions):
            alone.append(str(transaction))
    count = len(written)
    return [
        verdict("no transaction of mixed versions (from the log's markers)", count, mixed),
        verdict("outputs commit with the offsets of their input", count, alone + log.bare),
        verdict("readers see what is committed and nothing else", count, strays),
        verdict("every marker belongs to one transaction", count, log.unclear),
        verdict("no transaction is left open", count, log.open_at_end),
    ]


class _View:
    """The later reader's messages, by place and offset."""

    def __init__(self, seen: Seen, topics: dict[int, str]) -> None:
        columns = seen.columns()
        self._names = seen.versions
        self._at: dict[Place, tuple[Ints, Ints]] = {}
        for output, topic in topics.items():
            mine = columns["output"] == output
            for number in np.unique(columns["partition"][mine]):
                here = mine & (columns["partition"] == number)
                order = np.argsort(columns["offset"][here], kind="stable")
                # A dead letter has no version.
                versions = columns["version"][here][order] if output == PREDICTION else np.empty(0, np.int64)
                self._at[topic, int(number)] = columns["offset"][here][order], versions

    def look(self, piece: Piece) -> tuple[int, int, set[str]]:
        """How many of the piece's records were seen, how many there are, and the versions in them."""
        nothing = np.empty(0, np.int64)
        offsets, versions = self._at.get(piece.place, (nothing, nothing))
        visible = records = 0
        found: set[str] = set()
        for first, last in piece.ranges:
            low, high = np.searchsorted(offsets, [first, last + 1])
            visible += int(high - low)
            records += last + 1 - first
            found |= {self._names.name(int(number)) for number in np.unique(versions[low:high])}
        return visible, records, found
