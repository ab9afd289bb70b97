"""Bins: fine ones nest in deciles, every value has one, and fixed-point sums are exact in any order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from longshore.monitor.binning import bin_column, bin_numbers, encode, fixed_sums, profile_stream
from longshore.monitor.frames import Column
from longshore.schema import Kind

VALUES = hnp.arrays(
    np.float64,
    st.integers(1, 300),
    elements=st.one_of(st.floats(-1e9, 1e9), st.integers(0, 5).map(float), st.just(float("nan"))),
)


def numeric(values):
    column = Column("x", Kind.NUMERIC, np.asarray(values, dtype=np.float64))
    return profile_stream(column, encode(column))


@given(VALUES)
def test_binning_the_reference_again_gives_its_counts(values):
    stream = numeric(values)
    assert np.array_equal(np.bincount(bin_numbers(stream, values), minlength=len(stream.counts)), stream.counts)
    assert stream.counts.sum() == len(values)
    assert stream.counts[-1] == np.isnan(values).sum()


@given(VALUES)
def test_fine_bins_nest_in_deciles(values):
    stream = numeric(values)
    assert np.all(np.diff(stream.coarse) >= 0)
    assert len(np.unique(stream.coarse)) == stream.coarse[-1] + 1 <= 33
    assert np.all(np.diff(stream.edges) >= 0)  # equal only where two values are neighbours in float64


def test_distinct_values_fill_deciles_evenly():
    stream = numeric(np.random.default_rng(0).permutation(26_000))
    deciles = np.add.reduceat(stream.counts, np.flatnonzero(np.r_[True, np.diff(stream.coarse) > 0]))
    assert deciles[:-1].tolist() == [2_600] * 10
    assert len(stream.edges) == 259 + 2 * 7  # halves of the last 100 rows on either side, and the highest


def test_values_outside_a_constant_reference_have_bins_of_their_own():
    stream = numeric(np.full(100, 7.0))
    below, same, above, missing = bin_numbers(stream, np.array([6.9, 7.0, 7.1, np.inf]))
    assert len({below, same, above, missing}) == 4


def test_categories_unseen_and_missing():
    column = Column("c", Kind.NOMINAL, np.array(["a", "b", "a", None], dtype=object))
    stream = profile_stream(column, encode(column))
    assert stream.categories == ("a", "b")
    assert stream.counts.tolist() == [2, 1, 0, 1]
    assert bin_column(stream, ["b", "new", None, "a"]).tolist() == [1, 2, 3, 0]


def test_categories_beyond_the_limit_count_as_unseen():
    column = Column("c", Kind.NOMINAL, np.array([f"c{i}" for i in range(1_000)] * 10, dtype=object))
    stream = profile_stream(column, encode(column))
    assert len(stream.counts) == 258
    assert stream.counts[-2] == 7_440


def test_identifiers_have_no_bin_of_their_own():
    column = Column("c", Kind.NOMINAL, np.array([f"c{i}" for i in range(1_000)], dtype=object))
    assert profile_stream(column, encode(column)).counts.tolist() == [1_000, 0]


def test_twentieths_nest_between_fine_bins_and_deciles():
    stream = numeric(np.random.default_rng(1).integers(0, 40, 5_000))
    assert np.all(np.diff(stream.ranks) >= 0)
    assert len(np.unique(np.stack([stream.ranks, stream.coarse]), axis=1).T) == len(np.unique(stream.ranks))


def test_a_heavy_value_is_told_from_what_lies_beside_it():
    stream = numeric(np.repeat(np.arange(20.0), 50))
    exact, beside = bin_numbers(stream, np.arange(20.0)), bin_numbers(stream, np.arange(20.0) - 0.5)
    assert len({*exact, *beside}) == 40


@given(st.permutations(list(range(40))), st.integers(1, 39))
def test_sums_do_not_depend_on_order_or_grouping(order, cut):
    values = np.array([0.1 * i - 3 for i in range(40)])
    bins = np.arange(40) % 3
    whole = fixed_sums(values, bins, 3, 2.0**20)
    parts = [fixed_sums(values[rows], bins[rows], 3, 2.0**20) for rows in (order[:cut], order[cut:])]
    assert np.array_equal(parts[0] + parts[1], whole)
    assert whole / 2**20 == pytest.approx(np.bincount(bins, weights=values), abs=1e-3)


def test_an_outlier_cannot_overflow_a_sum():
    sums = fixed_sums(np.array([1e300, -np.inf, np.nan]), np.zeros(3, dtype=np.int64), 1, 1.0)
    assert sums[0] == 0 or abs(int(sums[0])) <= 2**41


def test_categories_that_differ_in_a_trailing_nul_are_two():
    column = Column("c", Kind.NOMINAL, np.array(["x", "x\0", "x", None], dtype=object))
    stream = profile_stream(column, encode(column))
    assert stream.categories == ("x", "x\0")
    assert bin_column(stream, ["x\0", "x"]).tolist() == [1, 0]
