"""Many ways in which the same records may reach the decider: not one bit of what it tells and keeps differs.

Every arrangement is drawn from its own seed and goes wholly through the real code, from bytes to events: records are
dealt to partitions, counted in pieces by several `PaneCounter`s, neighbouring pieces are added up along random binary
trees, and the messages reach a `Decider` in a random order that keeps each partition's. Only the adding up of pieces
before they are sent is this file's (`joined`): a counting member does the same by counting on in one tally.

What is late is decided by a partition's own order, so the arrangement must keep what is late within bounds there in
whatever partition it lands. It does: records arrive in the order of event time + delay, no delay is above the allowed
lateness, so nothing that arrives before a record is ahead of it by more than that, in no subsequence either.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.drift_stream import PROFILES, SCHEMA, STEP_MS, model_event, predictions, rows

from longshore.monitor.decide import Decider, DeciderSettings, Outputs, decide_all
from longshore.monitor.episodes import Rules
from longshore.monitor.messages import Idle, LabelsSeen, encode
from longshore.monitor.panes import Pane, PaneCounter, Tally
from longshore.monitor.sequence import Alarm
from longshore.monitor.window_parts import Filled, Open

FEW, MANY, WITH_LOOKS = 150, 1_000, 40
TOTAL, SHIFT_AT = 1_000, 400
PANE_MS, LATENESS_MS, WINDOW_RECORDS = 500, 1_000, 140
LATE_SHARE, LEAST_DELAY_MS = 0.1, 300
MOST_PARTITIONS, MOST_PIECES = 6, 24
OF_PLACES = {"offset", "replay_from", "watermark", "read", "look"}
"""What a snapshot says of offsets and partitions, and of provisional verdicts, not of records."""

ADDED = [one.name for one in fields(Pane) if one.name not in ("watched", "ids", "sample")]
"""Of a pane, what is added up (its sample has tests of its own: test_monitor_sample.py)."""

COUNTERS = [PaneCounter(SCHEMA, PROFILES, pane_ms=PANE_MS, lateness_ms=LATENESS_MS) for _ in range(3)]
LABELS = [(pane, 40) for pane in range(SHIFT_AT * STEP_MS // PANE_MS, TOTAL * STEP_MS // PANE_MS)]


Bits = dict[str, int | bytes]


def bits(held: Filled | Open) -> Bits:
    """All the numbers of a window or a pane, arrays as bytes, but not offsets."""
    values = {one.name: getattr(held, one.name) for one in fields(held) if one.name not in OF_PLACES}
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else value
        for name, value in values.items()
        if isinstance(value, np.ndarray | int)
    }


class Watching(Decider):
    """A decider that also keeps the closed windows' exact counts and sums, of which events show deciles only."""

    def __init__(self, *, provisional: bool) -> None:
        rules, alarm = Rules(2, 3, min_fresh_labels=300, cooldown_windows=2), Alarm(2, 3, 1_000_000)
        panes = WINDOW_RECORDS, PANE_MS, LATENESS_MS
        super().__init__(DeciderSettings(SCHEMA.name, "default", rules, alarm, {}, *panes, provisional), PROFILES)
        self.filled: list[Bits] = []

    def _verdict(self, filled: Filled, outputs: Outputs) -> None:
        self.filled.append(bits(filled))
        super()._verdict(filled, outputs)

    def state(self) -> dict[str, Any]:
        """All that it knows of the records: the snapshot without its places, and the panes still open."""
        kept = {name: value for name, value in msgspec.json.decode(self.snapshot()).items() if name not in OF_PLACES}
        still_open = {
            (pane, version): bits(held)
            for pane, versions in self._windows._open.items()
            for version, held in versions.items()
        }
        return kept | {"watermark": self.watermark_ms, "open": still_open}


@dataclass(frozen=True)
class Result:
    """What a decider told for good, as bytes, and what it knows in the end; `looks`: its provisional verdicts."""

    events: bytes
    requests: bytes
    filled: list[Bits]
    state: dict[str, Any]
    looks: int = field(default=0, compare=False)


@dataclass
class Arranged:
    """The messages of one arrangement, and how its records came."""

    messages: list[bytes] = field(default_factory=list)
    out_of_order: int = 0
    too_late: int = 0


@functools.cache
def values() -> list[bytes]:
    """The records: a drift in every stream of numbers from `SHIFT_AT` on."""
    moved = predictions(rows(TOTAL - SHIFT_AT, 12, factor=1.6), first_ms=SHIFT_AT * STEP_MS)
    return predictions(rows(SHIFT_AT, 11)) + moved


def decided(messages: list[bytes], *, provisional: bool = False) -> Result:
    one = Watching(provisional=provisional)
    outputs = decide_all(one, enumerate(messages))
    final = [event for event in outputs.events if not event.provisional]
    told = msgspec.json.encode(final), msgspec.json.encode(outputs.requests)
    return Result(*told, one.filled, one.state(), len(outputs.events) - len(final))


@functools.cache
def undisturbed() -> Result:
    """One partition, in order, counted at once."""
    tally = Tally()
    COUNTERS[0].count(tally, values(), range(TOTAL))
    return decided([model_event("promoted"), encode(LabelsSeen(0, LABELS)), encode(tally.message(0, 1))])


