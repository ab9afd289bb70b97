"""Faults of the data are named, drift is not taken for one, and without either nothing is told."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.drift_stream import profile_bytes, rows

from longshore.monitor.binning import count_columns
from longshore.monitor.identities import IdSketch, hashed
from longshore.monitor.models import Watched
from longshore.monitor.quality.chance import at_least, least_unlikely
from longshore.monitor.quality.faults import ALL, FaultKind
from longshore.monitor.quality.judge import Contents, QualityRules, faults_of, level, pooled, volume
from longshore.monitor.quality.units import FACTORS, factor_text
from longshore.schema import Kind

RULES = QualityRules()
WATCHED = cache(lambda: Watched.of(profile_bytes()))


def contents(frame, ids=None, aside=(0, 0, 0)):
    streams = WATCHED().profile.streams
    columns = [_column(frame[stream.name], stream.kind) for stream in streams]
    _, counts, sums = count_columns(streams, columns)
    return Contents(WATCHED(), len(frame), counts, sums, ids, aside)


def _column(series, kind):
    if kind is Kind.NUMERIC:
        return series.to_numpy(dtype=np.float64)
    return [None if pd.isna(value) else value for value in series]


def found(frame, rules=RULES, **given):
    return faults_of(contents(frame, **given), rules)


def names(faults):
    return {fault.name for fault in faults}


def struck(share, count=1_000, seed=3):
    """A window and which of its rows are hit."""
    return rows(count, seed), np.random.default_rng(seed + 100).random(count) < share


def changed(column, change, share, **given):
    frame, hit = struck(share, **given)
    frame[column] = frame[column].where(~hit, change(frame[column]))
    return frame


FAULTS = {
    "unit x 1000": ("cargo", lambda values: values * 1_000, FaultKind.UNIT, "1,000"),
    "unit x 1/100": ("cargo", lambda values: values / 100, FaultKind.UNIT, "1/100"),
    "unit x 60": ("crew", lambda values: values * 60, FaultKind.UNIT, "60"),
    "all null": ("crew", lambda values: values * np.nan, FaultKind.MISSING, ""),
    "nominal null": ("flag", lambda values: values.map(lambda _: None), FaultKind.MISSING, ""),
    "frozen": ("cargo", lambda values: values * 0 + values.iloc[0], FaultKind.FROZEN, None),
    "frozen number": ("crew", lambda values: values * 0 + 17, FaultKind.FROZEN, "17"),
    "a code for unknown": ("cargo", lambda values: values * 0 - 999, FaultKind.OUT_OF_RANGE, ""),
    "a code nearby": ("crew", lambda values: values * 0 - 1, FaultKind.OUT_OF_RANGE, ""),
    "typo": ("flag", lambda values: values.replace("LR", "lr"), FaultKind.TYPO, "LR"),
}


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_stream_and_nothing_else_is(fault, share):
    column, change, kind, about = FAULTS[fault]
    for seed in range(4):
        (told,) = found(changed(column, change, share, seed=seed))
        assert told.name == (kind.value, column)
        if about is not None and not (about == "60" and share < 1):  # from 57.3 (degrees) a part cannot tell it
            assert told.about == about
        assert told.p_value < 1e-6
        assert told.share > told.bound or kind is FaultKind.UNIT
        assert column in told.text


def test_one_category_everywhere_stands_still_and_one_never_heard_of_is_unseen():
    frame = rows(1_000, 1)
    assert names(found(frame.assign(flag="LR"))) == {("frozen", "flag")}
    new = np.random.default_rng(0).random(1_000) < 0.1
    assert names(found(frame.assign(flag=frame["flag"].where(~new, "XX")))) == {("unseen", "flag")}


def test_of_few_values_a_small_part_at_one_place_may_be_drift():
    """The values beside it could have moved as far without being noticed; of more values they could not."""

    def still(count, stuck, seed):
        frame = rows(count, seed)
        return found(frame.assign(cargo=frame["cargo"].where(np.arange(count) >= stuck, frame["cargo"].iloc[0])))

    for seed in range(20):
        assert still(60, 9, seed) == []
        assert names(still(60, 36, seed)) == names(still(1_500, 270, seed)) == {("frozen", "cargo")}


def test_values_that_all_lie_just_outside_of_the_reference_are_drift():
    (edges,) = [stream.edges for stream in WATCHED().profile.streams if stream.name == "cargo"]
    beyond = edges[-1] + (edges[-1] - edges[0]) * np.linspace(0.1, 0.6, 200)
    assert found(rows(200, 8).assign(cargo=beyond)) == []


@pytest.mark.parametrize("factor", [1.1, 1.25, 1.4, 1.6, 2.0, 0.7, 0.5])
@pytest.mark.parametrize("count", [200, 1_000])
def test_drift_of_numbers_is_no_fault(factor, count):
    for seed in range(6):
        assert found(rows(count, 40 + seed, factor=factor)) == []


def test_drift_of_shares_is_no_fault():
    frame = rows(3_000, 5)
    leaving = (frame["flag"] == "PA") & (np.random.default_rng(1).random(3_000) < 0.6)
    kept = frame[~leaving].iloc[:1_000]
    assert found(kept) == []
    assert found(frame[frame["cargo"] > 20].iloc[:1_000]) == []
    stretched = rows(1_000, 6)
    assert found(stretched.assign(crew=stretched["crew"] * 1.2)) == []
    assert found(stretched.assign(crew=stretched["crew"] + 6)) == []


def test_without_a_fault_nothing_is_told():
    """The stated rate is one window in a thousand at most; 100 windows, of which at most one may be told."""
    told = [found(rows(int(size), 1_000 + i)) for i, size in enumerate(np.geomspace(100, 4_000, 100))]
    assert sum(map(bool, told)) <= 1


def test_a_window_errs_by_its_part_of_the_run_length():
    held = contents(rows(1_000, 1))
    tests = 4 * 3 + 3 + 1
    assert level(held, RULES) == pytest.approx(1_000 / 1_000_000 / tests)
    assert level(held, QualityRules(run_length=1_000)) == pytest.approx(0.05 / tests)


def test_repeated_records_are_told_and_a_few_are_not():
    frame = rows(1_000, 2)
    distinct = [f"r{i}" for i in range(1_000)]
    assert found(frame, ids=IdSketch.of(hashed(distinct))) == []
    assert found(frame, ids=IdSketch.of(hashed([*distinct[:980], *distinct[:20]]))) == []
    (told,) = found(frame, ids=IdSketch.of(hashed([*distinct[:700], *distinct[:300]])))
    assert told.name == ("duplicates", ALL)
    assert told.share == pytest.approx(0.3, abs=0.03)


def test_what_was_set_aside_has_fixed_bounds():
    frame = rows(1_000, 2)
    assert found(frame, aside=(200, 5, 5)) == []
    assert names(found(frame, aside=(400, 0, 0))) == {("late", ALL)}
    assert names(found(frame, aside=(0, 30, 30))) == {("future", ALL), ("unreadable", ALL)}


def test_what_follows_from_a_fault_is_not_told_twice():
    frame = changed("cargo", lambda values: values * 1_000, 1.0)
    frame["prediction"] = frame["prediction"] * 1_000
    assert names(found(frame)) == {("unit", "cargo")}
    frame["crew"] = frame["crew"] * 1_000
    assert names(found(frame, QualityRules(sources={"crew": ("cargo", "flag")}))) == {("unit", "cargo")}
    assert names(found(frame)) == {("unit", "cargo"), ("unit", "crew")}
    alone = rows(1_000, 3).assign(prediction=4.0)
    assert names(found(alone)) == {("frozen", "prediction")}


def test_what_is_ignored_is_not_told():
    frame = changed("crew", lambda values: values * np.nan, 1.0)
    for ignored in ("missing", "crew.missing"):
        assert found(frame, QualityRules(ignored=frozenset({ignored}))) == []
    assert found(frame, QualityRules(ignored=frozenset({"cargo.missing", "unit"})))


def test_the_rate_is_judged_by_the_windows_before():
    usual = [10.0, 11.0, 9.0, 10.0] * 5
    assert volume(usual[:19], 1_000.0) == []
    assert volume(usual, 150.0) == [] and volume(usual, 0.6) == []
    assert [fault.kind for fault in volume(usual, 250.0)] == ["volume"]
    assert [fault.kind for fault in volume(usual, 0.4)] == ["volume"]


def test_a_factor_is_written_as_people_write_it():
    assert [factor_text(factor) for factor in (1_000.0, 1 / 3.28084, 1e9, 0.01)] == [
        "1,000", "1/3.28084", "1,000,000,000", "1/100",
    ]  # fmt: skip
    assert len(np.unique(FACTORS)) == len(FACTORS)


@given(st.integers(1, 300), st.integers(1, 3_000), st.data())
def test_the_exact_test_is_the_hypergeometric_tail(rows_now, reference_rows, data):
    k = data.draw(st.integers(0, rows_now))
    k0 = data.draw(st.integers(0, reference_rows))
    expected = stats.hypergeom.sf(k - 1, rows_now + reference_rows, k + k0, rows_now)
    assert at_least(k, rows_now, k0, reference_rows) == pytest.approx(expected, rel=1e-6, abs=1e-14)


@given(st.integers(1, 200), st.integers(1, 2_000), st.integers(0, 50))
def test_the_least_unlikely_number_is_the_first_below_the_limit(rows_now, reference_rows, k0):
    at = least_unlikely(1e-3, rows_now, min(k0, reference_rows), reference_rows)
    if at <= rows_now:
        assert at_least(at, rows_now, min(k0, reference_rows), reference_rows) <= 1e-3
    assert at_least(at - 1, rows_now, min(k0, reference_rows), reference_rows) > 1e-3


def test_windows_that_had_an_unknown_category_tell_together_whether_it_is_a_typo():
    """A twentieth in each: a window alone may take one for the other, eight hardly do."""

    def told(change, seed):
        random, before = np.random.default_rng(seed), {}
        for at in range(8):
            frame = rows(1_000, 100 * seed + at)
            hit = change(frame["flag"], random.random(1_000))
            held = contents(frame.assign(flag=frame["flag"].where(~hit, "XX")))
            found = faults_of(replace(held, before=before), RULES)
            before = pooled(replace(held, before=before), found)
        return names(found)

    for seed in range(5):
        assert told(lambda _, chance: chance < 0.05, seed) == {("unseen", "flag")}
        assert told(lambda flags, chance: (flags == "NO") & (chance < 0.25), seed) == {("typo", "flag")}
