"""Errors of a model on rows that it was not fitted on, streams of them, and the product's own way from them to alarms.

Housing: all 20,640 rows are predicted by a model of the other half (two-fold), cut at random into held-out rows for the
profile and a stream without replacement: clean streams are exactly exchangeable with the reference, as far as they go.
Generated: a model of 20,000 rows, held-out rows and streams as long as wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.drift import data
from sklearn.ensemble import HistGradientBoostingRegressor

from longshore.monitor.errors import Joined, count_errors
from longshore.monitor.harm import HarmSettings, HarmWatch
from longshore.monitor.loss_limits import error_profile
from longshore.monitor.messages import Errors
from longshore.monitor.models import Profiles, Watched
from longshore.monitor.reference import build_profile
from longshore.producers.generator import history_frame
from longshore.profile import Profile

Floats = npt.NDArray[np.float64]
TARGET = "median_house_value"
HELD_OUT = 12_000
"""Housing rows of a reference; 8,640 are left for a stream."""

GENERATED = {"fitted": 20_000, "held_out": 15_000, "stream": 120_000}
BLOCK = 10
"""Labels that come together: a pane's."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Predictions and labels of rows, float64[n] each."""

    predictions: Floats
    labels: Floats

    def take(self, rows: Any) -> Rows:
        return Rows(self.predictions[rows], self.labels[rows])

    @property
    def errors(self) -> Floats:
        return self.predictions - self.labels


def _features(frame: pd.DataFrame) -> Floats:
    kept = frame.drop(columns=[TARGET, "district_id"], errors="ignore")
    coded = kept.assign(**{data.NOMINAL: pd.Categorical(kept[data.NOMINAL]).codes})
    return np.asarray(coded.to_numpy(dtype=np.float64))


def _model(seed: int) -> Any:
    return HistGradientBoostingRegressor(max_iter=150, random_state=seed)


@cache
def housing(seed: int) -> Rows:
    """All housing rows, each predicted by a model of the other half."""
    frame = data.housing()
    features, labels = _features(frame), frame[TARGET].to_numpy(dtype=np.float64)
    half = np.random.default_rng([seed, 11]).random(len(frame)) < 0.5
    predictions = np.empty(len(frame))
    for fitted in (half, ~half):
        predictions[~fitted] = _model(seed).fit(features[fitted], labels[fitted]).predict(features[~fitted])
    return Rows(predictions, labels)


def housing_split(seed: int, fits: int = 3) -> tuple[Rows, Rows]:
    """Held-out rows and a stream of the rest, in random order."""
    rows = housing(seed % fits)
    order = np.random.default_rng([seed, 12]).permutation(len(rows.labels))
    return rows.take(order[:HELD_OUT]), rows.take(order[HELD_OUT:])


@cache
def generated(seed: int) -> tuple[Rows, Rows]:
    """Held-out rows and a stream of generated districts."""
    frame = history_frame(sum(GENERATED.values()), seed=seed + 1)
    features, labels = _features(frame), frame[TARGET].to_numpy(dtype=np.float64)
    fitted = GENERATED["fitted"]
    model = _model(seed).fit(features[:fitted], labels[:fitted])
    rows = Rows(model.predict(features[fitted:]), labels[fitted:])
    held = GENERATED["held_out"]
    return rows.take(slice(0, held)), rows.take(slice(held, None))


def profile_of(held_out: Rows) -> Watched:
    """A profile with the errors of held-out rows; its only stream is the prediction."""
    inside = np.zeros((len(held_out.labels), 0), np.int64)
    errors = error_profile(_base(), held_out.predictions, held_out.labels, inside)
    return Watched.of(replace(_base(), errors=errors).to_bytes())


@cache
def _base() -> Profile:
    """A profile of one stream: its calibration takes seconds, and nothing of it is used here."""
    return Profile.from_bytes(build_profile(pd.DataFrame({"prediction": np.arange(1_000.0)}), []))


@cache
def housing_world(seed: int) -> tuple[Rows, Rows, Watched]:
    """Held-out rows, a stream, and the profile of the first."""
    held_out, stream = housing_split(seed)
    return held_out, stream, profile_of(held_out)


def alarms(watched: Watched, stream: Rows, run_length: float, block: int = BLOCK) -> Iterator[int]:
    """Labels up to each alarm of the product's own path: counted, judged, and begun anew after it."""
    profiles = Profiles(lambda _: None)
    profiles._held["v"] = watched
    watch = HarmWatch(HarmSettings(window_labels=10**9, run_length=run_length), profiles, 1_000)
    watch.begin("v")
    nan = np.full(block, np.nan)
    for pane, at in enumerate(range(0, len(stream.labels) - block + 1, block)):
        part = stream.take(slice(at, at + block))
        segments = np.zeros((block, 0), np.int64)
        joined = Joined("v", "champion", np.full(block, pane), part.predictions, part.labels, nan, nan, segments)
        message = Errors(0, 1, at, at + block - 1, count_errors(watched, joined))
        if any(seen.alarm for seen in watch.add(message)):
            yield at + block
            watch.restart()


def first_alarm(watched: Watched, stream: Rows, run_length: float, block: int = BLOCK) -> float:
    """Labels up to the first alarm; infinite without one."""
    return float(next(alarms(watched, stream, run_length, block), np.inf))
