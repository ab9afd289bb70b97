"""The join of labels to predictions: what comes of two partitions does not depend on how reading them was interleaved.

Nor on where commits fell, on what died between a commit and its file, or on whether the file was there at all.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.drift_stream import PANE_MS, PROFILES, SCHEMA, rows
from tests.join_world import Mix, figures_of, label, log, made, prediction, undisturbed
from tests.memory_stream import Record

from longshore.errors import UnavailableError
from longshore.monitor.join import PartitionJoin
from longshore.monitor.join_errors import errors_of
from longshore.monitor.join_match import JoinReaders
from longshore.monitor.join_rules import Lateness, Side, is_misplaced
from longshore.monitor.join_store import JoinStore
from longshore.monitor.label_reader import LabelReader
from longshore.partitioner import partition_of

LATENESS_MS = 2_000
READERS = JoinReaders(SCHEMA, PROFILES, Lateness(LATENESS_MS), 4)
P, L = Side.PREDICTIONS, Side.LABELS


class Group:
    """What Kafka holds of a group, and a member that reads two logs and dies."""

    def __init__(self, predictions: Sequence[Record], labels: Sequence[Record], folder: Path) -> None:
        self.logs = (predictions, labels)
        self.pairs: Counter[tuple[str, float]] = Counter()
        self.counts: Counter[str] = Counter()
        self._folder, self._files = folder, 0
        self._committed, self._note = [-2, -2], b""
        self.open()

    def open(self, *, lose_file: bool = False) -> None:
        """A member starts, with the file of the one before or without."""
        self._files += lose_file
        self.store = JoinStore(self._folder / f"{self._files}.sqlite", 2_000_000)
        self.part = PartitionJoin.opened(1, READERS, self.store, self._note, life=str(self._files), beginning=-2)
        self._start((P, L))

    def crash(self, *, lose_file: bool) -> None:
        self.part.close()
        self.open(lose_file=lose_file)

    def abort(self, *, known_late: bool) -> None:
        """An abort; of one side it may be told only afterwards where to begin."""
        sides = [P, L]
        self._start(sides[: 1 if known_late else 2])
        self.part.undo()
        if known_late:
            self._start(sides[1:])

    def commit(self, *, save: bool = True) -> None:
        """The group's offsets and what is told; the file after it, or not, as if something died in between."""
        if not self.part.catching_up:
            self.part.expire()
            self.part.take_note()
            self.pairs.update((kept.id, truth) for kept, truth in self.part.tally.met)
            self.counts.update(self.part.tally.counts)
            self._committed, self._note = list(self.part.next_offsets()), self.part.note
        if save:
            self.part.save()

    def read(self, side: Side, most: int) -> None:
        """Some messages of a side, or word of its end."""
        ahead = READERS.lateness.too_far_ahead(self.part.progress.seen)
        if not self.part.catching_up and ahead is side and self._at[1 - side] < len(self.logs[1 - side]):
            return
        if self.part.catching_up and self.part.reached(side):
            return
        batch = self.logs[side][self._at[side] : self._at[side] + most]
        self._at[side] += len(batch)
        if batch:
            self.part.take(side, batch)
        else:
            self.part.end(side)

    def read_all(self) -> None:
        for _ in range(10):
            for side in Side:
                self.read(side, 10_000)
        self.commit()

    def _start(self, sides: Sequence[Side]) -> None:
        for side in sides:
            begin = self.part.start(side, self._committed[side], self._note)
            at = next((i for i, one in enumerate(self.logs[side]) if one.offset() >= begin), len(self.logs[side]))
            if not hasattr(self, "_at"):
                self._at = [0, 0]
            self._at[side] = at


def told(group: Group) -> tuple[dict[tuple[str, float], int], dict[str, int]]:
    return dict(group.pairs), {name: count for name, count in group.counts.items() if count}


