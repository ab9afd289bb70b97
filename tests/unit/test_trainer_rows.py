"""What makes rows usable, what names a dataset, and the rules of the join."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trainer_rows import NUMBERS, SCHEMAS, make_rows

from longshore.errors import DataError
from longshore.schema import districts
from longshore.trainer.fit import Parameters, choose
from longshore.trainer.housing import recipe_for
from longshore.trainer.join import Counts, Join, Readable, resolve_repeats
from longshore.trainer.rows import LabelledRows, check_usable, concatenate


def test_the_hash_ignores_order_and_sees_every_value() -> None:
    rows = make_rows(districts(), 40)
    shuffled = rows.take(np.random.default_rng(1).permutation(40))
    assert shuffled.sha256() == rows.sha256()
    changed = rows.target.copy()
    changed[7] += 1
    nominal = [[None if i == 7 else "INLAND" for i in range(40)]]
    others = [
        LabelledRows(rows.columns, changed),
        LabelledRows(replace(rows.columns, numeric=rows.columns.numeric + 1), rows.target),
        LabelledRows(replace(rows.columns, nominal=nominal), rows.target),
        LabelledRows(replace(rows.columns, keys=["x"] * 40), rows.target),
        rows.take(np.arange(39)),
    ]
    assert len({rows.sha256(), *(other.sha256() for other in others)}) == 6


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_rows_can_be_joined_end_to_end(name: str) -> None:
    rows = make_rows(SCHEMAS[name], 30)
    assert concatenate([rows.take(np.arange(10)), rows.take(np.arange(10, 30))]).sha256() == rows.sha256()


def test_unusable_rows_are_refused_by_name() -> None:
    rows = make_rows(districts(), 60)
    check_usable(rows, min_rows=60, left_out={})
    for bad, min_rows, words in (
        (rows, 61, r"60 labelled rows are too few \(left out: 1,200 unlabelled\)"),
        (LabelledRows(rows.columns, np.ones(60)), 50, "median_house_value is 1 in every row"),
        (LabelledRows(rows.columns, np.full(60, np.nan)), 50, "not a finite number in 60 rows"),
    ):
        with pytest.raises(DataError, match=words):
            check_usable(bad, min_rows=min_rows, left_out={"unlabelled": 1_200, "duplicates": 0})


def prediction(record_id: str, *, time: int = 1, flow: Any = 1.0) -> bytes:
    record = {"record_id": record_id, "pump": f"p{record_id}", "event_time": time, "flow": flow, "heat": None}
    return json.dumps({"record_id": record_id, "prediction": 1.0, "record": record}).encode()


def label(record_id: str, value: float, *, time: int = 1, observed_at: int = 2) -> bytes:
    body = {"record_id": record_id, "event_time": time, "observed_at": observed_at, "label": value}
    return json.dumps(body).encode()


def test_join_rules() -> None:
    join = Join(NUMBERS, capacity=100)
    join.add_labels(
        [label("a", 1.0), label("b", 2.0), label("b", 2.0), label("c", 3.0), label("c", 4.0), label("c", 3)]
    )
    join.add_labels([b"not json", None, label("never scored", 5.0), label("a", 9.0, observed_at=2**70)])
    join.add_predictions([prediction("a", time=9, flow=1.0), prediction("b", time=3), prediction("c")])
    join.add_predictions([prediction("a", time=2, flow=7.0), prediction("d"), prediction("bad", flow="x"), b"{}", None])
    rows = join.rows(100)
    assert rows.columns.record_ids == ["b", "a"], "in order of event time, the contradictory one left out"
    assert rows.target.tolist() == [2.0, 1.0]
    assert rows.columns.numeric[1, 0] == 1.0, "the first prediction of a record id wins"
    counts = join.counts
    assert join.conflict == "'c' is labelled 3 and 4"
    assert (counts.duplicates, counts.contradictory, counts.unlabelled, counts.undecodable) == (1, 1, 1, 6)


def test_join_keeps_the_newest_rows_and_bounds_what_it_holds() -> None:
    join = Join(NUMBERS, capacity=20)
    for start in range(0, 200, 10):
        join.add_predictions([prediction(str(i), time=i) for i in range(start, start + 10)])
        join.add_labels([label(str(i), float(i), time=i) for i in range(start, start + 10)])
    assert join.rows(5).target.tolist() == [195.0, 196.0, 197.0, 198.0, 199.0]
    assert 20 <= len(join.rows(1_000)) <= 30


def test_nothing_from_after_the_cut_leaks_in() -> None:
    """A record that happened later, a label observed later, and a later label that contradicts an earlier one."""
    join = Join(NUMBERS, capacity=100)
    join.add_predictions([prediction(name, time=time) for name, time in (("a", 5), ("b", 6), ("c", 7), ("late", 11))])
    join.add_labels([label("a", 1.0, observed_at=8), label("b", 2.0, observed_at=10), label("c", 3.0, observed_at=11)])
    join.add_labels([label("late", 4.0, observed_at=9), label("a", 5.0, observed_at=12)])
    at_cut = join.rows(100, cut_ms=10)
    assert (at_cut.columns.record_ids, at_cut.target.tolist()) == (["a", "b"], [1.0, 2.0])
    counts = join.counts
    assert (counts.records_after_cut, counts.labels_after_cut) == (1, 2)
    assert (counts.contradictory, counts.unlabelled) == (0, 1)
    later = join.rows(100, cut_ms=12)
    assert later.columns.record_ids == ["b", "c", "late"] and counts.contradictory == 1
    assert (counts.records_after_cut, counts.labels_after_cut) == (0, 0)


@given(st.integers(0, 2**32), st.integers(10, 60))
def test_what_comes_out_depends_on_what_was_read_not_on_how(seed: int, capacity: int) -> None:
    """Partitions interleaved otherwise, in other batches: the same rows and counts, also where some are dropped."""
    random = Random(seed)
    records = {
        number: [prediction(str(random.randrange(40)), time=random.randrange(9), flow=i) for i in range(40)]
        for number in range(3)
    }
    labels = []
    for _ in range(60):
        name = str(random.randrange(40))
        labels.append(label(name, float(name) + (random.random() < 0.1), time=int(name) % 9))

    def read() -> tuple[str, Counts]:
        join, left = Join(NUMBERS, capacity=capacity), {number: list(messages) for number, messages in records.items()}
        first = random.randrange(len(labels))
        join.add_labels(labels[:first])
        while any(left.values()):
            number = random.choice([number for number, messages in left.items() if messages])
            size = random.randrange(1, 9)
            join.add_predictions(left[number][:size], [number] * len(left[number][:size]))
            del left[number][:size]
        join.add_labels(labels[first:])
        return join.rows(25).sha256(), join.counts

    assert read() == read()


def test_the_share_that_cannot_be_decoded_is_that_of_the_last_messages() -> None:
    read = Readable(room=100)
    for _ in range(50):
        read.add(10, 0)
    assert read.undecodable_share == 0 and read.messages == 100
    for _ in range(5):
        read.add(10, 10)
    assert read.undecodable_share == 0.5


def test_rows_of_a_file_whose_ids_repeat() -> None:
    """Twice the same is once; the same with another target contradicts; other values are another observation."""
    rows = make_rows(NUMBERS, 6)
    ids = ["a", "a", "b", "b", "c", "c"]
    numeric = rows.columns.numeric[[0, 0, 2, 2, 4, 5]]
    target = np.array([1.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    columns = replace(rows.columns, record_ids=ids, keys=ids, numeric=numeric, event_times=np.zeros(6, dtype=np.int64))
    given_rows = LabelledRows(columns, target)
    for order in ([0, 1, 2, 3, 4, 5], [5, 3, 1, 4, 2, 0]):
        found, counts, conflict = resolve_repeats(given_rows.take(np.array(order)))
        assert sorted(found.columns.record_ids) == ["a", "c", "c#2"]
        assert sorted(found.target.tolist()) == [1.0, 4.0, 5.0] and set(found.columns.keys) == {"a", "c"}
        assert (counts.duplicates, counts.contradictory) == (1, 1) and conflict == "'b' is labelled 2 and 3"
        hashes = {found.sha256(), resolve_repeats(given_rows)[0].sha256()}
        assert len(hashes) == 1, "the order of the file's rows does not matter"


def test_an_empty_stream_has_no_rows() -> None:
    assert len(Join(NUMBERS, capacity=5).rows(10)) == 0


def test_history_is_taken_where_it_helps_and_left_where_it_misleads() -> None:
    """The same law: few fresh rows gain from it. Another law: it is worse than nothing."""
    parameters, recipe = Parameters(), recipe_for(NUMBERS)
    fresh, past = make_rows(NUMBERS, 200, seed=1), make_rows(NUMBERS, 900, seed=2)
    assert choose(fresh, past, recipe, parameters).candidate.name == "fresh+history"
    misleading = LabelledRows(past.columns, -20 * past.target)
    assert choose(fresh, misleading, recipe, parameters).candidate.name == "fresh"
    assert choose(fresh, None, recipe, parameters).candidate.name == "fresh"


def test_out_of_fold_predictions_never_saw_their_entity() -> None:
    """A target that is pure noise per entity cannot be predicted out of fold, even where its rows are repeated."""
    rows = make_rows(NUMBERS, 100, seed=4)
    noise = np.random.default_rng(0).normal(size=100)
    looped = concatenate([LabelledRows(rows.columns, noise)] * 6)
    found = choose(looped, None, recipe_for(NUMBERS), Parameters())
    assert found.rmse["fresh"] > 0.9 * noise.std()
