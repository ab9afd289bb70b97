"""Where California's districts lie: the coast, the bay, the settled regions, and the class of a place.

Pure arithmetic on longitudes and latitudes (degrees). A drawing of the coast good to a few kilometres is enough: it
decides `ocean_proximity` and the distance that prices depend on. Who lives there is `longshore.producers.generator`'s
work, what a house costs is `longshore.producers.price`'s.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from longshore.columns import Floats

KM_PER_DEGREE = 111.2
NEAR_OCEAN_KM = 10.0
HOUR_TO_OCEAN_KM = 50.0
NEAR_BAY_KM = 16.5

CLASSES = np.array(["<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"], dtype=object)
HOUR, INLAND, ISLAND, BAY, OCEAN = range(5)

COAST = np.array(
    [
        (-124.21, 42.00), (-124.08, 41.50), (-124.15, 40.95), (-124.40, 40.44), (-123.80, 39.45), (-123.70, 38.95),
        (-123.05, 38.33), (-122.98, 38.00), (-122.52, 37.80), (-122.50, 37.50), (-122.33, 37.12), (-122.02, 36.95),
        (-121.80, 36.80), (-121.95, 36.58), (-121.45, 35.88), (-120.87, 35.37), (-120.63, 35.14), (-120.64, 34.58),
        (-120.47, 34.45), (-119.70, 34.40), (-119.28, 34.27), (-118.80, 34.03), (-118.50, 34.01), (-118.41, 33.76),
        (-118.27, 33.71), (-117.93, 33.61), (-117.60, 33.39), (-117.30, 33.00), (-117.25, 32.67), (-117.12, 32.53),
    ]
)  # fmt: skip
"""The coast from Oregon to Mexico, (longitude, latitude), latitude falling."""

BAY_SHORE = np.array([(-122.35, 38.05), (-122.38, 37.85), (-122.25, 37.65), (-122.03, 37.47)])
"""The middle of San Francisco Bay, north to south."""


class Region(NamedTuple):
    """A settled region: its share of districts, where (a normal in degrees), and its people.

    `wealth` is the median of median_income (10,000 US dollars), `age` the mean housing age (years), `family` people
    per household.
    """

    name: str
    share: float
    longitude: float
    latitude: float
    sd_longitude: float
    sd_latitude: float
    correlation: float
    wealth: float
    age: float
    family: float


REGIONS = (
    Region("Los Angeles", 0.215, -118.31, 34.03, 0.14, 0.15, -0.5, 3.3, 36, 3.00),
    Region("Orange County", 0.115, -117.93, 33.82, 0.16, 0.17, -0.7, 4.4, 25, 2.95),
    Region("San Fernando and Ventura", 0.055, -118.75, 34.24, 0.28, 0.06, -0.4, 4.5, 25, 2.95),
    Region("Inland Empire", 0.095, -117.40, 34.02, 0.30, 0.14, -0.3, 3.3, 22, 3.00),
    Region("San Diego", 0.085, -117.12, 32.86, 0.10, 0.16, -0.3, 3.6, 25, 2.70),
    Region("Desert", 0.022, -116.30, 33.75, 0.65, 0.60, -0.4, 2.6, 17, 2.65),
    Region("San Francisco Bay", 0.125, -122.27, 37.76, 0.17, 0.20, -0.6, 4.0, 38, 2.50),
    Region("Silicon Valley", 0.070, -121.95, 37.33, 0.11, 0.10, -0.5, 5.0, 25, 2.80),
    Region("Wine country", 0.026, -122.65, 38.38, 0.25, 0.22, -0.4, 3.5, 24, 2.55),
    Region("Sacramento", 0.060, -121.35, 38.62, 0.17, 0.14, 0.3, 3.1, 24, 2.60),
    Region("Northern valley", 0.026, -121.70, 39.70, 0.45, 0.65, -0.3, 2.3, 24, 2.60),
    Region("Sierra", 0.022, -120.55, 38.75, 0.45, 0.70, -0.8, 2.9, 16, 2.55),
    Region("Stockton and Modesto", 0.033, -121.12, 37.80, 0.20, 0.22, -0.7, 2.9, 24, 2.90),
    Region("Fresno", 0.034, -119.65, 36.62, 0.30, 0.27, -0.7, 2.5, 25, 3.05),
    Region("Bakersfield", 0.024, -119.00, 35.42, 0.28, 0.28, -0.4, 2.6, 24, 3.00),
    Region("Central coast", 0.040, -120.75, 35.60, 0.75, 0.85, -0.95, 3.2, 24, 2.65),
    Region("North coast", 0.012, -123.95, 40.40, 0.25, 0.75, -0.5, 2.3, 28, 2.50),
    Region("Santa Catalina", 0.0003, -118.40, 33.38, 0.06, 0.02, 0.0, 2.7, 40, 2.45),
)  # fmt: skip


def table(name: str) -> Floats:
    """One field of all regions, in order."""
    return np.array([getattr(region, name) for region in REGIONS], dtype=np.float64)


IS_ISLAND = np.array([region.name == "Santa Catalina" for region in REGIONS])


def places(region: npt.NDArray[np.int64], across: Floats, along: Floats) -> tuple[Floats, Floats]:
    """Longitudes and latitudes of n districts of `region`s, from two standard normals each; none in the ocean."""
    correlation = table("correlation")[region]
    longitude = table("longitude")[region] + table("sd_longitude")[region] * across
    tilted = correlation * across + np.sqrt(1 - correlation**2) * along
    northing = table("latitude")[region] + table("sd_latitude")[region] * tilted
    latitude = np.asarray(np.round(np.clip(northing, 32.54, 41.95), 2), dtype=np.float64)
    coast = coast_longitude(latitude)
    ashore = np.where(IS_ISLAND[region], longitude, coast + np.abs(longitude - coast))
    eastward = np.ceil(ashore * 100) / 100  # two decimals, as in the census, and still ashore
    return np.clip(eastward, -124.35, -114.31), latitude


def coast_longitude(latitude: Floats) -> Floats:
    """The coast's longitude at a latitude; land lies east of it."""
    return np.asarray(np.interp(latitude, COAST[::-1, 1], COAST[::-1, 0]), dtype=np.float64)


