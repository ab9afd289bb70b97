"""What makes rows usable, what names a dataset, and the rules of the join."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.trainer_rows import NUMBERS, SCHEMAS, make_rows

from longshore.errors import DataError
from longshore.schema import districts
from longshore.trainer.fit import Parameters, choose
from longshore.trainer.housing import recipe_for
from longshore.trainer.join import Join
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
    check_usable(rows, min_rows=60)
    numeric = rows.columns.numeric.copy()
    numeric[:, 4] = np.nan
    silent = LabelledRows(replace(rows.columns, numeric=numeric), rows.target)
    for bad, min_rows, words in (
        (rows, 61, "60 labelled rows are too few"),
        (LabelledRows(rows.columns, np.ones(60)), 50, "median_house_value is 1 in every row"),
        (LabelledRows(rows.columns, np.full(60, np.nan)), 50, "not a finite number in 60 rows"),
        (silent, 50, "total_bedrooms is empty"),
        (LabelledRows(replace(rows.columns, nominal=[[None] * 60]), rows.target), 50, "ocean_proximity is empty"),
    ):
        with pytest.raises(DataError, match=words):
            check_usable(bad, min_rows=min_rows)
    check_usable(silent, min_rows=50, empty_columns_allowed=True)


def prediction(record_id: str, *, time: int = 1, flow: Any = 1.0) -> bytes:
    record = {"record_id": record_id, "pump": f"p{record_id}", "event_time": time, "flow": flow, "heat": None}
    return json.dumps({"record_id": record_id, "prediction": 1.0, "record": record}).encode()


def label(record_id: str, value: float) -> bytes:
    return json.dumps({"record_id": record_id, "event_time": 1, "observed_at": 2, "label": value}).encode()


def test_join_rules() -> None:
    join = Join(NUMBERS, capacity=100)
    join.add_labels(
        [label("a", 1.0), label("b", 2.0), label("b", 2.0), label("c", 3.0), label("c", 4.0), label("c", 3)]
    )
    join.add_labels([b"not json", None, label("never scored", 5.0)])
    join.add_predictions([prediction("a", time=9, flow=1.0), prediction("b", time=3), prediction("c")])
    join.add_predictions([prediction("a", time=2, flow=7.0), prediction("d"), prediction("bad", flow="x"), b"{}", None])
    rows = join.rows(100)
    assert rows.columns.record_ids == ["b", "a"], "in order of event time, the contradictory one left out"
    assert rows.target.tolist() == [2.0, 1.0]
    assert rows.columns.numeric[1, 0] == 1.0, "the first prediction of a record id wins"
    counts = join.counts
    assert (counts.duplicates, counts.contradictory, counts.unlabelled, counts.undecodable) == (1, 1, 2, 5)


def test_join_keeps_the_newest_rows_and_bounds_what_it_holds() -> None:
    join = Join(NUMBERS, capacity=20)
    for start in range(0, 200, 10):
        join.add_predictions([prediction(str(i), time=i) for i in range(start, start + 10)])
        join.add_labels([label(str(i), float(i)) for i in range(start, start + 10)])
    assert join.rows(5).target.tolist() == [195.0, 196.0, 197.0, 198.0, 199.0]
    assert 20 <= len(join.rows(1_000)) <= 30


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
