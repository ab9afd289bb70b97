"""A seeded population of districts with the joint structure of a census: what there is, by number, for ever the same.

District `i` of a seed is a pure function of (seed, i): blocks of `BLOCK` districts are drawn from their own random
stream, so any stretch can be made without the ones before it and memory stays flat. Geography comes from
`longshore.producers.geography`, prices from the known function in `longshore.producers.price`; shifts are the
scenarios' work. Marginals were set by eye against the 1990 census's quantiles; no threshold was fitted to them.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from longshore.columns import Floats
from longshore.producers import geography, price
from longshore.producers.rows import Rows
from longshore.schema import Schema, districts

BLOCK = 4_096
POPULATION = 1_000_000
"""Districts in a stream before it meets the first again."""
MISSING_BEDROOMS = 0.01
LARGEST_POPULATION = 36_000

_SHARES = geography.table("share") / geography.table("share").sum()


def districts_frame(rows: int, seed: int, start: int = 0) -> pd.DataFrame:
    """Districts `start` … `start + rows − 1` of `seed`: the features, median_house_value and district_id."""
    return _frame(district_rows(start, rows, seed))


def history_frame(rows: int, seed: int) -> pd.DataFrame:
    """Districts for training: of the same population's kind, and never one of the stream's own `POPULATION`."""
    return districts_frame(rows, seed, start=POPULATION)


def district_rows(start: int, count: int, seed: int) -> Rows:
    """The same districts as columns; `index` holds their numbers."""
    first, last = start // BLOCK, (start + count - 1) // BLOCK if count else start // BLOCK
    whole = Rows.concatenate([_block(seed, block) for block in range(first, last + 1)])
    return whole.take(np.arange(start - first * BLOCK, start - first * BLOCK + count))


class Districts:
    """The generator as an unlimited source of records: record i is district i modulo `POPULATION`."""

    length: int | None = None

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._held: tuple[int, Rows] | None = None

    def rows(self, start: int, count: int) -> Rows:
        """Records `start` … `start + count − 1`; the block that holds the end is kept for the next call."""
        parts, at = [], start
        while at < start + count:
            district = at % POPULATION
            block, offset = divmod(district, BLOCK)
            size = min(BLOCK - offset, POPULATION - district, start + count - at)
            parts.append(self._block(block).take(np.arange(offset, offset + size)))
            at += size
        return Rows.concatenate(parts).numbered(start)

    def pool(self) -> Rows:
        """Districts outside the stream and the history, for scenarios that bring in others."""
        return self._pool

    @cached_property
    def _pool(self) -> Rows:
        return district_rows(3 * POPULATION, 4 * BLOCK, self._seed)

    def _block(self, block: int) -> Rows:
        if self._held is None or self._held[0] != block:
            self._held = (block, _block(self._seed, block))
        return self._held[1]


def covers(schema: Schema) -> bool:
    """Whether the generator makes everything that records and labels of `schema` hold."""
    made = districts()
    return set(schema.feature_names) <= set(made.feature_names) and schema.target == made.target


def _block(seed: int, block: int) -> Rows:
    """`BLOCK` districts from their own random stream."""
    rng = np.random.default_rng([seed, block])
    region = rng.choice(len(_SHARES), size=BLOCK, p=_SHARES)
    normal = rng.standard_normal((10, BLOCK))
    longitude, latitude = geography.places(region, normal[0], normal[1])
    ocean = geography.ocean_km(longitude, latitude)
    codes = geography.proximity(longitude, latitude, ocean)
    resort = rng.random(BLOCK) < np.where(codes == geography.INLAND, 0.05, 0.004)
    columns = {"longitude": longitude, "latitude": latitude}
    columns |= _people(region, ocean, resort, normal[2:9], rng)
    target = price.market_price(price.price_of(columns, price.EFFECTS[codes], ocean), normal[9])
    columns["total_bedrooms"][rng.random(BLOCK) < MISSING_BEDROOMS] = np.nan
    number = np.arange(block * BLOCK, (block + 1) * BLOCK)
    keys = np.array([f"g{seed}-{i}" for i in number.tolist()], dtype=object)
    return Rows(number, keys, {**columns, "ocean_proximity": geography.CLASSES[codes]}, target)


def _people(
    region: npt.NDArray[np.int64], ocean: Floats, resort: npt.NDArray[np.bool_], z: Floats, rng: np.random.Generator
) -> dict[str, Floats]:
    """Ages, counts and incomes: lognormals that share their causes, so the joint is skewed as the marginals are."""
    age = np.clip(np.round(geography.table("age")[region] + 11.5 * z[0]), 1, 52)
    size = 0.55 * z[1] - 0.018 * (age - 28) + np.log(np.where(rng.random(len(age)) < 0.06, 0.15, 1.0))
    households = np.maximum(np.round(428 * np.exp(size)), 1)
    fortune = 0.40 * z[2] + 0.02 * z[2] * np.abs(z[2]) - 0.006 * (age - 28) - 0.0008 * np.minimum(ocean, 100)
    income = np.clip(1.04 * geography.table("wealth")[region] * np.exp(fortune), 0.4999, 15.0001)
    rooms = 5.15 * np.exp(0.30 * fortune - 0.003 * (age - 28) + 0.16 * z[3]) * np.where(resort, 2.2, 1.0)
    bedrooms = 1.05 * np.exp(0.06 * z[4]) * np.where(resort, 2.0, 1.0)
    family = geography.table("family")[region] * np.exp(0.21 * z[5] - 0.10 * fortune)
    crowd = np.where(rng.random(len(age)) < 0.0010, np.exp(2.0 + 0.9 * z[6]), 1.0)
    return {
        "housing_median_age": age,
        "total_rooms": np.maximum(np.round(households * rooms), 2),
        "total_bedrooms": np.maximum(np.round(households * bedrooms), 1),
        "population": np.clip(np.round(households * family * crowd), 3, LARGEST_POPULATION),
        "households": households,
        "median_income": np.round(income, 4),
    }


def _frame(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame({**rows.columns, "median_house_value": rows.target, "district_id": rows.keys})
