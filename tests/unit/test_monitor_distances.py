"""The five distances equal scipy's and numpy's on the same bins or samples, and are 0 on equal data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.spatial.distance import jensenshannon

from longshore.monitor import distances

COUNTS = hnp.arrays(np.int64, st.integers(2, 12), elements=st.integers(0, 10_000))
SAMPLE = hnp.arrays(np.float64, st.integers(1, 200), elements=st.floats(-1e6, 1e6, width=32))


@st.composite
def two_counts(draw):
    size = draw(st.integers(2, 12))
    one = hnp.arrays(np.int64, size, elements=st.integers(0, 10_000))
    return draw(one), draw(one)


@given(two_counts())
def test_shares_distances_equal_scipy(pair):
    p, q = (distances.shares(counts) for counts in pair)
    assert distances.relative_entropy(p, q) == pytest.approx(stats.entropy(q, p), abs=1e-9)
    assert distances.population_stability_index(p, q) == pytest.approx(
        stats.entropy(q, p) + stats.entropy(p, q), abs=1e-9
    )
    assert distances.jensen_shannon(p, q) ** 2 == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert distances.total_variation(p, q) == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-9)


@given(COUNTS)
def test_equal_counts_are_at_distance_zero(counts):
    p = distances.shares(counts)
    assert distances.population_stability_index(p, p) == 0
    assert distances.relative_entropy(p, p) == 0
    assert distances.jensen_shannon(p, p) == 0
    assert distances.total_variation(p, p) == 0
    assert distances.chi_squared_p_value(counts, counts) == pytest.approx(1.0)


@given(SAMPLE, SAMPLE)
@settings(deadline=None)
def test_sample_distances_equal_scipy(reference, current):
    assert distances.wasserstein(reference, current) == pytest.approx(stats.wasserstein_distance(reference, current))
    statistic, p_value = distances.kolmogorov_smirnov(reference, current)
    expected = stats.ks_2samp(reference, current)
    assert statistic == pytest.approx(expected.statistic, abs=1e-9)
    assert p_value == pytest.approx(expected.pvalue, abs=1e-9)


@given(SAMPLE, st.floats(-100, 100))
def test_a_pure_shift_is_its_own_wasserstein_distance(sample, shift):
    assert distances.wasserstein(sample, sample + shift) == pytest.approx(abs(shift), abs=1e-6)


def test_nominal_p_value_is_pearsons():
    p, q = np.array([50, 30, 20, 0]), np.array([30, 30, 40, 0])
    expected = stats.chi2_contingency(np.vstack([p, q])[:, :3], correction=False).pvalue
    assert distances.chi_squared_p_value(p, q) == pytest.approx(expected, abs=1e-12)


def test_binned_wasserstein_is_within_a_few_percent_of_the_samples():
    random = np.random.default_rng(5)
    reference, current = random.lognormal(size=10_000), random.lognormal(0.3, size=1_000)
    edges = np.quantile(reference, np.arange(1, 260) / 260)
    sides = []
    for sample in (reference, current):
        bins = np.searchsorted(edges, sample)
        scaled = np.bincount(bins, weights=np.rint(sample * 2**20), minlength=260)
        sides.append((np.bincount(bins, minlength=260), scaled.astype(np.int64)))
    exact = stats.wasserstein_distance(reference, current)
    assert distances.wasserstein_of_bins(sides[0], sides[1], 2.0**20) == pytest.approx(exact, rel=0.05)


def test_an_empty_side_leaves_the_change_to_the_missing_bin():
    assert distances.wasserstein(np.zeros(0), np.ones(3)) == 0
    assert distances.kolmogorov_smirnov(np.ones(3), np.zeros(0)) == (0.0, 1.0)
