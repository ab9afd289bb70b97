"""Segments cover every row once per kind; Holm's correction holds the family's error and finds what is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.trainer_rows import NUMBERS, SCHEMAS, make_rows

from longshore.trainer.comparison import LOSSES, Paired, holm, one_sided, world_changed, worse_segments
from longshore.trainer.segments import NAMED, Segment, segments


def test_every_kind_of_segment_covers_every_row_once() -> None:
    rows = make_rows(SCHEMAS["districts"], 3_000)
    found = segments(rows, min_rows=1, most=1_000)
    kinds = {
        "ocean_proximity": [s for s in found.tested if s.name.startswith("ocean_proximity")],
        "median_income": [s for s in found.tested if s.name.startswith("median_income")],
        "longitude": [s for s in found.tested if s.name.startswith("longitude")],
    }
    assert [len(parts) for parts in kinds.values()] == [5, 5, 16]
    for name, parts in kinds.items():
        covered = np.concatenate([part.rows for part in parts])
        assert len(covered) == len(np.unique(covered))
        assert (len(covered) == 3_000) == (name == "ocean_proximity"), "a missing number is in no class"
    assert "ocean_proximity missing" in {part.name for part in found.tested}
    assert "median_income up to 1.5" in {part.name for part in found.tested}


def test_without_a_stratum_the_targets_quantiles_are_the_classes() -> None:
    found = segments(make_rows(NUMBERS, 1_000))
    assert len(found.tested) == 5 and all(part.name.startswith("wear ") for part in found.tested)
    assert all(len(part.rows) == 200 for part in found.tested)


def test_segments_are_capped_the_largest_first_and_small_ones_only_named() -> None:
    rows = make_rows(SCHEMAS["shirts"], 1_000)
    rows.columns.nominal[0][:] = [f"id{i}" for i in range(1_000)]
    found = segments(rows, most=3)
    assert [len(part.rows) for part in found.tested] == sorted((len(p.rows) for p in found.tested), reverse=True)
    assert len(found.tested) == 3 and found.left_out > 0
    assert found.insufficient_count >= 1_000 and len(found.insufficient) == NAMED


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.5))
def test_holm_is_the_textbooks_and_lies_between_bonferroni_and_none(p_values: list[float], alpha: float) -> None:
    p = np.array(p_values)
    rejected, standing = holm(p, alpha), False
    for rank, index in enumerate(np.argsort(p, kind="stable")):
        standing = standing or p[index] > alpha / (len(p) - rank)
        assert rejected[index] == (not standing)
    assert not (~rejected & (p <= alpha / len(p))).any() and not (rejected & (p > alpha)).any()


def test_the_p_value_is_students() -> None:
    values = np.random.default_rng(3).normal(0.1, 1, 50)
    expected = stats.ttest_1samp(values, 0, alternative="greater").pvalue
    means = np.array([[values.mean(), values.std(ddof=1) / np.sqrt(50), 49]])
    assert one_sided(means)[0] == pytest.approx(expected, rel=1e-9)
    assert one_sided(np.array([[1.0, 0.0, 9], [-1.0, 0.0, 9], [5.0, np.inf, 0]])).tolist() == [0.0, 1.0, 1.0]


def test_equal_models_have_no_worse_segment_more_often_than_stated() -> None:
    """At the margin itself, the worst case: 5 % of 100 families; 12 is beyond the 99.7 % quantile of that."""
    parts = [Segment(str(i), np.arange(150 * i, 150 * i + 150)) for i in range(20)]
    loss, groups, found = LOSSES["rmse"], np.arange(3_000), 0
    for seed in range(100):
        noise = np.random.default_rng(seed).normal(0, 1, (2, 3_000))
        paired = Paired((1.05 * noise[0]) ** 2, noise[1] ** 2, groups)
        found += any(each.worse for each in worse_segments(paired, parts, loss, 0.05))
    assert found <= 12


def test_a_segment_20_percent_worse_is_found_among_many() -> None:
    parts = [Segment(str(i), np.arange(600 * i, 600 * i + 600)) for i in range(20)]
    noise = np.random.default_rng(1).normal(0, 1, 12_000)
    challenger = np.where(np.arange(12_000) // 600 == 7, 1.2, 0.9) * noise
    paired = Paired(challenger**2, noise**2, np.arange(12_000))
    worse = [each.name for each in worse_segments(paired, parts, LOSSES["rmse"], 0.05) if each.worse]
    assert worse == ["7"]


def test_the_world_has_changed_where_the_champions_error_grew() -> None:
    rng = np.random.default_rng(2)
    then, same, grown = rng.chisquare(1, 500), rng.chisquare(1, 500), 2 * rng.chisquare(1, 500)
    groups = np.arange(500)
    assert not world_changed(same, groups, then, groups)
    assert world_changed(grown, groups, then, groups)


def test_rows_of_one_entity_are_one_observation_in_a_segment() -> None:
    """A looped replay makes nothing more certain."""
    noise = np.random.default_rng(4).normal(0, 1, 200)
    once = Paired((1.1 * noise) ** 2, noise**2, np.arange(200))
    looped = Paired(np.tile(once.challenger, 9), np.tile(once.champion, 9), np.tile(once.groups, 9))
    p = [
        worse_segments(pair, [Segment("all", np.arange(len(pair.groups)))], LOSSES["rmse"], 0.0)[0].p_value
        for pair in (once, looped)
    ]
    assert p[0] == pytest.approx(p[1], rel=1e-6)
