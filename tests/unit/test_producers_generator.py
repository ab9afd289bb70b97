"""Generated districts are the same for ever by seed and number, look like a census, and cost what the function says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.producers import geography, price
from longshore.producers.generator import BLOCK, POPULATION, Districts, district_rows, districts_frame, history_frame

FRAME = districts_frame(40_000, seed=5)
HOUSES = FRAME["households"]


def test_the_same_seed_makes_the_same_districts_and_another_makes_others() -> None:
    assert districts_frame(500, seed=5).equals(FRAME.head(500))
    assert not districts_frame(500, seed=6)["median_income"].equals(FRAME["median_income"].head(500))


@settings(max_examples=20, deadline=None)
@given(start=st.integers(0, 3 * BLOCK), count=st.integers(1, 2 * BLOCK))
def test_a_stretch_is_the_same_however_it_is_reached(start: int, count: int) -> None:
    rows = district_rows(start, count, seed=5)

    assert rows.index.tolist() == list(range(start, start + count))
    np.testing.assert_array_equal(rows.target, FRAME["median_house_value"][start : start + count])
    assert rows.keys.tolist() == FRAME["district_id"][start : start + count].tolist()


def test_the_stream_meets_a_district_again_after_the_population_and_it_has_not_changed() -> None:
    source = Districts(5)
    turn = source.rows(POPULATION - 10, 20)

    assert turn.index.tolist() == list(range(POPULATION - 10, POPULATION + 10))
    assert turn.keys[10:].tolist() == FRAME["district_id"].head(10).tolist()
    np.testing.assert_array_equal(turn.target[10:], FRAME["median_house_value"].head(10))


def test_history_and_pool_hold_no_district_of_the_stream() -> None:
    stream = set(Districts(5).rows(0, 5_000).keys)

    assert not stream & set(history_frame(5_000, seed=5)["district_id"])
    assert not stream & set(Districts(5).pool().keys)


def test_ids_are_unique() -> None:
    assert FRAME["district_id"].is_unique


def test_the_five_classes_have_a_census_s_shares() -> None:
    shares = FRAME["ocean_proximity"].value_counts(normalize=True)

    assert shares["<1H OCEAN"] == pytest.approx(0.46, abs=0.06)
    assert shares["INLAND"] == pytest.approx(0.31, abs=0.06)
    assert shares["NEAR BAY"] == pytest.approx(0.12, abs=0.04)
    assert shares["NEAR OCEAN"] == pytest.approx(0.11, abs=0.04)
    assert 0 < shares["ISLAND"] < 0.001


def test_classes_lie_where_they_say() -> None:
    longitude, latitude = FRAME["longitude"].to_numpy(), FRAME["latitude"].to_numpy()
    ocean = geography.ocean_km(longitude, latitude)
    by_class = FRAME["ocean_proximity"]

    assert ocean[by_class == "NEAR OCEAN"].max() < geography.NEAR_OCEAN_KM
    assert ocean[by_class == "INLAND"].min() >= geography.HOUR_TO_OCEAN_KM
    assert geography.bay_km(longitude, latitude)[by_class == "NEAR BAY"].max() < geography.NEAR_BAY_KM
    assert FRAME["latitude"][by_class == "ISLAND"].between(33.2, 33.6).all()
    assert (np.round(longitude, 2) == np.round(longitude, 9)).all()
    assert FRAME["longitude"].between(-124.35, -114.31).all()
    assert FRAME["latitude"].between(32.54, 41.95).all()


@pytest.mark.parametrize(
    ("longitude", "latitude", "expected"),
    [
        (-122.42, 37.77, "NEAR BAY"),  # San Francisco
        (-118.25, 34.05, "<1H OCEAN"),  # Los Angeles
        (-118.49, 34.02, "NEAR OCEAN"),  # Santa Monica
        (-121.49, 38.58, "INLAND"),  # Sacramento
        (-119.77, 36.75, "INLAND"),  # Fresno
        (-118.33, 33.34, "ISLAND"),  # Avalon
        (-117.16, 32.72, "NEAR OCEAN"),  # San Diego
    ],
)
def test_well_known_towns_get_their_class(longitude: float, latitude: float, expected: str) -> None:
    place = np.array([longitude]), np.array([latitude])

    code = geography.proximity(*place, geography.ocean_km(*place))[0]

    assert geography.CLASSES[code] == expected


def test_a_degree_of_latitude_from_the_coast_is_about_111_km() -> None:
    south_coast = geography.bay_km(np.array([-122.03]), np.array([36.47]))

    assert south_coast[0] == pytest.approx(111.2, rel=0.001)


def test_counts_are_skewed_and_move_together() -> None:
    counts = FRAME[["total_rooms", "total_bedrooms", "population", "households"]]

    assert (counts.mean() > 1.15 * counts.median()).all()
    assert (counts.corr().to_numpy() > 0.7).all()
    assert (counts.min() >= 1).all()
    assert (counts.dropna() % 1 == 0).all(axis=None)


def test_a_household_has_about_three_people_in_five_rooms_with_one_bedroom_each() -> None:
    assert (FRAME["total_rooms"] / HOUSES).median() == pytest.approx(5.2, abs=0.3)
    assert (FRAME["population"] / HOUSES).median() == pytest.approx(2.8, abs=0.15)
    assert (FRAME["total_bedrooms"] / HOUSES).median() == pytest.approx(1.05, abs=0.05)


def test_incomes_and_ages_are_capped_as_the_census_caps_them() -> None:
    income, age = FRAME["median_income"], FRAME["housing_median_age"]

    assert income.skew() > 1
    assert income.between(0.4999, 15.0001).all()
    assert (income == 15.0001).mean() == pytest.approx(0.002, abs=0.0015)
    assert age.between(1, 52).all()
    assert (age == 52).mean() > 0.02


def test_one_in_a_hundred_bedroom_counts_is_missing_and_nothing_else() -> None:
    missing = FRAME.isna().mean()

    assert missing["total_bedrooms"] == pytest.approx(0.01, abs=0.002)
    assert missing.drop("total_bedrooms").max() == 0


def test_prices_follow_income_and_the_coast_and_stop_at_the_cap() -> None:
    value = FRAME["median_house_value"]
    by_class = value.groupby(FRAME["ocean_proximity"]).median()

    assert 0.6 < value.corr(FRAME["median_income"]) < 0.85
    assert by_class["INLAND"] < 0.6 * by_class["NEAR BAY"]
    assert value.max() == price.CAP
    assert 0.02 < (value == price.CAP).mean() < 0.06


def test_a_price_is_the_known_function_times_lognormal_noise() -> None:
    value = FRAME["median_house_value"]
    inside = value.between(price.LOWEST, price.CAP, inclusive="neither")
    expected = price.expected_price(FRAME)
    low = inside & (expected < 250_000)  # far enough below the cap that it cuts nothing off

    noise = np.log(value[low] / expected[low])

    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.std() == pytest.approx(price.NOISE, rel=0.03)
    assert abs(noise.corr(np.log(FRAME["median_income"][low]))) < 0.03


def test_the_price_function_is_its_formula() -> None:
    district = {
        "longitude": [-119.77],
        "latitude": [36.75],
        "housing_median_age": [28.0],
        "total_rooms": [520.0],
        "population": [280.0],
        "households": [100.0],
        "median_income": [3.5],
        "ocean_proximity": ["INLAND"],
    }
    ocean = geography.ocean_km(np.array([-119.77]), np.array([36.75]))[0]
    logarithm = 12.20 - 0.22 - 0.10 * np.log1p(ocean / 10) + 0.10 * np.sin(9 * -119.77) * np.cos(11 * 36.75)

    base = price.expected_price(district)[0]

    assert base == pytest.approx(np.exp(logarithm))
    assert price.expected_price({**district, "median_income": [7.0]})[0] / base == pytest.approx(2**0.78)
    assert price.expected_price({**district, "total_rooms": [1_040.0]})[0] / base == pytest.approx(2**0.22)
    assert price.expected_price({**district, "population": [560.0]})[0] / base == pytest.approx(2**-0.40)
    assert price.expected_price({**district, "housing_median_age": [38.0]})[0] / base == pytest.approx(np.exp(0.035))
