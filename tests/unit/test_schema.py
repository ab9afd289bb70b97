"""Schemas: the built-in one, a user's own, and errors that name the file and the key."""

from pathlib import Path

import pytest

from longshore.errors import ConfigurationError
from longshore.schema import Derived, Kind, describe, districts, load_schema

OWN = """
name = "turbines"
key = "turbine_id"
target = "power"
topic = "turbine-readings"
[[fields]]
name = "wind_speed"
kind = "numeric"
minimum = 0
nullable = false
[[fields]]
name = "site"
kind = "nominal"
categories = ["north", "south"]
"""

RATIO = """
[[fields]]
name = "turns"
kind = "numeric"
[[derived]]
name = "wind_per_turn"
numerator = "wind_speed"
denominator = "turns"
"""


def test_districts_is_the_contract() -> None:
    schema = districts()
    assert schema.key == "district_id"
    assert schema.feature_names == (
        "longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms", "population", "households",
        "median_income", "ocean_proximity",
    )  # fmt: skip


def test_a_users_own_schema_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(OWN)
    schema = load_schema(path)
    assert (schema.key, schema.target, schema.topic) == ("turbine_id", "power", "turbine-readings")
    assert [(f.name, f.kind, f.nullable) for f in schema.fields] == [
        ("wind_speed", Kind.NUMERIC, False),
        ("site", Kind.NOMINAL, True),
    ]
    assert schema.fields[0].minimum == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("kind = \"nominal\"", "kind = \"text\""), "text"),
        (("minimum = 0", "minimun = 0"), "minimun"),
        (("name = \"site\"", "name = \"wind_speed\""), "twice"),
        (("name = \"site\"", "name = \"prediction\""), "prediction"),
        (("target = \"power\"", "target = \"site\""), "target"),
        (('topic = "turbine-readings"', 'topic = "labels"'), "Longshore's own"),
        (('target = "power"', 'target = "turbine_id"'), "target"),
        (("minimum = 0", "minimum = 5\nmaximum = 1"), "above its maximum"),
        (("categories =", "minimum = 1\ncategories ="), "nominal and cannot"),
        (("key = \"turbine_id\"", ""), "key"),
        (("key = \"turbine_id\"", "key = \"source\""), "key 'source' is a name Longshore uses itself"),
        (("key = \"turbine_id\"", "key = \"prediction_interval\""), "is a name Longshore uses itself"),
        (("[[fields]]", "[[fields"), "TOML"),
    ],
)  # fmt: skip
def test_a_wrong_schema_is_one_line_that_names_what_is_wrong(
    tmp_path: Path, change: tuple[str, str], named: str
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(OWN.replace(*change, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_schema(path)
    assert named in str(caught.value)
    assert "s.toml" in str(caught.value)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ('["wind_speed", "site"]', "place names 'site', which is no numeric field"),
        ('["wind_speed", "nowhere"]', "place names 'nowhere', which is no numeric field"),
        ('["wind_speed", "wind_speed"]', "place names 'wind_speed' twice"),
        ('["wind_speed"]', "Expected `array` of length 2"),
    ],
)
def test_a_place_is_two_numeric_fields(tmp_path: Path, place: str, told: str) -> None:
    path = tmp_path / "schema.toml"
    path.write_text(f"place = {place}\n{OWN}{RATIO}")
    with pytest.raises(ConfigurationError, match=told):
        load_schema(path)
    path.write_text(f'place = ["wind_speed", "turns"]\n{OWN}{RATIO}')
    assert load_schema(path).place == ("wind_speed", "turns")
    assert districts().place == ("longitude", "latitude")


def test_ratios_are_read_and_are_no_features(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(OWN)
    plain = load_schema(path)
    path.write_text(OWN + RATIO)
    schema = load_schema(path)
    assert plain.derived == ()
    assert schema.derived == (Derived("wind_per_turn", "wind_speed", "turns"),)
    assert schema.feature_names == ("wind_speed", "site", "turns")
    assert describe(schema)["derived"] == [{"name": "wind_per_turn", "numerator": "wind_speed", "denominator": "turns"}]


def test_districts_have_ratios_of_their_own_fields() -> None:
    schema = districts()
    assert [d.name for d in schema.derived] == ["people_per_household", "rooms_per_household", "bedrooms_per_room"]
    numeric = {field.name for field in schema.numeric}
    assert all({d.numerator, d.denominator} <= numeric for d in schema.derived)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("wind_per_turn", "turns"), "derived 'turns' is also a field"),
        (("wind_per_turn", "power"), "derived 'power' is also the target"),
        (("wind_per_turn", "prediction"), "derived 'prediction' is also a name Longshore uses itself"),
        (("wind_per_turn", "turbine_id"), "derived 'turbine_id' is also"),
        (("wind_per_turn", "wind per turn"), "derived[0].name"),
        (("numerator = \"wind_speed\"", "numerator = \"speed\""), "the numerator 'speed', which is not a field"),
        (("denominator = \"turns\"", "denominator = \"site\""), "the denominator 'site', which is not numeric"),
        (("denominator = \"turns\"", "denominator = \"wind_per_turn\""), "'wind_per_turn', which is not a field"),
        (("denominator = \"turns\"", ""), "denominator"),
        (("numerator =", "nominator ="), "nominator"),
        (
            ("[[derived]]", "[[derived]]\nname = \"wind_per_turn\"\nnumerator = \"turns\"\n"
             "denominator = \"turns\"\n[[derived]]"),
            "is also another derived stream",
        ),
    ],
)  # fmt: skip
def test_a_wrong_ratio_is_one_line_that_names_what_is_wrong(
    tmp_path: Path, change: tuple[str, str], named: str
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(OWN + RATIO.replace(*change, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_schema(path)
    assert named in str(caught.value)
    assert "s.toml" in str(caught.value)
    assert "docs/schema.md" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        load_schema(tmp_path / "nowhere.toml")


def test_the_fingerprint_follows_the_shape(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(OWN)
    before = load_schema(path).fingerprint()
    path.write_text(OWN.replace("wind_speed", "wind"))
    assert load_schema(path).fingerprint() != before


def test_the_fingerprint_does_not_follow_what_is_only_watched(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(OWN + RATIO)
    before = load_schema(path).fingerprint()
    path.write_text(OWN + RATIO.split("[[derived]]", maxsplit=1)[0])
    assert load_schema(path).fingerprint() == before
