"""The five distances equal scipy's and numpy's on the same bins or samples, and are 0 on equal data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.spatial.distance import jensenshannon

from longshore.monitor import distances
from longshore.monitor.binning import bin_numbers, encode, fixed_sums, profile_stream
from longshore.monitor.frames import Column
from longshore.schema import Kind

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
    assert distances.chi_squared(counts, counts) == pytest.approx((0.0, 1.0))
    assert distances.hellinger(p, p) == pytest.approx(0.0, abs=1e-7)


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


def test_chi_squared_is_pearsons():
    p, q = np.array([50, 30, 20, 0]), np.array([30, 30, 40, 0])
    expected = stats.chi2_contingency(np.vstack([p, q])[:, :3], correction=False)
    assert distances.chi_squared(p, q) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)


@pytest.mark.parametrize("outlier", [False, True])
@pytest.mark.parametrize("change", ["none", "shift", "scale", "spread", "jitter"])
@pytest.mark.parametrize("name", ["heavy", "normal", "ages", "capped", "gamma"])
def test_distances_from_counts_are_those_of_the_samples(name, change, outlier):
    random = np.random.default_rng([ord(name[0]), len(change), outlier])
    draw = {
        "heavy": lambda n: random.lognormal(0, 1.0, n),
        "normal": lambda n: random.normal(5, 2, n),
        "ages": lambda n: random.integers(1, 53, n).astype(float),
        "capped": lambda n: np.minimum(random.lognormal(1, 0.6, n), 5.0),
        "gamma": lambda n: random.gamma(2.0, 3.0, n),
    }[name]
    move = {
        "none": lambda x: x,
        "shift": lambda x: x + 0.2 * x.std(),
        "scale": lambda x: x * 1.15,
        "spread": lambda x: x.mean() + 1.2 * (x - x.mean()),
        "jitter": lambda x: x + random.uniform(-0.5, 0.5, len(x)),
    }[change]
    reference = draw(9_800)
    column = Column("x", Kind.NUMERIC, reference)
    stream = profile_stream(column, encode(column))
    for rows in (100, 1_000):
        current = move(draw(rows))
        if outlier:
            current[0] = reference.max() * 40
        bins = bin_numbers(stream, current)
        counts = np.bincount(bins, minlength=len(stream.counts))
        sums = fixed_sums(current, bins, len(counts), stream.scale)
        sides = ((stream.counts[:-1], stream.sums[:-1]), (counts[:-1], sums[:-1]))
        exact = stats.wasserstein_distance(reference, current)
        found = distances.wasserstein_of_bins(stream.edges, *sides, stream.scale)
        assert abs(found - exact) <= max(0.005 * exact, 0.005 * stream.std)
        ks, _ = distances.kolmogorov_smirnov_of_bins(stream.counts[:-1], counts[:-1])
        assert abs(ks - stats.ks_2samp(reference, current).statistic) <= 1 / 256


def test_an_empty_side_leaves_the_change_to_the_missing_bin():
    assert distances.wasserstein(np.zeros(0), np.ones(3)) == 0
    assert distances.kolmogorov_smirnov(np.ones(3), np.zeros(0)) == (0.0, 1.0)
