"""What columns of odd types become: numbers, texts, or an error in one line; never another's traceback."""

import datetime
import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from longshore.cli.drift_files import read_frame
from longshore.errors import DataError
from longshore.monitor import Reference
from longshore.monitor.frames import read_as, read_columns
from longshore.schema import Kind

DAYS = [datetime.date(2024, 1, 1), None, datetime.date(2024, 1, 3)]
DAY_NS = 86_400 * 10**9


def column(values):
    (found,) = read_columns(pd.DataFrame({"x": values}))
    return found.kind, found.values.tolist()


@pytest.mark.parametrize("dtype", [pa.date32(), pa.date64(), pa.timestamp("s")])
def test_arrows_dates_are_numbers(dtype):
    kind, values = column(pd.array(DAYS, dtype=pd.ArrowDtype(dtype)))
    assert kind is Kind.NUMERIC
    assert values[2] - values[0] == 2 * DAY_NS
    assert np.isnan(values[1])


def test_arrows_durations_are_numbers():
    kind, values = column(pd.array([datetime.timedelta(1), None], dtype=pd.ArrowDtype(pa.duration("s"))))
    assert (kind, values[0], np.isnan(values[1])) == (Kind.NUMERIC, DAY_NS, True)


def test_integers_that_no_float_holds_are_missing_as_infinities_are():
    kind, values = column([10**400, -(10**400), None, 7])
    assert kind is Kind.NUMERIC
    assert np.isnan(values[:3]).all()
    assert values[3] == 7


def test_complex_numbers_lose_nothing():
    kind, values = column(np.array([1 + 1j, 1 - 1j]))
    assert (kind, len(set(values))) == (Kind.NOMINAL, 2)
    with pytest.raises(DataError, match="complex"):
        read_as(pd.DataFrame({"x": np.array([1 + 1j])}), [("x", Kind.NUMERIC)])


@pytest.mark.parametrize("data", [pd.Series([1.0], name="x"), {"x": [1.0]}, np.ones((2, 1)), None])
def test_what_is_no_frame_is_named(data):
    with pytest.raises(DataError, match=f"the data is a {type(data).__name__}"):
        Reference.fit(data)


ODD = {
    "nothing but nulls": pd.DataFrame({"x": [np.nan] * 30, "c": [None] * 30}),
    "objects that are null": pd.DataFrame({"x": pd.Series([None] * 30, dtype=object), "c": ["a"] * 30}),
    "infinities": pd.DataFrame({"x": [np.inf, -np.inf] * 15, "c": ["a", "b"] * 15}),
    "constants": pd.DataFrame({"x": [1.0] * 30, "c": ["a"] * 30}),
    "one row": pd.DataFrame({"x": [1.0], "c": ["a"]}),
    "fewer rows than bins": pd.DataFrame({"x": [1.0, 2.0, 3.0], "c": list("abc")}),
    "booleans": pd.DataFrame({"x": [True, False] * 15, "c": pd.array([True, None] * 15, dtype="boolean")}),
    "things": pd.DataFrame({"x": [[1], {"a": 2}, None] * 10, "c": [1, "a", 2.5] * 10}),
    "times": pd.DataFrame({"x": pd.date_range("2024", periods=30), "c": pd.period_range("2024", periods=30)}),
    "names": pd.DataFrame({"größe ☃": range(30), ("a", 1): ["\x00", ""] * 15}),
    "subnormals": pd.DataFrame({"x": np.linspace(-1e-310, 1e-310, 30), "c": pd.Categorical([1, 2, 3] * 10)}),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.filterwarnings("error")
def test_an_odd_frame_is_judged_against_itself_without_an_alert(name):
    report = Reference.fit(ODD[name]).compare(ODD[name])
    assert not report.alert
    assert all(0 <= stream.p_value <= 1 for stream in report.streams)


@pytest.mark.parametrize("name", ["infinities", "things"])
@pytest.mark.filterwarnings("error")
def test_an_odd_frame_is_judged_together_and_watched_without_a_traceback(name):
    frame = pd.concat([ODD[name]] * 4, ignore_index=True)
    reference = Reference.fit(frame)
    joint = reference.compare(frame, joint=True).joint
    assert (joint.alert, joint.reason) == (False, "")
    assert "not enough data" in reference.compare(frame[:1], joint=True).joint.reason
    watch = reference.watch(step=10)
    assert len(watch.add(frame)) == 12 and watch.add(frame[:1]) == []
    assert not any(seen.alert for seen in watch.add(frame))
    with pytest.raises(DataError, match="no rows"):
        watch.add(frame[:0])
    assert len(reference.with_rows().sample) == 120


@pytest.mark.filterwarnings("error")
def test_a_column_that_was_never_there_alarms_when_it_is_and_the_other_way_round():
    full, none = (pd.DataFrame({"x": values}) for values in (np.arange(300.0), np.full(300, np.nan)))
    assert Reference.fit(none).compare(full).alert
    assert Reference.fit(full).compare(none).alert


def test_rows_with_more_fields_than_the_header_are_not_shifted_into_other_columns(tmp_path):
    (tmp_path / "wide.csv").write_text("x,c\n1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match="more fields"):
        read_frame(tmp_path / "wide.csv")


def test_a_damaged_archive_is_named(tmp_path):
    packed = bytearray(gzip.compress(b"x\n" + b"".join(b"%d\n" % (i * 7919 % 1000) for i in range(5_000))))
    packed[200:260] = bytes(60)
    (tmp_path / "damaged.csv.gz").write_bytes(packed)
    with pytest.raises(DataError, match="cannot be read as CSV"):
        read_frame(tmp_path / "damaged.csv.gz")
