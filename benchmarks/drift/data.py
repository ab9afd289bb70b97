"""The rows that are judged: housing data, the NannyML wheel's California files, the generator; splits and windows."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.drift.peers_setup import python_of
from benchmarks.scoring.world import ROOT

from longshore.producers.generator import history_frame

Ints = npt.NDArray[np.int64]

REFERENCE_ROWS = 9_800
"""Of the housing data's 20,640: the windows come from the rest."""

GENERATOR_ROWS = 60_000
GENERATOR_POOL = 100_000
NOMINAL = "ocean_proximity"
DERIVED = "people_per_household"
PLACES = (ROOT.parent / "shared" / "data" / "housing.csv", ROOT / ".longshore" / "housing.csv")


@cache
def housing() -> pd.DataFrame:
    """Eight features, the nominal one, and median_house_value in the prediction's place: ten streams."""
    for place in PLACES:
        if place.is_file():
            return pd.read_csv(place)
    raise FileNotFoundError(f"no housing.csv in {', '.join(str(place.parent) for place in PLACES)}")


def with_ratio(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with the derived stream people per household."""
    return frame.assign(**{DERIVED: frame["population"] / frame["households"]})


@cache
def california() -> pd.DataFrame | None:
    """Both of the NannyML wheel's California files together, eight features and the predicted probability."""
    folder = next((python_of("nannyml").parents[1] / "lib").glob("*/site-packages/nannyml/datasets/data"), Path())
    files = [folder / f"california_housing_{name}.csv" for name in ("reference", "analysis")]
    if not all(file.is_file() for file in files):
        return None
    frame = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    return frame.drop(columns=["id", "timestamp", "clf_target", "y_pred"], errors="ignore")


def generated(seed: int) -> pd.DataFrame:
    """A population of the generator's own, enough for a reference and its windows."""
    return history_frame(GENERATOR_ROWS + GENERATOR_POOL, seed=seed).drop(columns="district_id")


def split(frame: pd.DataFrame, seed: int, rows: int = REFERENCE_ROWS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A random reference of `rows` rows, and what is left."""
    order = np.random.default_rng([seed, 1]).permutation(len(frame))
    return (
        frame.iloc[order[:rows]].reset_index(drop=True),
        frame.iloc[order[rows:]].reset_index(drop=True),
    )


def draw(random: np.random.Generator, rows: int, n: int, windows: int) -> Ints:
    """Rows of `windows` windows, int64[windows, n], each without replacement."""
    return np.stack([random.choice(rows, n, replace=False) for _ in range(windows)])


def columns_of(frame: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
    """Plain arrays for the peers: float64, or strings of fixed width."""
    return {
        str(name): frame[name].to_numpy(dtype=np.float64)
        if pd.api.types.is_numeric_dtype(frame[name])
        else frame[name].to_numpy().astype(str)
        for name in frame
    }
