"""Ratios of columns: one arithmetic on the stream and in the library, and refusals that say what is wrong."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drift_stream import LATENESS_MS, SCHEMA, predictions, rows

from longshore.errors import ConfigurationError, DataError
from longshore.monitor import Reference
from longshore.monitor.derived import parse_ratios, ratio
from longshore.monitor.frames import LARGEST
from longshore.monitor.models import Profiles
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.reference import build_profile
from longshore.profile import Profile
from longshore.schema import Derived, Field, Kind

RATIO = Derived("cargo_per_head", "cargo", "crew")
WITH_RATIO = replace(SCHEMA, derived=(RATIO,))
PARTS = {"cargo_per_head": ("cargo", "crew")}
NUMBERS = st.one_of(st.floats(width=64), st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, 5e-324]))


def frame(count=400, seed=7):
    return rows(count, seed).assign(crew=lambda f: f["crew"].where(f.index % 50 != 0, 0.0))


@pytest.fixture(scope="module")
def profile():
    return build_profile(frame(), ["flag"], [RATIO])


def counted(schema, profile, values):
    counter = PaneCounter(schema, Profiles(lambda _: profile), pane_ms=3_600_000, lateness_ms=LATENESS_MS)
    tally = Tally()
    counter.count(tally, values, range(len(values)))
    (pane,) = tally.panes.values()
    return pane


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20))
def test_a_ratio_is_the_quotient_and_missing_where_there_is_none(pairs):
    for (n, d), found in zip(pairs, ratio(*np.array(pairs).T).tolist(), strict=True):
        usable = all(abs(part) <= LARGEST for part in (n, d)) and d != 0
        expected = n / d if usable else math.nan
        assert found == expected if abs(expected) <= LARGEST else math.isnan(found)


def test_the_stream_and_the_library_count_the_same_rows_the_same(profile):
    streams = Profile.from_bytes(profile).streams
    assert [stream.name for stream in streams] == ["cargo", "crew", "flag", "cargo_per_head", "prediction"]
    pane = counted(WITH_RATIO, profile, predictions(frame()))
    assert pane.counts.tolist() == np.concatenate([stream.counts for stream in streams]).tolist()
    assert pane.sums.tolist() == np.concatenate([stream.sums for stream in streams]).tolist()
    missing = frame().eval("crew.isna() or crew == 0").sum()
    assert missing > 0
    assert streams[3].counts[-1] == missing


def test_a_profile_without_ratios_serves_a_schema_that_has_them():
    older = build_profile(frame(), ["flag"])
    pane = counted(WITH_RATIO, older, predictions(frame()))
    assert pane.counts.tolist() == counted(SCHEMA, older, predictions(frame())).counts.tolist()


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        replace(WITH_RATIO, derived=(replace(RATIO, name="other"),)),
        replace(WITH_RATIO, derived=(), fields=(*SCHEMA.fields, Field("cargo_per_head", Kind.NOMINAL))),
    ],
)
def test_a_profile_with_a_stream_that_the_schema_does_not_have_is_refused(schema, profile):
    with pytest.raises(ConfigurationError, match=r"numeric stream 'cargo_per_head', the schema ships does not: give"):
        counted(schema, profile, predictions(frame(3)))


def test_a_reference_adds_its_ratios_to_the_raw_columns():
    now = frame(300, 1).assign(crew=lambda f: f["crew"] * 1.3)
    reference = Reference.fit(frame(), derived=PARTS)
    by_hand = Reference.fit(frame().pipe(with_quotient))
    assert reference.names == ["cargo", "crew", "flag", "cargo_per_head", "prediction"]
    assert reference.profile.to_bytes() == by_hand.profile.to_bytes()
    assert reference.compare(now).to_dict() == by_hand.compare(with_quotient(now)).to_dict()
    assert (reference.test_cells(now) == by_hand.test_cells(with_quotient(now))).all()
    assert reference.watch(step=100).add(now) == by_hand.watch(step=100).add(with_quotient(now))


def with_quotient(raw):
    quotient = (raw["cargo"] / raw["crew"]).where(raw["crew"] != 0)
    return raw.assign(cargo_per_head=quotient)[["cargo", "crew", "flag", "cargo_per_head", "prediction"]]


def test_a_frame_that_brings_the_ratio_itself_is_refused():
    with pytest.raises(DataError, match="extra column 'cargo_per_head'"):
        Reference.fit(frame(60), derived=PARTS).compare(with_quotient(frame(60)))


@pytest.mark.parametrize(
    ("derived", "words"),
    [
        ({"cargo": ("cargo", "crew")}, "'cargo' is also a column"),
        ({"x": ("cargo", "heads")}, "'heads', which is not a column"),
        ({"x": ("flag", "crew")}, "'flag', which is not numeric"),
        ({"x": ("cargo", "crew"), "y": ("x", "crew")}, "'x', which is not a column"),
    ],
)
def test_what_is_no_ratio_is_named(derived, words):
    with pytest.raises(DataError, match=words):
        Reference.fit(frame(60), derived=derived)


def test_ratios_are_read_from_a_command_line():
    assert parse_ratios(["a=b/c", " d = e f / g=h "]) == {"a": ("b", "c"), "d": ("e f", "g=h")}


@pytest.mark.parametrize("text", ["", "a", "a=", "=b/c", "a=b", "a=b/", "a=/c", "a=b/c/d"])
def test_a_text_that_is_no_ratio_is_named(text):
    with pytest.raises(DataError, match="name=numerator/denominator"):
        parse_ratios([text])


def test_a_ratio_given_twice_is_named():
    with pytest.raises(DataError, match="'a' is given twice"):
        parse_ratios(["a=b/c", "a=c/b"])


def test_a_reference_of_missing_ratios_works():
    nothing = pd.DataFrame({"a": [1.0, 2.0, np.nan], "b": [0.0, np.nan, 1.0]})
    report = Reference.fit(nothing, derived={"c": ("a", "b")}).compare(nothing)
    assert not report.alert


def test_what_is_too_large_to_use_is_missing_on_both_paths():
    wild = frame().assign(cargo=lambda f: f["cargo"].where(f.index % 40 != 1, 1e200))
    data = build_profile(wild, ["flag"], [RATIO])
    streams = Profile.from_bytes(data).streams
    pane = counted(WITH_RATIO, data, predictions(wild))
    assert streams[0].counts[-1] == 10
    assert pane.counts.tolist() == np.concatenate([stream.counts for stream in streams]).tolist()
    assert pane.sums.tolist() == np.concatenate([stream.sums for stream in streams]).tolist()
