"""Whole rows against whole rows: what no column shows alone is found, chance is not, and the p-value is exact."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from longshore.errors import DataError
from longshore.monitor import Reference
from longshore.monitor.frames import read_columns
from longshore.monitor.joint import AUC_FLOOR, LEAST_ROWS, MOST_ROWS, Rows, judge_together, mann_whitney


def places(rows, seed):
    """Two columns on a line, one beside them, a category, and some values missing."""
    random = np.random.default_rng(seed)
    east = random.normal(size=rows)
    frame = pd.DataFrame({"east": east, "north": -east + 0.3 * random.normal(size=rows), "age": random.random(rows)})
    frame["kind"] = random.choice(["a", "b", "c"], rows)
    frame.loc[random.random(rows) < 0.05, "age"] = np.nan
    return frame


def permuted(frame, column, seed=0):
    return frame.assign(**{column: np.random.default_rng(seed).permutation(frame[column])})


def judged(reference, current, **given):
    sides = [Rows.of(read_columns(side), 0) for side in (reference, current)]
    return judge_together(*sides, **({"alpha": 0.05, "tests": 2} | given))


@pytest.fixture(scope="module")
def reference():
    return Reference.fit(places(1_000, 0))


def test_columns_that_no_longer_go_together_alarm_with_joint_and_not_without(reference):
    frame = permuted(places(400, 1), "north")
    alone, together = reference.compare(frame), reference.compare(frame, joint=True)
    assert not alone.alert and alone.joint is None
    assert together.alert and together.joint.alert
    assert not any(stream.alert for stream in together.streams)
    assert together.joint.auc > 0.8 and together.joint.p_value < 1e-10
    assert {used.name for used in together.joint.ranked[:2]} == {"east", "north"}
    assert (together.joint.reference_rows, together.joint.current_rows) == (1_000, 400)
    assert together.to_dict()["joint"]["ranked"][0].keys() == {"name", "auc_lost"}


def test_the_joint_test_takes_half_of_alpha(reference):
    frame = places(400, 2)
    alone, together = reference.compare(frame, alpha=0.04), reference.compare(frame, alpha=0.04, joint=True)
    p_values = {stream.name: stream.p_value for stream in alone.streams}
    for stream in together.streams:
        assert stream.p_value == min(1.0, 2 * p_values[stream.name])
        assert stream.own_p_value == next(s.own_p_value for s in alone.streams if s.name == stream.name)
    assert together.joint.p_value == min(1.0, 2 * together.joint.own_p_value)
    assert together.p_value == min(1.0, 2 * alone.p_value, together.joint.p_value)
    assert together.alpha == 0.04


def test_what_stays_the_same_does_not_alarm():
    found = [judged(places(250, 100 + seed), places(80, 200 + seed), alpha=0.02) for seed in range(20)]
    assert sum(joint.alert for joint in found) <= 2  # a hundredth each: more in one of a thousand sets of seeds
    p_values = [joint.own_p_value for joint in found]
    assert 4 <= sum(p < 0.5 for p in p_values) <= 16  # and not by never firing
    assert all(bool(joint.ranked) <= joint.alert for joint in found)


def test_a_difference_below_the_floor_does_not_alarm_however_high_alpha():
    joint = judged(places(600, 1), places(150, 2), alpha=0.99, tests=1)
    assert joint.alert == (joint.p_value <= 0.99 and joint.auc >= AUC_FLOOR)
    lost = [judged(places(300, seed), places(60, 50 + seed), alpha=0.999, tests=1) for seed in range(6)]
    assert any(each.p_value <= 0.999 and not each.alert and each.auc < AUC_FLOOR for each in lost)


def test_the_p_value_is_scipys_on_the_same_scores():
    random = np.random.default_rng(0)
    for levels in (3, 20, 10**6):
        scores, labels = random.integers(0, levels, 300) / 7, (np.arange(300) < 40).astype(np.int64)
        expected = stats.mannwhitneyu(
            scores[labels == 1], scores[labels == 0], method="asymptotic", use_continuity=False, alternative="greater"
        )
        auc, deviation = mann_whitney(scores, labels)
        assert auc == pytest.approx(expected.statistic / (40 * 260))
        assert stats.norm.sf(deviation) == pytest.approx(expected.pvalue)
    assert mann_whitney(np.full(10, 0.3), np.array([0, 1] * 5)) == (0.5, 0.0)


def test_the_same_rows_and_seed_give_the_same_result():
    sides = places(500, 1), permuted(places(120, 2), "north")
    assert judged(*sides, seed=3) == judged(*sides, seed=3)
    assert judged(*sides, seed=3).auc != judged(*sides, seed=4).auc


def test_neither_units_nor_outliers_nor_huge_numbers_matter():
    old, new = places(500, 1), permuted(places(120, 2), "north")
    scaled = [side.assign(east=side["east"] * 1e140) for side in (old, new)]
    assert judged(*scaled) == judged(old, new)
    old.loc[0, "age"] = 1e100
    assert judged(old, new).alert


def test_categories_that_go_with_other_numbers_are_found_and_identifiers_are_not_drift():
    def frame(rows, seed, first="x"):
        random = np.random.default_rng(seed)
        high = random.random(rows) < 0.5
        sizes = random.normal(size=rows) + 2 * high
        kinds = np.where(high ^ (first == "y"), "y", "x")
        return pd.DataFrame({"size": sizes, "kind": kinds, "id": [f"{first}{seed}-{i}" for i in range(rows)]})

    crossed = judged(frame(600, 0), frame(150, 1, first="y"))
    assert crossed.alert and {used.name for used in crossed.ranked} == {"size", "kind"}
    assert not judged(frame(600, 0), frame(150, 1)).alert


def test_columns_missing_together_are_found():
    def frame(rows, seed, apart):
        random = np.random.default_rng(seed)
        values = random.normal(size=(rows, 2))
        gone = random.random(rows) < 0.3
        values[gone, 0] = np.nan
        values[~gone if apart else gone, 1] = np.nan
        keep = random.random(rows) < 0.5
        values[:, 1] = np.where(keep, random.normal(size=rows), values[:, 1])
        return pd.DataFrame(values, columns=["a", "b"])

    assert judged(frame(800, 0, False), frame(200, 1, True)).alert
    assert not judged(frame(800, 0, False), frame(200, 1, False)).alert


@pytest.mark.parametrize("rows", [1, 2, LEAST_ROWS - 1])
def test_too_few_rows_are_not_enough_data(reference, rows):
    joint = reference.compare(permuted(places(rows, 1), "north"), joint=True).joint
    assert (joint.alert, joint.p_value, joint.auc, joint.current_rows) == (False, 1.0, 0.5, rows)
    assert joint.reason.startswith(f"not enough data: {rows} current row")
    assert "reference row" in judged(places(rows, 1), places(500, 2)).reason


@pytest.mark.parametrize("rows", [LEAST_ROWS, 51, 77])
def test_just_enough_rows_are_judged(rows):
    joint = judged(places(rows, 0), places(rows, 1))
    assert joint.reason == "" and 0 < joint.own_p_value < 1


def test_columns_of_one_value_or_none_are_left_out():
    still = pd.DataFrame({"constant": [3.0] * 100, "null": [None] * 100, "nan": [np.nan] * 100, "word": ["a"] * 100})
    joint = judged(still, still)
    assert (joint.alert, joint.p_value, joint.reason) == (False, 1.0, "not enough data: every column is constant")
    wide = [pd.concat([places(100, seed), still], axis=1) for seed in (1, 2)]
    assert judged(*wide) == judged(*(each.drop(columns=list(still.columns)) for each in wide))


def test_a_column_that_is_constant_on_each_side_tells_them_apart():
    sides = [places(150, seed).assign(age=age) for seed, age in ((1, 2.0), (2, np.nan))]
    joint = judged(*sides)
    assert joint.alert and joint.auc == 1 and joint.ranked[0].name == "age"
    assert not judged(sides[0], sides[0]).alert


def test_nominal_columns_alone_will_do():
    random = np.random.default_rng(0)
    words = pd.DataFrame({"a": random.choice(["p", "q"], 900)})
    words["b"] = np.where(random.random(900) < 0.9, words["a"], "p")
    assert not judged(words[:600], words[600:]).alert
    assert judged(words[:600], permuted(words[600:], "b")).alert


def test_at_most_so_many_rows_are_kept_and_the_seed_chooses_them():
    columns = read_columns(places(MOST_ROWS + 1_000, 0))
    first, again, other = (Rows.of(columns, seed) for seed in (0, 0, 1))
    assert first.count == MOST_ROWS and all(len(column.values) == MOST_ROWS for column in first.columns)
    assert np.array_equal(first.columns[0].values, again.columns[0].values)
    assert not np.array_equal(first.columns[0].values, other.columns[0].values)
    assert all(column.values.base is None for column in first.columns), "views would keep all rows in memory"


def test_a_reference_without_rows_says_what_it_lacks(reference):
    bare = Reference(reference.profile, reference._values, {})
    assert bare.compare(places(100, 1)).joint is None
    with pytest.raises(DataError, match="a profile alone, without rows"):
        bare.compare(places(100, 1), joint=True)


def test_the_command_line_starts_without_scikit_learn():
    code = "import sys, longshore.cli.main, longshore.cli.drift; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