def expected(
    predictions: Sequence[Record], labels: Sequence[Record]
) -> tuple[dict[tuple[str, float], int], dict[str, int]]:
    found = undisturbed(predictions, labels, LATENESS_MS)
    pairs = {(name, truth): 1 for name, (_, truth) in found.pairs.items()}
    return pairs, {name: count for name, count in found.counts.items() if count}


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), calm=st.booleans())
def test_any_interleaving_and_any_death_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, seed: int, calm: bool
) -> None:
    predictions, labels = made(seed, 500, LATENESS_MS)
    logs = log("predictions", predictions), log("labels", labels)
    chance = random.Random(seed)
    group = Group(*logs, tmp_path_factory.mktemp("join"))
    for _ in range(60):
        group.read(chance.choice((P, L)), chance.randint(1, 80))
        happens = chance.random()
        if happens < 0.3:
            group.commit()
        elif not calm and happens < 0.4:
            group.commit(save=False)
            group.crash(lose_file=chance.random() < 0.3)
        elif not calm and happens < 0.5:
            group.crash(lose_file=chance.random() < 0.3)
        elif not calm and happens < 0.6:
            if ambiguous := chance.random() < 0.5:
                group.commit(save=False)
            group.abort(known_late=ambiguous and chance.random() < 0.5)
    group.read_all()
    assert told(group) == expected(*logs)
    assert group.part.progress.waiting == [
        group.store._connection.execute(f"SELECT count(*) FROM {query}").fetchone()[0]  # noqa: S608
        for query in ("predictions WHERE label IS NULL", "labels")
    ]
    group.part.close()


def group_of(predictions: list[bytes], labels: list[bytes], folder: Path) -> Group:
    return Group(log("predictions", predictions), log("labels", labels), folder)


ROW = next(rows(1, 3).itertuples(index=False))


def test_a_label_waits_for_its_prediction_and_a_prediction_for_its_label(tmp_path: Path) -> None:
    group = group_of([prediction(f"r{i}", 100, ROW) for i in range(2)], [label("r0", 100, 150, 1.5)], tmp_path)
    group.read(L, 1)
    group.read(P, 2)
    group.commit()
    assert group.pairs == {("r0", 1.5): 1}
    assert group.part.progress.waiting == [1, 0]


def test_the_first_label_counts_and_the_others_are_named(tmp_path: Path) -> None:
    labels = [label("r0", 100, 150, value) for value in (1.5, 1.5, 2.0)]
    group = group_of([prediction("r0", 100, ROW)], labels, tmp_path)
    group.read(P, 1)
    group.read(L, 3)
    conflict = group.part.tally.conflict
    group.commit()
    assert group.pairs == {("r0", 1.5): 1}
    assert (group.counts["duplicates"], group.counts["conflicting"]) == (1, 1)
    assert conflict == "'r0' is labelled 1.5 and then 2"


def test_what_met_is_told_as_errors_by_pane_version_and_segment(tmp_path: Path) -> None:
    values = made(4, 400, LATENESS_MS)
    group = group_of(*values, folder=tmp_path)
    for side in (P, L):
        group.read(side, 1_000)
    assert group._at == [len(log("x", side)) for side in values]
    found = figures_of(errors_of(group.part.tally, PROFILES, PANE_MS))
    assert found == undisturbed(*group.logs, LATENESS_MS).figures(PANE_MS)
    assert {version for _, version, _ in found} == {"v1", "v2"}
    group.part.close()


def test_a_label_later_than_allowed_is_left_out(tmp_path: Path) -> None:
    at_last, too_late = 100 + LATENESS_MS, 101 + LATENESS_MS
    labels = [label("r0", 100, too_late, 1.0), label("r1", 100, at_last, 2.0)]
    group = group_of([prediction(f"r{i}", 100, ROW) for i in range(2)], labels, tmp_path)
    group.read_all()
    assert group.pairs == {("r1", 2.0): 1}
    assert group.counts["late"] == 1


