"""Limits with a stated run length: from simulated streams, there and back, and as they were meant."""

import numpy as np
import pandas as pd
import pytest

from longshore.errors import ConfigurationError
from longshore.monitor import Reference
from longshore.monitor.run_lengths import RUNS, limit_for, limits, run_length_of


def test_independent_steps_have_geometric_runs():
    random = np.random.default_rng(0)
    found = limits(random.random((1, 400, 256)), [1], 1, 1)
    assert found[:18] == pytest.approx(1 / RUNS[:18], rel=0.25)  # up to runs of 70,000 steps, from 100,000 simulated
    assert np.all(np.diff(found) < 0)


def test_beyond_what_was_simulated_an_alert_of_one_step_is_as_rare_as_its_limit():
    """Whatever bend the shorter runs have: here small p-values come in pairs."""
    random = np.random.default_rng(2)
    smallest = np.repeat(random.random((1, 100, 128)), 2, axis=2)
    found = limits(smallest, [1], 1, 1)
    assert found[12:] * RUNS[12:] == pytest.approx(found[12] * RUNS[12])
    assert np.all(np.diff(found) < 0)


def test_two_of_three_independent_steps_are_rarer():
    random = np.random.default_rng(1)
    limit = np.interp(np.log(100), np.log(RUNS), limits(random.random((1, 400, 256)), [1], 2, 3))
    alerts, steps, recent = 0, 100_000, [False] * 3
    for step in random.random(steps) <= limit:
        recent = [*recent[1:], bool(step)]
        if step and sum(recent) >= 2:
            alerts, recent = alerts + 1, [False] * 3
    assert 85 < steps / alerts < 118


def test_a_scale_speaks_when_its_window_is_full_and_not_before():
    quiet, loud = np.ones((50, 64)), np.full((50, 64), 1e-3)
    found = limits(np.stack([quiet, loud]), [1, 8], 1, 1)
    assert np.interp(np.log(7.5), np.log(RUNS), found) > 1e-3  # shorter runs need the quiet scale
    assert np.interp(np.log(9.0), np.log(RUNS), found) < 0.5  # the loud one alerts every eighth step


@pytest.fixture(scope="module")
def reference():
    return Reference.fit(people(3_000, 0))


def people(rows, seed):
    random = np.random.default_rng(seed)
    income = random.lognormal(1.2, 0.5, rows)
    return pd.DataFrame({"income": income, "age": random.integers(1, 52, rows), "rooms": income * random.random(rows)})


@pytest.mark.parametrize("run_length", [3_000, 30_000, 3_000_000])
@pytest.mark.parametrize("step", [25, 70, 400])
def test_a_limit_gives_its_run_length_back(reference, run_length, step):
    calibration = reference.profile.calibration
    limit = limit_for(calibration, (2, 3), 3, step, run_length)
    assert run_length_of(calibration, (2, 3), 3, step, limit) == pytest.approx(run_length, rel=0.02)


def test_longer_runs_have_stricter_limits(reference):
    found = [limit_for(reference.profile.calibration, (1, 1), 3, 100, run) for run in (1e3, 1e4, 1e5, 1e6, 1e8)]
    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < found[0] < 1


def test_a_watched_stream_alerts_about_as_often_as_stated(reference):
    watch = reference.watch(run_length=1_000, step=25)
    seen = watch.add(people(60_000, 5))
    assert [step.rows for step in seen] == list(range(25, 60_001, 25))
    assert 25 <= sum(step.alert for step in seen) <= 140  # 60 meant; one reference's rate is off by its own noise


def test_a_shift_is_seen_at_once_and_named(reference):
    watch = reference.watch(run_length=100_000, step=25)
    assert not any(step.alert for step in watch.add(people(500, 6)))
    moved = people(500, 7)
    moved["age"] += 20
    alert = next(step for step in watch.add(moved) if step.alert)
    assert alert.rows <= 600
    assert alert.streams == ["age"]


def test_rows_may_come_in_any_pieces(reference):
    frame = people(1_000, 8)
    whole = reference.watch(run_length=2_000, step=30).add(frame)
    pieces = reference.watch(run_length=2_000, step=30)
    assert [step for at in range(0, 1_000, 7) for step in pieces.add(frame.iloc[at : at + 7])] == whole


def test_a_persistence_that_was_not_simulated_is_named(reference):
    with pytest.raises(ConfigurationError, match=r"monitor.persistence is \[5, 9\]"):
        reference.watch(persistence=(5, 9))
