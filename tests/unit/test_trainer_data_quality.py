"""What a training set is like in figures, with known answers; which columns give the target away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.trainer_rows import NUMBERS, WORDS, make_rows

from longshore.columns import Columns
from longshore.config import DatasetSettings
from longshore.errors import DataError
from longshore.schema import Field, Kind, Schema, districts
from longshore.trainer.data_quality import category_determines, check, determines, report
from longshore.trainer.rows import LabelledRows
from longshore.trainer.training_set import TrainingSet

SETTINGS = DatasetSettings()


def checked(rows: LabelledRows, *trusted: str) -> dict[str, Any]:
    return check(TrainingSet(rows, "test"), DatasetSettings(trusted_columns=trusted), 50)


def changed(rows: LabelledRows, column: int, values: Any) -> LabelledRows:
    numeric = rows.columns.numeric.copy()
    numeric[:, column] = values
    return LabelledRows(replace(rows.columns, numeric=numeric), rows.target)


@given(st.integers(0, 2**32), st.floats(0, 3))
def test_determination_is_the_larger_of_two_correlations(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=80)
    values = np.exp(target) + noise * rng.normal(size=80)
    values[:5] = np.nan
    there = ~np.isnan(values)
    expected = max(
        abs(stats.pearsonr(values[there], target[there])[0]), abs(stats.spearmanr(values[there], target[there])[0])
    )
    assert determines(values, target, stats.rankdata(target)) == pytest.approx(expected, abs=1e-9)


def test_a_monotone_copy_of_the_target_is_found_and_few_rows_say_nothing() -> None:
    target = np.random.default_rng(1).normal(size=60)
    assert determines(-(target**3), target) == pytest.approx(1)
    assert determines(np.where(np.arange(60) < 49, target, np.nan), target) == 0
    assert determines(np.full(60, 3.0), target) == 0


def test_a_category_determines_only_what_does_not_vary_within_it() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 20, 2_000)
    names = [f"c{code}" for code in codes]
    levels = rng.normal(size=20)
    assert category_determines(names, levels[codes]) == pytest.approx(1)
    noisy = levels[codes] + rng.normal(size=2_000)
    explained = category_determines(names, noisy)
    assert explained == pytest.approx(np.corrcoef(levels[codes], noisy)[0, 1], abs=0.05)
    assert category_determines([str(i) for i in range(2_000)], noisy) == 0, "each category once: nothing can be said"
    pairs = [str(i // 2) for i in range(2_000)]
    assert category_determines(pairs, rng.normal(size=2_000)) < 0.3, "many small ones do not look better than they are"


def test_the_report_in_figures() -> None:
    schema = Schema(
        "s",
        (Field("x", Kind.NUMERIC, minimum=0, maximum=10), Field("k", Kind.NOMINAL, categories=("a", "b"))),
        key="id", target="y", topic="s",
    )  # fmt: skip
    x = np.array([np.nan, 11.0, -1.0, *np.linspace(0, 10, 97)])
    kinds: list[str | None] = [None, "new", *["a"] * 90, *["b"] * 8]
    target = np.minimum(np.random.default_rng(0).uniform(0, 1.1, 100), 1.0)
    ids = [str(i) for i in range(100)]
    rows = LabelledRows(Columns(schema, ids, ids, np.zeros(100, np.int64), x[:, None], [kinds]), target)
    found = report(rows, {"duplicates": 3})
    numbers, words = found["columns"]["x"], found["columns"]["k"]
    assert (numbers["missing"], numbers["minimum"], numbers["maximum"], numbers["out_of_range"]) == (0.01, -1, 11, 2)
    assert (words["missing"], words["unseen"], words["rare"]) == (0.01, {"new": 1}, ["b", "new"])
    assert words["categories"] == {"a": 90, "b": 8, "new": 1} and not numbers["constant"]
    assert found["target"]["capped"] and found["left_out"] == {"duplicates": 3}
    assert any("cut off at 1" in remark for remark in found["remarks"])
    assert any("does not list: new" in remark for remark in found["remarks"])


@pytest.mark.parametrize("schema", [NUMBERS, WORDS, districts()], ids=lambda schema: schema.name)
def test_ordinary_rows_pass(schema: Schema) -> None:
    assert checked(make_rows(schema))["rows"] == 600


def test_a_leak_is_refused_by_name_and_allowed_by_name() -> None:
    rows = make_rows(NUMBERS)
    leaking = changed(rows, 1, rows.target * 3 + 1)
    with pytest.raises(DataError, match=r"column heat gives the target wear away: their correlation is 1\.00000"):
        checked(leaking)
    allowed = checked(leaking, "heat")
    assert allowed["columns"]["heat"]["determines_target"] > 0.999
    bands = make_rows(WORDS)
    nominal = [[f"{value:.0f}" for value in bands.target], bands.columns.nominal[1]]
    labels = np.round(bands.target)
    with pytest.raises(DataError, match="column colour gives the target price away"):
        checked(LabelledRows(replace(bands.columns, nominal=nominal), labels))


def test_entities_seen_over_and_over_are_no_leak() -> None:
    """A looped replay: each shirt's name comes with its own price every time."""
    rows = make_rows(WORDS, 100)
    named = LabelledRows(replace(rows.columns, nominal=[rows.columns.keys, rows.columns.nominal[1]]), rows.target)
    looped = named.take(np.tile(np.arange(100), 6))
    assert checked(looped)["entities"] == 100


def test_what_is_mostly_missing_is_refused_by_name_and_allowed_by_name() -> None:
    rows = make_rows(NUMBERS)
    nine_tenths = np.where(np.arange(600) < 540, np.nan, np.arange(600.0))
    with pytest.raises(DataError, match=r"column flow is missing in 90\.0% of 600 rows, datasets\.max"):
        checked(changed(rows, 0, nine_tenths))
    with pytest.raises(DataError, match="column flow is empty in every row"):
        checked(changed(rows, 0, np.nan))
    checked(changed(rows, 0, np.nan), "flow")
    checked(changed(rows, 0, np.where(np.arange(600) < 500, np.nan, np.arange(600.0))))


def test_contradicting_labels_are_refused_above_their_limit() -> None:
    found = TrainingSet(make_rows(NUMBERS, 400), "test", history=make_rows(NUMBERS, 200, seed=1))
    check(replace(found, left_out={"contradictory": 6}), SETTINGS, 50)
    with pytest.raises(DataError, match=r"7 of 607 labelled record ids \(1\.2%\) have contradicting labels.*'a' is"):
        check(replace(found, left_out={"contradictory": 7}), SETTINGS, 50, conflict="'a' is labelled 1 and 2")
