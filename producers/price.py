"""The known price function: what a generated district's median house costs, given its record and nothing else.

    ln price = 12.20 + 0.78 ln(income / 3.5) + class + 0.22 ln(rooms per household / 5.2)
               − 0.40 ln(people per household / 2.8) + 0.0035 (age − 28) − 0.10 ln(1 + km to the ocean / 10)
               + 0.10 sin(9 longitude) cos(11 latitude)

A market price is that times lognormal noise of `NOISE` (natural logarithm), clipped to the census's own limits.
Bedrooms do not enter, so a missing count hides nothing that the price knows. Whoever evaluates a model on generated
districts can compare it with the best one there can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from longshore.columns import Floats
from longshore.producers.geography import CLASSES, ocean_km

NOISE = 0.23
LOWEST, CAP = 14_999.0, 500_001.0
CLASS_EFFECT = {"<1H OCEAN": 0.15, "INLAND": -0.22, "ISLAND": 0.70, "NEAR BAY": 0.17, "NEAR OCEAN": 0.12}


def expected_price(columns: Mapping[str, Any]) -> Floats:
    """The price without noise and limits, US dollars, of n districts.

    `columns` holds longitude, latitude, housing_median_age, total_rooms, population, households, median_income and
    ocean_proximity: a DataFrame or a mapping of arrays.
    """
    value = {name: np.asarray(columns[name], dtype=np.float64) for name in _NUMERIC}
    effect = _class_effect(np.asarray(columns["ocean_proximity"], dtype=object))
    ocean = ocean_km(value["longitude"], value["latitude"])
    return price_of(value, effect, ocean)


def price_of(value: Mapping[str, Floats], class_effect: Floats, to_ocean_km: Floats) -> Floats:
    """`expected_price` where the distances and the classes' effects are already known."""
    logarithm = 12.20 + 0.78 * np.log(value["median_income"] / 3.5) + class_effect
    logarithm += 0.22 * np.log(value["total_rooms"] / value["households"] / 5.2)
    logarithm -= 0.40 * np.log(value["population"] / value["households"] / 2.8)
    logarithm += 0.0035 * (value["housing_median_age"] - 28) - 0.10 * np.log1p(to_ocean_km / 10)
    logarithm += 0.10 * np.sin(9 * value["longitude"]) * np.cos(11 * value["latitude"])
    return np.exp(logarithm)


def market_price(expected: Floats, standard_normal: Floats) -> Floats:
    """Noise on top, rounded to 100 dollars, within the census's limits."""
    noisy = np.round(expected * np.exp(NOISE * standard_normal), -2)
    return np.clip(noisy, LOWEST, CAP)


_NUMERIC = (
    "longitude", "latitude", "housing_median_age", "total_rooms", "population", "households", "median_income",
)  # fmt: skip

EFFECTS: Floats = np.array([CLASS_EFFECT[name] for name in CLASSES])
"""`CLASS_EFFECT` in the order of `CLASSES`."""


def _class_effect(names: Any) -> Floats:
    return np.array([CLASS_EFFECT[name] for name in names], dtype=np.float64)
