"""`Reference.fit(...).compare(...)` on any DataFrame: its numbers, its error rate, and its refusals."""

from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from longshore.errors import ConfigurationError, DataError
from longshore.monitor import Reference
from longshore.monitor.layout import Layout
from longshore.monitor.significance import null_for, outside_p
from longshore.profile import Profile
from longshore.schema import Kind


def people(rows, seed):
    random = np.random.default_rng(seed)
    income = random.lognormal(1.2, 0.5, rows)
    rooms = np.round(income * 300 * random.lognormal(0, 0.4, rows))
    rooms[random.random(rows) < 0.02] = np.nan
    place = random.choice(["coast", "inland", "island"], rows, p=[0.6, 0.399, 0.001])
    return pd.DataFrame({"income": income, "rooms": rooms, "age": random.integers(1, 52, rows), "place": place})


@pytest.fixture(scope="module")
def reference():
    return Reference.fit(people(6_000, 0))


def test_metrics_equal_scipy_on_the_same_samples(reference):
    frame = people(1_000, 1)
    frame["income"] *= 1.1
    streams = {stream.name: stream for stream in reference.compare(frame).streams}
    base = people(6_000, 0)
    for name in ("income", "rooms", "age"):
        p, q = base[name].dropna(), frame[name].dropna()
        expected = stats.wasserstein_distance(p, q)
        assert streams[name].wasserstein == pytest.approx(expected, abs=1e-9)
        assert streams[name].wasserstein_sigma == pytest.approx(expected / np.std(p), abs=1e-9)
        assert streams[name].ks == pytest.approx(stats.ks_2samp(p, q).statistic, abs=1e-9)
        assert streams[name].ks_p_value == pytest.approx(stats.ks_2samp(p, q).pvalue, abs=1e-9)
    bins = streams["place"].bins
    p, q = np.array(bins.reference) / sum(bins.reference), np.array(bins.current) / sum(bins.current)
    assert streams["place"].wasserstein == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-9)
    smoothed = [(np.array(side) + 0.5) / (sum(side) + len(side) / 2) for side in (bins.reference, bins.current)]
    assert streams["place"].kl == pytest.approx(stats.entropy(smoothed[1], smoothed[0]), abs=1e-9)


def test_equal_data_is_at_distance_zero(reference):
    report = reference.compare(people(6_000, 0))
    assert not report.alert
    for stream in report.streams:
        assert (stream.psi, stream.kl, stream.js, stream.wasserstein, stream.ks) == (0, 0, 0, 0, 0)


def test_family_wise_error_is_what_alpha_says(reference):
    windows = [reference.compare(people(500, 100 + seed)) for seed in range(200)]
    assert sum(report.alert for report in windows) <= 20  # 5 % of 200, and three standard deviations
    assert sum(report.p_value < 0.5 for report in windows) >= 60  # and not by never firing


def test_a_real_shift_alerts_and_ranks_first(reference):
    frame = people(1_000, 3)
    frame["income"] *= 1.25
    report = reference.compare(frame, alpha=0.001)
    assert report.alert
    assert report.streams[0].name == "income"
    assert report.streams[0].alert
    assert report.streams[0].p_value < 1e-6
    assert not report.reference_limited


def test_an_effect_below_the_floor_does_not_alert_however_significant():
    random = np.random.default_rng(0)
    big = Reference.fit(pd.DataFrame({"x": random.normal(size=400_000)}))
    report = big.compare(pd.DataFrame({"x": random.normal(0.012, 1, size=400_000)}))
    assert report.p_value < 0.05
    assert not report.alert


def test_a_single_outlier_does_not_alert(reference):
    frame = people(1_000, 4)
    frame.loc[0, "income"] = 1e12
    assert not reference.compare(frame, alpha=0.001).alert


def test_the_outside_tests_p_value_is_the_count_of_orders_of_all_values_but_one():
    layout = Layout.of([np.array([0, 1, 2, 3])], [Kind.NUMERIC])
    for m, n, k in [(10, 7, 3), (100, 30, 4), (9_800, 1_000, 5), (5, 5, 5), (2, 9, 9), (300, 2_000, 40)]:
        ways = sum((j + 1) * comb(m + n - j - 2, m - 2) for j in range(k, n + 1))
        found = outside_p(layout, np.array([0, m, 0, 3]), np.array([1, n - k, k, 0]))
        assert found == pytest.approx([ways / comb(m + n, m)], rel=1e-6)


