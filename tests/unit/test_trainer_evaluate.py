"""Metrics agree with scikit-learn, intervals with scipy's, and repeated rows do not narrow them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from longshore.trainer.evaluate import mean_interval, metrics


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    target = rng.lognormal(3, 1, 400)
    return target + rng.standard_t(4, 400) * 5, target


def test_metrics_are_scikit_learns(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = pair
    found = metrics(prediction, target, np.arange(400))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(target, prediction), rel=1e-12)
    assert found["mae"] == pytest.approx(mean_absolute_error(target, prediction), rel=1e-12)
    assert found["r2"] == pytest.approx(r2_score(target, prediction), rel=1e-12)


def test_the_interval_of_a_mean_is_students(pair: tuple[np.ndarray, np.ndarray]) -> None:
    values = pair[0]
    expected = stats.t.interval(0.95, 399, loc=values.mean(), scale=stats.sem(values))
    assert mean_interval(values, np.arange(400)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["rmse", "mae", "r2"])
def test_intervals_are_near_the_bootstraps(pair: tuple[np.ndarray, np.ndarray], name: str) -> None:
    groups = np.arange(400)
    found = metrics(*pair, groups)
    drawn = stats.bootstrap(
        pair,
        lambda prediction, target: metrics(prediction, target, groups)[name],
        paired=True,
        vectorized=False,
        n_resamples=500,
        method="percentile",
        rng=1,
    ).confidence_interval
    width = drawn.high - drawn.low
    assert found[f"{name}_interval"] == pytest.approx([drawn.low, drawn.high], abs=0.3 * width)


def test_a_looped_replay_does_not_narrow_the_interval(pair: tuple[np.ndarray, np.ndarray]) -> None:
    values, groups = pair[0], np.arange(400)
    once, looped = mean_interval(values, groups), mean_interval(np.tile(values, 5), np.tile(groups, 5))
    assert looped == pytest.approx(once, rel=1e-9)


def test_a_constant_target_has_no_r2() -> None:
    assert metrics(np.arange(3.0), np.ones(3), np.arange(3))["r2"] is None


def test_one_entity_has_no_interval() -> None:
    assert mean_interval(np.arange(5.0), np.zeros(5, dtype=np.intp)) == (-np.inf, np.inf)
