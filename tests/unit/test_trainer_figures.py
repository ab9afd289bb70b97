"""What a manifest says of a version's quality: every figure by a model that had not seen the row."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.trainer_rows import SCHEMAS, make_rows

from longshore.trainer.evaluate import metrics
from longshore.trainer.figures import figures

FRESH, TEST = make_rows(SCHEMAS["shirts"], 900, seed=1), make_rows(SCHEMAS["shirts"], 600, seed=2)
NOISE = np.random.default_rng(3).normal(0, 0.5, 900)
FOUND = figures(FRESH, FRESH.target + NOISE, TEST, TEST.target + 2 * NOISE[:600] + 0.3, seed=1)


def test_metrics_are_the_test_rows_with_both_intervals() -> None:
    found = FOUND["metrics"]
    assert found["rmse"] == metrics(TEST.target + 2 * NOISE[:600] + 0.3, TEST.target, np.arange(600))["rmse"]
    assert (found["rows_train"], found["rows_test"]) == (900, 600)
    assert found["bootstrap"]["rmse_interval"] == pytest.approx(found["rmse_interval"], rel=0.02)


def test_segments_have_their_own_metrics_and_small_ones_are_named() -> None:
    measured = {each["name"]: each for each in FOUND["segments"]["measured"]}
    assert {"colour = red", "size = blue"} <= set(measured) and all(each["rows"] >= 100 for each in measured.values())
    red = np.array([value == "red" for value in TEST.columns.nominal[0]])
    assert measured["colour = red"]["rows"] == red.sum()
    assert measured["colour = red"]["mean_error"] == pytest.approx(float((2 * NOISE[:600] + 0.3)[red].mean()))
    assert "colour missing" in FOUND["segments"]["insufficient"]


def test_the_half_widths_are_the_calibration_rows_and_miss_a_worse_model() -> None:
    """The test errors are twice as large here: the measured coverage says so."""
    level = FOUND["conformal"]["levels"]["0.9"]
    assert level["half_width"] == pytest.approx(1.645 * 0.5, rel=0.1)
    assert level["coverage_interval"][1] < 0.75


def test_the_gate_finds_what_it_goes_by() -> None:
    baseline = FOUND["baseline"]
    assert baseline["prediction"] == FRESH.target.mean()
    assert baseline["target_range"] == [FRESH.target.min(), FRESH.target.max()]
    assert baseline["out_of_fold"]["rmse"] == pytest.approx(0.5, rel=0.1) and baseline["out_of_fold"]["r2"] > 0.5


def test_it_is_json() -> None:
    assert json.loads(json.dumps(FOUND, allow_nan=False)) == FOUND