def test_two_values_outside_are_outliers_and_four_are_not():
    frame = pd.DataFrame({"x": np.arange(5_000.0), "s": ["a"] * 5_000})
    far = Reference.fit(frame)
    few = pd.DataFrame({"x": np.r_[np.linspace(0, 4_999, 98), 1e9, -1e9], "s": "a"})
    assert not far.compare(few).alert
    some = pd.DataFrame({"x": np.r_[np.linspace(0, 4_999, 96), 1e9, 2e9, -1e9, -2e9], "s": "a"})
    report = far.compare(some)
    assert [(stream.name, stream.outside) for stream in report.streams if stream.alert] == [("x", 0.04)]
    assert report.streams[0].psi < 0.05


def test_values_outside_are_nothing_where_the_reference_had_no_value():
    report = Reference.fit(pd.DataFrame({"x": [np.nan] * 50, "y": range(50)})).compare(
        pd.DataFrame({"x": [np.nan] * 50, "y": range(50)})
    )
    assert [stream.outside for stream in report.streams] == [0, 0]


def test_a_profile_without_bins_for_what_is_outside_has_no_such_test():
    """Profiles of before: the outermost test bins hold rows."""
    layout = Layout.of([np.array([0, 1, 2])], [Kind.NUMERIC])
    assert outside_p(layout, np.array([10, 20, 0]), np.array([500, 0, 0])) == [1]


@pytest.mark.parametrize("fault", ["missing", "frozen", "unit", "unseen"])
def test_faults_alert(reference, fault):
    frame = people(1_000, 5)
    if fault == "missing":
        frame["rooms"] = np.nan
    elif fault == "frozen":
        frame["age"] = 20
    elif fault == "unit":
        frame["income"] *= 1_000
    else:
        frame["place"] = "moon"
    report = reference.compare(frame, alpha=0.001)
    assert report.alert
    assert [stream.name for stream in report.streams if stream.alert] == [
        {"missing": "rooms", "frozen": "age", "unit": "income", "unseen": "place"}[fault]
    ]


def test_every_kind_of_column_is_taken():
    n = 300
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "nulls": pd.array([None, 1, 2] * (n // 3), dtype="Int64"),
            "all_null": [None] * n,
            "all_nan": [np.nan] * n,
            "constant": [3] * n,
            "flag": random.random(n) < 0.5,
            "text": [f"t{i % 4}" for i in range(n)],
            "mixed": [1, 2.5, None] * (n // 3),
            "category": pd.Categorical([f"k{i % 3}" for i in range(n)]),
            "infinite": np.where(random.random(n) < 0.1, np.inf, random.random(n)),
            "when": pd.date_range("2020", periods=n),
            "code": random.integers(0, 3, n),
            "id": [f"id-{i}" for i in range(n)],
        }
    )
    reference = Reference.fit(frame, categorical=["code"])
    report = reference.compare(frame)
    assert not report.alert
    kinds = {stream.name: stream.kind for stream in report.streams}
    assert kinds["code"] == kinds["flag"] == kinds["text"] == kinds["category"] == kinds["id"] == "nominal"
    assert kinds["nulls"] == kinds["mixed"] == kinds["when"] == kinds["infinite"] == "numeric"
    assert report.to_dict()["streams"][0].keys() >= {"name", "kind", "alert", "p_value", "psi", "bins"}
    assert not reference.compare(frame.iloc[:1]).alert


def test_a_category_is_the_same_with_and_without_nulls_beside_it():
    whole = pd.DataFrame({"code": [1, 2] * 100})
    with_null = pd.DataFrame({"code": [1.0, 2.0] * 99 + [1.0, None]})
    stream = Reference.fit(whole, categorical=["code"]).compare(with_null).streams[0]
    assert stream.bins.current == [100, 99, 0, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="age"), "missing column 'age'"),
        (lambda f: f.assign(more=1), "extra column 'more'"),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.assign(income="text"), "'income' is numeric in the reference"),
    ],
)
def test_what_cannot_be_compared_is_named(reference, change, words):
    with pytest.raises(DataError, match=words):
        reference.compare(change(people(50, 0)))


def test_what_cannot_be_fitted_is_named():
    with pytest.raises(DataError, match="no rows"):
        Reference.fit(pd.DataFrame({"x": []}))
    with pytest.raises(DataError, match="no columns"):
        Reference.fit(pd.DataFrame())
    with pytest.raises(DataError, match="no such categorical column: 'y'"):
        Reference.fit(pd.DataFrame({"x": [1.0]}), categorical=["y"])
    with pytest.raises(DataError, match="twice"):
        Reference.fit(pd.DataFrame([[1, 2]], columns=["x", "x"]))