def joined(earlier: Tally, later: Tally) -> Tally:
    """Two adjoining pieces of a partition as one."""
    panes = earlier.panes | later.panes
    for key in earlier.panes.keys() & later.panes.keys():
        pair = earlier.panes[key], later.panes[key]
        added = {name: sum(getattr(pane, name) for pane in pair) for name in ADDED}
        panes[key] = Pane(watched=pair[0].watched, ids=[*pair[0].ids, *pair[1].ids], **added)
    tallied = [getattr(earlier, what) + getattr(later, what) for what in ("late", "future", "unreadable")]
    return Tally(later.watermark, earlier.first_offset, later.last_offset, *tallied, panes)


def counted(held: list[bytes], random: np.random.Generator, pieces: int) -> list[Tally]:
    """A partition's values in pieces, each by whichever counter has the partition then, the neighbours joined."""
    cuts = np.unique(np.r_[0, random.integers(1, len(held), pieces - 1) if len(held) > 1 else [], len(held)])
    tallies: list[Tally] = []
    for start, end in zip(cuts[:-1].astype(int).tolist(), cuts[1:].astype(int).tolist(), strict=True):
        tally = Tally(tallies[-1].watermark) if tallies else Tally()
        COUNTERS[random.integers(len(COUNTERS))].count(tally, held[start:end], range(start, end))
        tallies.append(tally)
    for _ in range(random.integers(len(tallies))):
        at = random.integers(len(tallies) - 1)
        tallies[at : at + 2] = [joined(*tallies[at : at + 2])]
    return tallies


def arranged(seed: int, lost: int | None = None) -> Arranged:
    """An arrangement of all records, or of all but one: promotion anywhere, labels first, idle marks last.

    The marks bring every partition to one event time, so that in the end the same panes are closed.
    """
    random, found = np.random.default_rng(seed), Arranged()
    times = np.arange(TOTAL) * STEP_MS
    delayed = random.random(TOTAL) < LATE_SHARE
    arrival = np.argsort(times + delayed * random.integers(LEAST_DELAY_MS, LATENESS_MS + 1, TOTAL), kind="stable")
    partitions = int(random.integers(1, MOST_PARTITIONS + 1))
    owner = random.choice(partitions, TOTAL, p=random.dirichlet(np.ones(partitions)))
    queues: list[list[bytes]] = []
    for number in range(partitions):
        members = arrival[owner[arrival] == number]
        found.out_of_order += int((times[members] < np.maximum.accumulate(times[members])).sum())
        held = [values()[i] for i in members.tolist() if i != lost]
        tallies = counted(held, random, int(random.integers(1, MOST_PIECES // partitions + 1))) if held else []
        found.too_late += sum(tally.late for tally in tallies)
        queues.append([encode(tally.message(number, partitions)) for tally in tallies])
    turns = random.permutation([number for number, queue in enumerate(queues) for _ in queue]).tolist()
    panes = [queues[number].pop(0) for number in turns]
    labels = np.split(np.array(LABELS), np.sort(random.integers(0, len(LABELS), 2)))
    marks = [encode(Idle(number, partitions)) for number in random.permutation(partitions).tolist()]
    found.messages = [encode(LabelsSeen(0, [tuple(seen) for seen in part.tolist()])) for part in labels] + panes + marks
    found.messages.insert(random.integers(len(found.messages) + 1), model_event("promoted"))
    return found


def test_the_batch_tells_of_the_drift() -> None:
    told = undisturbed()
    kinds = [event["kind"] for event in msgspec.json.decode(told.events)]
    assert kinds[:3] == ["era", "verdict", "verdict"]
    assert [kind for kind in kinds if kind != "verdict"] == ["era", "alert", "retraining"]
    assert len(msgspec.json.decode(told.requests)) == 1
    assert len(told.filled) == kinds.count("verdict") >= 5
    assert told.state["windows"]["late"] == 0
    assert told.state["open"]


@pytest.mark.slow
@pytest.mark.parametrize("arrangements", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
def test_a_thousand_arrangements_give_the_same_bits(arrangements: int) -> None:
    """With a tenth of the records out of order within bounds in each: the same events and requests as bytes, the same
    counts and sums of every closed window, of the one in progress and of the open panes, the same state machine. Half
    of the deciders tell of windows provisionally, too.
    """
    expected, out_of_order = undisturbed(), 0
    for seed in range(arrangements):
        found = arranged(seed)
        assert found.too_late == 0, f"seed {seed}"
        assert decided(found.messages, provisional=bool(seed % 2)) == expected, f"seed {seed}"
        out_of_order += found.out_of_order
    assert 0.09 < out_of_order / (arrangements * TOTAL) < 0.11


def test_provisional_verdicts_change_no_bit_of_what_is_final() -> None:
    """Their own number is the order of arrival's; at most one comes with a message, and some come."""
    looks = 0
    for seed in range(WITH_LOOKS):
        messages = arranged(seed).messages
        found = decided(messages, provisional=True)
        assert found == undisturbed(), f"seed {seed}"
        assert found.looks <= len(messages)
        looks += found.looks
    assert looks > WITH_LOOKS


@pytest.mark.parametrize("lost", [0, 123, SHIFT_AT, TOTAL - 1])
def test_one_record_less_does_not_go_unnoticed(lost: int) -> None:
    assert decided(arranged(lost, lost).messages) != undisturbed()
