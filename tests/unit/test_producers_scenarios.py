"""Each scenario moves what it documents, from the record it says and as fast as it says, and leaves the rest."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.errors import ConfigurationError
from longshore.producers.generator import Districts
from longshore.producers.rows import Rows
from longshore.producers.scenarios import SCENARIOS, Pipeline, parse
from longshore.schema import Schema, districts

SCHEMA = districts()
SOURCE = Districts(3)
N, ONSET, RAMP = 20_000, 5_000, 4_000
PLAIN = SOURCE.rows(0, N)
INDEX = PLAIN.index


def drifted(*texts: str) -> Rows:
    return Pipeline([parse(text) for text in texts], SCHEMA, SOURCE, seed=3).apply(PLAIN)


def same(left: Any, right: Any) -> bool:
    return bool(np.array_equal(left, right, equal_nan=left.dtype != object))


def moved(rows: Rows) -> set[str]:
    """What differs from the plain stream anywhere."""
    names = {name for name in rows.columns if not same(rows.columns[name], PLAIN.columns[name])}
    names |= set() if same(rows.target, PLAIN.target) else {"target"}
    return names | (set() if same(rows.keys, PLAIN.keys) else {"keys"})


EVERYTHING = {*SCHEMA.feature_names, "target", "keys"}
MOVES = {
    "income-inflation": {"median_income"},
    "migration": EVERYTHING,
    "missing-bedrooms": {"total_bedrooms"},
    "unit-fault": {"median_income"},
    "frozen-sensor": {"housing_median_age"},
    "price-inflation": {"target"},
    "season": {"population"},
}


def test_every_scenario_says_what_it_moves() -> None:
    assert set(MOVES) == set(SCENARIOS)


def test_every_scenario_is_described_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")

    for name, kind in SCENARIOS.items():
        assert f"`{name}`" in text
        for parameter in kind.__struct_fields__:
            assert f"`{parameter}`" in text


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("ramp", [0, RAMP])
def test_it_moves_what_it_documents_from_its_onset_and_nothing_else(name: str, ramp: int) -> None:
    rows = drifted(f"{name}:onset={ONSET},ramp={ramp}")

    assert moved(rows) == MOVES[name]
    before = INDEX < ONSET
    for column, values in rows.columns.items():
        assert same(values[before], PLAIN.columns[column][before])
    assert same(rows.target[before], PLAIN.target[before])
    assert same(rows.keys[before], PLAIN.keys[before])
    assert same(rows.index, INDEX)


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_does_not_depend_on_how_the_stream_is_cut(name: str) -> None:
    scenario = parse(f"{name}:onset={ONSET},ramp={RAMP}")
    pipeline = Pipeline([scenario], SCHEMA, SOURCE, seed=3)
    cuts = [0, 1, 4_999, 5_001, 9_000, 9_007, 15_000, N]

    pieces = [pipeline.apply(SOURCE.rows(a, b - a)) for a, b in pairwise(cuts)]

    whole, again = pipeline.apply(PLAIN), Rows.concatenate(pieces)
    assert all(same(whole.columns[column], again.columns[column]) for column in whole.columns)
    assert same(whole.target, again.target)


@given(onset=st.integers(0, 10**9), ramp=st.integers(1, 10**6), since=st.integers(-(10**6), 2 * 10**6))
def test_strength_rises_in_a_straight_line_over_the_ramp(onset: int, ramp: int, since: int) -> None:
    scenario = parse(f"income-inflation:onset={onset},ramp={ramp}")

    strength = scenario.strength(np.array([onset + since]))[0]

    assert strength == pytest.approx(min(max(since / ramp, 0), 1))


def test_without_a_ramp_the_onset_is_the_first_record_at_full_strength() -> None:
    assert parse("income-inflation:onset=10").strength(np.arange(8, 13)).tolist() == [0, 0, 1, 1, 1]


def test_incomes_are_multiplied_exactly_and_labels_stay() -> None:
    rows = drifted(f"income-inflation:factor=1.25,onset={ONSET},ramp={RAMP}")

    ratio = rows.columns["median_income"] / PLAIN.columns["median_income"]

    np.testing.assert_allclose(ratio, 1 + 0.25 * np.clip((INDEX - ONSET) / RAMP, 0, 1))
    assert same(rows.target, PLAIN.target)


def test_prices_are_multiplied_exactly_and_inputs_stay() -> None:
    rows = drifted(f"price-inflation:factor=1.4,onset={ONSET}")

    np.testing.assert_allclose(rows.target / PLAIN.target, np.where(INDEX >= ONSET, 1.4, 1.0))


def test_migration_moves_the_mixture_and_keeps_each_row_one_that_could_be() -> None:
    rows = drifted(f"migration:share=0.5,onset={ONSET}")
    after = INDEX >= ONSET
    inland_before = (PLAIN.columns["ocean_proximity"] == "INLAND")[after].mean()
    inland_after = (rows.columns["ocean_proximity"] == "INLAND")[after].mean()
    pool = {row[0]: row[1:] for row in _whole(SOURCE.pool())}
    changed = rows.keys != PLAIN.keys

    assert inland_after == pytest.approx(inland_before + 0.5 * (1 - inland_before), abs=0.02)
    assert all(pool[row[0]] == row[1:] for row in _whole(rows.take(np.flatnonzero(changed))))
    assert (PLAIN.columns["ocean_proximity"][changed] != "INLAND").all()


def _whole(rows: Rows) -> list[tuple[Any, ...]]:
    columns = [[str(value) for value in values] for values in rows.columns.values()]
    return list(zip(rows.keys.tolist(), rows.target.tolist(), *columns, strict=True))


def test_bedrooms_go_missing_in_the_share_that_was_asked_for() -> None:
    missing = np.isnan(drifted(f"missing-bedrooms:share=0.3,onset={ONSET}").columns["total_bedrooms"][INDEX >= ONSET])
    all_gone = drifted("missing-bedrooms:share=1,column=ocean_proximity").columns["ocean_proximity"]

    assert missing.mean() == pytest.approx(0.3 + 0.7 * 0.01, abs=0.015)
    assert all(value is None for value in all_gone)


def test_a_unit_fault_switches_records_over_and_its_ramp_is_their_share() -> None:
    rows = drifted(f"unit-fault:factor=10000,onset={ONSET},ramp={RAMP}")
    ratio = np.round(rows.columns["median_income"] / PLAIN.columns["median_income"])
    halfway = (INDEX >= ONSET + RAMP // 2 - 500) & (INDEX < ONSET + RAMP // 2 + 500)

    assert set(ratio.tolist()) == {1.0, 10_000.0}
    assert (ratio[INDEX >= ONSET + RAMP] == 10_000).all()
    assert (ratio[halfway] == 10_000).mean() == pytest.approx(0.5, abs=0.06)


def test_a_frozen_sensor_repeats_the_value_of_its_onset() -> None:
    rows = drifted(f"frozen-sensor:column=median_income,onset={ONSET}")

    assert set(rows.columns["median_income"][ONSET:].tolist()) == {PLAIN.columns["median_income"][ONSET]}


def test_a_sensor_that_freezes_on_a_missing_value_takes_the_next_there_is() -> None:
    values = PLAIN.columns["total_bedrooms"]
    onset = int(np.flatnonzero(np.isnan(values))[0])

    rows = drifted(f"frozen-sensor:column=total_bedrooms,onset={onset}")

    following = values[onset:]
    assert set(rows.columns["total_bedrooms"][onset:].tolist()) == {following[~np.isnan(following)][0]}


def test_a_season_comes_and_goes_with_its_period() -> None:
    rows = drifted(f"season:amplitude=0.5,period=4000,onset={ONSET}")
    swing = rows.columns["population"] / PLAIN.columns["population"]

    assert swing[ONSET] == swing[ONSET + 4_000] == swing[ONSET + 8_000] == pytest.approx(1.0)
    assert swing[ONSET + 2_000] == swing[ONSET + 6_000] == pytest.approx(1.5)
    assert swing[ONSET + 1_000] == pytest.approx(1.25)


def test_several_compose_in_the_order_given() -> None:
    rows = drifted("income-inflation:factor=2", "income-inflation:factor=3,onset=10", "price-inflation:factor=5")

    ratio = rows.columns["median_income"] / PLAIN.columns["median_income"]
    np.testing.assert_allclose(ratio, np.where(INDEX >= 10, 6.0, 2.0))
    np.testing.assert_allclose(rows.target / PLAIN.target, 5.0)


def test_two_of_a_kind_strike_independently() -> None:
    texts = ("missing-bedrooms:share=0.5,column=population", "missing-bedrooms:share=0.5,column=households")

    rows = drifted(*texts)

    both = np.isnan(rows.columns["population"]) & np.isnan(rows.columns["households"])
    assert both.mean() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("warming", "choose of income-inflation, migration"),
        ("", "is unknown"),
        ("income-inflation:speed=2", "unknown field `speed`"),
        ("income-inflation:factor=0", "> 0.0"),
        ("income-inflation:factor=much", "`factor`"),
        ("income-inflation:factor=nan", "factor"),
        ("income-inflation:factor=inf", "finite"),
        ("income-inflation:factor", "'factor' has no value"),
        ("income-inflation:factor=2,factor=3", "given twice"),
        ("income-inflation:onset=-1", "`onset`"),
        ("income-inflation:onset=1.5", "`onset`"),
        ("missing-bedrooms:share=1.5", "`share`"),
        ("season:period=1", "`period`"),
    ],
)
def test_a_wrong_text_is_refused_in_one_line(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)

    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("income-inflation:column=wages", "'wages' is not in schema"),
        ("income-inflation:column=ocean_proximity", "is nominal, not numeric"),
        ("migration:column=population", "is numeric, not nominal"),
        ("migration:to=MARS", "choose of <1H OCEAN"),
    ],
)
def test_a_scenario_that_the_data_cannot_have_is_refused_before_anything_is_sent(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        Pipeline([parse(text)], SCHEMA, SOURCE, seed=3)


def test_scenarios_fit_other_schemas_by_naming_a_column(other: Schema) -> None:
    with pytest.raises(ConfigurationError, match="choose of speed"):
        Pipeline([parse("income-inflation")], other, SOURCE, seed=3)

    Pipeline([parse("income-inflation:column=speed")], other, SOURCE, seed=3)


@pytest.fixture
def other() -> Schema:
    from longshore.schema import Field, Kind

    return Schema("engines", (Field("speed", Kind.NUMERIC),), "engine", "wear", "engines")