def test_where_labels_fall_silent_predictions_expire_all_the_same(tmp_path: Path) -> None:
    """After twice the lateness: what waits is bounded even if no label ever comes."""
    values = [prediction(f"r{i}", i * 100, ROW) for i in range(100)]
    group = group_of(values, [], tmp_path)
    group.read_all()
    assert group.part.progress.waiting == [2 * LATENESS_MS // 100 + 1, 0]
    assert group.counts["unlabelled"] == 100 - group.part.progress.waiting[0]


def test_a_wrong_clock_does_not_make_all_other_labels_late(tmp_path: Path) -> None:
    end_of_time = 253_402_300_799_000
    labels = [label("x", end_of_time, end_of_time, 1.0), label("r0", 100, 150, 2.0)]
    group = group_of([prediction("r0", 100, ROW)], labels, tmp_path)
    group.read_all()
    assert group.pairs == {("r0", 2.0): 1}
    assert group.counts["future"] == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (label("r", 1, 1, "12"), "Expected `float`, got `str`"),
        (label("r", 1, 1, None), "Expected `float`, got `null`"),
        (b'{"record_id":"r","event_time":1,"observed_at":1,"label":1e999}', "out of range"),
    ],
)
def test_a_label_that_is_no_number_has_a_reason(value: bytes, reason: str) -> None:
    read = LabelReader(SCHEMA).read([label("r0", 100, 150, 2), value])
    assert read.ids == ["r0"]
    assert read.values == [2.0]
    assert reason in read.reason


def test_a_label_in_another_partition_than_its_entitys_is_named() -> None:
    (home,) = {partition_of(b"s", 4)}
    assert [is_misplaced("s", number, 4) for number in range(4)] == [number != home for number in range(4)]
    assert not is_misplaced(None, 0, 4)


def test_misplaced_labels_are_counted_when_they_come_and_as_unmatched_in_the_end(tmp_path: Path) -> None:
    other = next(name for name in map(str, range(100)) if partition_of(name.encode(), 4) != 1)
    labels = [label("r0", 100, 150, 1.0, ship=other)]
    labels += [label(f"x{i}", i * 1_000, i * 1_000, 1.0, ship=None) for i in range(20)]
    predictions = [prediction(f"p{i}", i * 1_000, ROW) for i in range(20)]
    group = group_of(predictions, labels, tmp_path)
    group.read_all()
    assert group.counts["misplaced"] == 1
    assert group.counts["unmatched"] == 1 + sum(i * 1_000 < 19_000 - LATENESS_MS for i in range(20))


def test_a_file_ahead_of_the_group_or_of_another_history_is_not_used(tmp_path: Path) -> None:
    """A group that was reset, or a topic that was made anew: what the file knows is of another past."""
    group = group_of(*made(3, 200, LATENESS_MS), folder=tmp_path)
    group.read_all()
    note, saved = msgspec.json.decode(group.part.note), group.store.saved() or b""
    group.part.close()
    for changed in (b"", msgspec.json.encode(note | {"life": "x"}), msgspec.json.encode(note | {"next": [3, 3]})):
        store = JoinStore(tmp_path / "0.sqlite", 2_000_000)
        part = PartitionJoin.opened(1, READERS, store, changed, life="new", beginning=-2)
        assert part.progress.waiting == [0, 0]
        assert part.progress.life != note["life"] or part.progress.next == [m[0] for m in note["begin"]]
        store.begin_anew(saved)
        part.close()


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "0.sqlite"
    path.write_bytes(b"this is no database" * 1_000)
    store = JoinStore(path, 2_000_000)
    assert store.saved() is None
    store.close()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="the file may be deleted"):
        JoinStore(tmp_path / "missing" / "0.sqlite", 2_000_000)


def test_what_is_kept_of_the_mix_is_as_stated() -> None:
    """The oracle's own figures: the shares that were asked for are there."""
    predictions, labels = made(5, 4_000, 50_000, Mix(duplicated=0.01, conflicting=0.01))
    found = undisturbed(log("predictions", predictions), log("labels", labels), 50_000)
    assert found.counts["late"] == pytest.approx(0.1 * 0.95 * 4_000, rel=0.15)
    assert len(found.pairs) == pytest.approx(0.9 * 0.95 * 4_000, rel=0.05)
    assert min(found.counts["duplicates"], found.counts["conflicting"]) > 10