def ocean_km(longitude: Floats, latitude: Floats) -> Floats:
    """Kilometres to the coast (0 for a place west of it)."""
    east = longitude >= coast_longitude(latitude)
    return np.where(east, _polyline_km(longitude, latitude, COAST), 0.0)


def bay_km(longitude: Floats, latitude: Floats) -> Floats:
    """Kilometres to the middle of San Francisco Bay."""
    return _polyline_km(longitude, latitude, BAY_SHORE)


def proximity(longitude: Floats, latitude: Floats, to_ocean_km: Floats) -> npt.NDArray[np.int64]:
    """The class of n places as positions in `CLASSES`; west of the coast is an island."""
    codes = np.where(to_ocean_km < NEAR_OCEAN_KM, OCEAN, np.where(to_ocean_km < HOUR_TO_OCEAN_KM, HOUR, INLAND))
    codes[bay_km(longitude, latitude) < NEAR_BAY_KM] = BAY
    codes[longitude < coast_longitude(latitude) - 0.02] = ISLAND
    return codes


def _polyline_km(longitude: Floats, latitude: Floats, line: Floats) -> Floats:
    """Distance to the nearest point of `line`, on a plane whose degrees of longitude shrink with 36° north."""
    scale = np.cos(np.radians(36.0))
    x, y = longitude * scale, latitude
    nearest = np.full(len(x), np.inf)
    for (ax, ay), (bx, by) in pairwise(line):
        ux, uy = (bx - ax) * scale, by - ay
        along = np.clip(((x - ax * scale) * ux + (y - ay) * uy) / (ux * ux + uy * uy), 0, 1)
        np.minimum(nearest, (x - ax * scale - along * ux) ** 2 + (y - ay - along * uy) ** 2, out=nearest)
    return np.asarray(np.sqrt(nearest) * KM_PER_DEGREE, dtype=np.float64)