def test_a_tiny_reference_works():
    for rows in (1, 2, 3, 10):
        frame = pd.DataFrame({"x": np.arange(rows, dtype=float), "c": ["a"] * rows})
        report = Reference.fit(frame).compare(frame)
        assert not report.alert
        assert report.reference_limited


def test_a_profile_survives_its_bytes_and_fitting_is_deterministic(reference):
    data = reference.profile.to_bytes()
    assert Profile.from_bytes(data).to_bytes() == data
    assert Reference.fit(people(6_000, 0)).profile.to_bytes() == data


def test_a_shift_in_one_segment_is_found_there():
    frame = people(8_000, 20).assign(east=np.random.default_rng(1).normal(size=8_000))
    frame = frame.assign(north=np.random.default_rng(2).normal(size=8_000))
    reference = Reference.fit(frame.iloc[:6_000], place=("east", "north"))
    moved = frame.iloc[6_000:].copy()
    moved.loc[moved["place"] == "inland", "income"] *= 1.3
    first = reference.compare(moved).segments[0]
    assert (first.segmentation, first.segment, first.stream) == ("place", "inland", "income")
    assert first.p_value < 1e-6
    assert first.share == pytest.approx(0.4, abs=0.05)
    moved = frame.iloc[6_000:].copy()
    north_east = (moved["east"] > 0.68) & (moved["north"] > 0.68)
    moved.loc[north_east, "age"] = 50
    first = reference.compare(moved).segments[0]
    assert (first.segmentation, first.stream) == ("map", "age")
    assert Profile.from_bytes(reference.profile.to_bytes()).to_bytes() == reference.profile.to_bytes()


def test_a_place_must_be_two_numbers(reference):
    with pytest.raises(DataError, match="place names 'place'"):
        Reference.fit(people(100, 0), place=("income", "place"))


@pytest.mark.parametrize("rows", [1, 11, 55, 68, 95])
def test_one_category_never_alerts_on_itself(rows):
    reference = Reference.fit(pd.DataFrame({"only": ["x"] * 97}))
    report = reference.compare(pd.DataFrame({"only": ["x"] * rows}))
    assert not report.alert
    assert report.p_value == 1


def test_numbers_near_the_largest_are_missing_and_the_profile_is_readable():
    reference = Reference.fit(pd.DataFrame({"x": np.r_[np.arange(200.0), 1.797e308, -1.797e308]}))
    assert Profile.from_bytes(reference.profile.to_bytes()).streams[0].counts[-1] == 2
    assert np.isfinite(reference.compare(pd.DataFrame({"x": [1.0, 1.7e308]})).streams[0].wasserstein)


def test_dates_are_compared_whatever_their_resolution():
    days = pd.date_range("2020", periods=500, freq="h")
    report = Reference.fit(pd.DataFrame({"when": days})).compare(pd.DataFrame({"when": days.astype("datetime64[us]")}))
    assert not report.alert


def test_the_adjusted_p_value_never_falls_as_the_single_one_rises():
    random = np.random.default_rng(0)
    same = random.normal(size=(200, 1)) + 0.1 * random.normal(size=(200, 30))
    calibration = Reference.fit(pd.DataFrame(same)).profile.calibration
    for rows in (25, 100, 700):
        adjusted = null_for(calibration, rows).adjusted(np.geomspace(1.0, 1e-14, 500))
        assert np.all(np.diff(adjusted) <= 0)
        assert adjusted.max() <= 1


@pytest.mark.parametrize("given", [{"step": 0}, {"step": 2.5}, {"run_length": -5}, {"persistence": (3,)}])
def test_a_watch_that_cannot_be_is_named(reference, given):
    with pytest.raises(ConfigurationError, match=r"step is|run_length is"):
        reference.watch(**given)


@pytest.mark.parametrize(("rows", "judged"), [(1, False), (49, False), (50, True)])
def test_beside_a_reference_of_a_few_rows_nothing_is_judged_and_it_is_said(rows, judged):
    report = Reference.fit(people(rows, 1)).compare(people(500, 2).assign(income=1e6))
    assert report.alert is judged
    counted = f"{rows} rows" if rows > 1 else "1 row"
    told = "" if judged else f"not enough data: the reference has {counted}, at least 50 are needed"
    assert report.to_dict()["not_enough_data"] == report.not_enough_data() == told
