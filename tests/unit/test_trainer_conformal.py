"""Conformal intervals cover as often as they say, rows of one entity or not; the bootstrap agrees with Student."""

from __future__ import annotations

import numpy as np
import pytest

from longshore.config import INTERVAL_LEVELS
from longshore.trainer.conformal import conformal, half_width
from longshore.trainer.evaluate import bootstrap, metrics


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_the_half_width_is_the_corrected_order_statistic(level: float) -> None:
    residuals = np.random.default_rng(1).normal(0, 1, 173)
    rank = int(np.ceil(174 * level))
    assert half_width(residuals, np.arange(173), level) == np.sort(np.abs(residuals))[rank - 1]


def test_too_few_rows_promise_nothing() -> None:
    residuals = np.arange(1.0, 19.0)
    assert half_width(residuals, np.arange(18), 0.95) is None
    assert half_width(np.append(residuals, 30.0), np.arange(19), 0.95) == 30.0
    assert half_width(np.ones(1_000), np.zeros(1_000, dtype=np.intp), 0.9) is None, "one entity, however many rows"


def test_a_looped_replay_changes_nothing() -> None:
    residuals, groups = np.random.default_rng(2).normal(0, 1, 100), np.arange(100)
    looped = half_width(np.tile(residuals, 7), np.tile(groups, 7), 0.9)
    assert looped == half_width(residuals, groups, 0.9)


def test_coverage_is_what_is_stated() -> None:
    """Over many calibrations of 199 rows the mean coverage is exactly the level: 2,000 of them miss it by 0.2 %."""
    rng = np.random.default_rng(3)
    for level in INTERVAL_LEVELS:
        covered = []
        for _ in range(2_000):
            drawn = rng.standard_t(4, 200)
            width = half_width(drawn[:199], np.arange(199), level)
            assert width is not None
            covered.append(abs(drawn[199]) <= width)
        assert np.mean(covered) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 2_000))


def test_the_manifest_holds_width_and_measured_coverage() -> None:
    rng = np.random.default_rng(4)
    out_of_fold, test = rng.normal(0, 10, 2_000), rng.normal(0, 10, 1_000)
    out_of_fold[:5] = np.nan
    found = conformal(out_of_fold, np.arange(2_000), test, np.arange(1_000))
    assert found["rows"] == 1_995 and "out-of-fold" in found["method"]
    for level, width in (("0.8", 12.8), ("0.9", 16.4), ("0.95", 19.6)):
        stated = found["levels"][level]
        assert stated["half_width"] == pytest.approx(width, rel=0.07)
        assert stated["coverage_interval"][0] <= stated["coverage"] <= stated["coverage_interval"][1]
        assert stated["coverage"] == pytest.approx(float(level), abs=0.04)


def test_bootstrap_and_student_agree_and_the_seed_repeats() -> None:
    rng = np.random.default_rng(5)
    target = rng.lognormal(3, 0.5, 800)
    prediction = target + rng.normal(0, 4, 800)
    groups = np.repeat(np.arange(400), 2)
    found = bootstrap(prediction, target, groups, seed=1)
    assert found == bootstrap(prediction, target, groups, seed=1) != bootstrap(prediction, target, groups, seed=2)
    student = metrics(prediction, target, groups)
    for name in ("rmse", "mae", "r2"):
        low, high = student[f"{name}_interval"]
        assert found[f"{name}_interval"] == pytest.approx([low, high], abs=0.2 * (high - low))


def test_the_bootstrap_draws_entities_not_rows() -> None:
    rng = np.random.default_rng(6)
    target, error, groups = rng.normal(0, 9, 300), rng.normal(0, 1, 300), np.arange(300)
    once = bootstrap(target + error, target, groups, seed=1)
    looped = bootstrap(np.tile(target + error, 4), np.tile(target, 4), np.tile(groups, 4), seed=1)
    assert looped["rmse_interval"] == pytest.approx(once["rmse_interval"], rel=1e-9)


def test_a_constant_target_has_no_interval_of_r2() -> None:
    assert bootstrap(np.arange(30.0), np.ones(30), np.arange(30), seed=1)["r2_interval"] is None
