"""Segments: every row in one, the right one named, and never more than can be judged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from longshore.monitor.segments import by_category, by_place, count, likelihood_ratio_p, members


def test_a_place_cuts_rows_into_equal_cells():
    random = np.random.default_rng(0)
    x, y = random.normal(size=8_000), random.normal(size=8_000)
    cells = by_place("x", "y", x, y)
    found = members(cells, {"x": x, "y": y})
    assert len(cells.labels) == 16
    assert np.bincount(found).tolist() == pytest.approx([500] * 16, abs=2)


def test_rows_without_a_place_are_in_no_cell():
    cells = by_place("x", "y", np.arange(40.0), np.arange(40.0) % 7)
    found = members(cells, {"x": np.array([1.0, np.nan, 5.0]), "y": np.array([np.inf, 2.0, 3.0])})
    assert found[:2].tolist() == [-1, -1]
    assert found[2] >= 0


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros(10), np.full(5, np.nan)])
def test_a_place_of_nothing_or_of_one_point_is_one_cell(values):
    cells = by_place("x", "y", values, values)
    assert len(cells.labels) == sum(len(up) + 1 for up in cells.ups)
    assert len(members(cells, {"x": values, "y": values})) == len(values)


def test_only_the_most_frequent_categories_are_segments():
    values = [f"c{i % 40}" for i in range(400)] + ["c3"] * 10 + [None]
    found = by_category("c", values)
    assert found.labels[0] == "c3"
    assert len(found.labels) == 16
    assert set(members(found, {"c": [None, "new", "c3"]})) == {-1, 0}


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=60), st.integers(1, 59))
def test_counts_add_up_in_any_pieces(rows_in, cut):
    inside = np.array(rows_in)
    cells = np.stack([np.arange(len(inside)) % 3, 3 + np.arange(len(inside)) % 2], axis=1)
    whole = count(inside, 4, cells, 5)
    assert np.array_equal(whole, count(inside[:cut], 4, cells[:cut], 5) + count(inside[cut:], 4, cells[cut:], 5))
    assert whole.sum() == 2 * np.count_nonzero(inside >= 0)


def test_the_likelihood_ratio_is_scipys_without_the_correction_for_few_rows():
    p, q = np.array([5_000, 3_000, 2_000, 0]), np.array([520, 260, 220, 0])
    expected = stats.chi2_contingency(np.vstack([p, q])[:, :3], correction=False, lambda_="log-likelihood").pvalue
    assert likelihood_ratio_p(p, q) == pytest.approx(expected, rel=0.02)
    assert likelihood_ratio_p(p, np.zeros(4, dtype=int)) == 1
    assert likelihood_ratio_p(np.array([3, 0]), np.array([9, 0])) == 1
