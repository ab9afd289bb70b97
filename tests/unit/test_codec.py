"""The codec: every position is accounted for once, good values survive exactly, every bad kind has its reason."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.codec import MAX_RECORD_BYTES, Codec, Reason
from longshore.schema import Field, Kind, Schema, districts

GOOD = {
    "record_id": "r1", "district_id": "d1", "event_time": 1_700_000_000_000, "longitude": -122.2, "latitude": 37.8,
    "housing_median_age": 41.0, "total_rooms": 880.0, "total_bedrooms": 129.0, "population": 322.0,
    "households": 126.0, "median_income": 8.3252, "ocean_proximity": "NEAR BAY",
}  # fmt: skip


def record(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


def without(*names: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key not in names}).encode()


BAD = {
    "tombstone": (None, Reason.EMPTY),
    "empty": (b"", Reason.EMPTY),
    "truncated": (record()[:-7], Reason.NOT_JSON),
    "text": (b"hello", Reason.NOT_JSON),
    "array": (b"[1,2]", Reason.INVALID),
    "number": (b"17", Reason.INVALID),
    "null": (b"null", Reason.INVALID),
    "two records in one value": (record() + record(), Reason.NOT_JSON),
    "half of a record": (record()[1:], Reason.INVALID),
    "csv line": (b"-122.2,37.8,41,880,129,322,126,8.3,NEAR BAY", Reason.INVALID),
    "trailing comma": (record()[:-1] + b",}", Reason.NOT_JSON),
    "byte order mark": (b"\xef\xbb\xbf" + record(), Reason.NOT_JSON),
    "utf-16": (record().decode().encode("utf-16"), Reason.NOT_UTF8),
    "latin-1 in an unknown field": (record()[:-1] + b', "note": "caf\xe9"}', Reason.NOT_UTF8),
    "nested too deeply": (record()[:-1] + b', "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", Reason.NOT_JSON),
    "NaN": (record(median_income=float("nan")), Reason.NOT_JSON),
    "Infinity": (record(median_income=float("inf")), Reason.NOT_JSON),
    "infinite by size": (record().replace(b"880.0", b"1e999"), Reason.INVALID),
    "text for a number": (record(total_rooms="880"), Reason.INVALID),
    "boolean for a number": (record(total_rooms=True), Reason.INVALID),
    "list for a number": (record(total_rooms=[880]), Reason.INVALID),
    "number for a category": (record(ocean_proximity=3), Reason.INVALID),
    "no record_id": (without("record_id"), Reason.INVALID),
    "null record_id": (record(record_id=None), Reason.INVALID),
    "empty record_id": (record(record_id=""), Reason.INVALID),
    "no key": (without("district_id"), Reason.INVALID),
    "no event_time": (without("event_time"), Reason.INVALID),
    "event_time as text": (record(event_time="2026-01-01"), Reason.INVALID),
    "event_time with a fraction": (record(event_time=1.5), Reason.INVALID),
    "negative event_time": (record(event_time=-1), Reason.INVALID),
    "event_time beyond all years": (record(event_time=10**18), Reason.INVALID),
    "latitude out of bounds": (record(latitude=90.01), Reason.INVALID),
    "longitude out of bounds": (record(longitude=-180.5), Reason.INVALID),
    "too large": (record(note="x" * MAX_RECORD_BYTES), Reason.TOO_LARGE),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_value_is_rejected_with_its_reason_and_its_neighbours_survive(kind: str) -> None:
    value, reason = BAD[kind]
    decoded = Codec(districts()).decode([record(record_id="before"), value, record(record_id="after")])
    assert decoded.columns.record_ids == ["before", "after"]
    assert decoded.positions == [0, 2]
    assert [(r.position, r.reason) for r in decoded.rejects] == [(1, reason)]
    assert decoded.rejects[0].message


def test_values_of_different_records_never_flow_together() -> None:
    """Three values whose concatenation would be three valid records are judged one by one."""
    halves = [record()[:-1] + b', "x": [1', b"2]}", record() + b"," + record()]
    decoded = Codec(districts()).decode(halves)
    assert not decoded.positions
    assert [r.position for r in decoded.rejects] == [0, 1, 2]


@pytest.mark.parametrize(
    "value", [record(total_bedrooms=None), without("total_bedrooms")], ids=["null", "absent"]
)  # fmt: skip
def test_a_nullable_feature_may_be_null_or_absent(value: bytes) -> None:
    columns = Codec(districts()).decode([value]).columns
    assert np.isnan(columns.numeric[0, 4])
    assert not np.isnan(np.delete(columns.numeric[0], 4)).any()


def test_an_unknown_category_and_unknown_fields_are_data() -> None:
    columns = Codec(districts()).decode([record(ocean_proximity="LAKESIDE", extra={"a": [1, None]})]).columns
    assert columns.nominal == [["LAKESIDE"]]


def test_a_required_feature_may_be_neither_null_nor_absent() -> None:
    schema = Schema("s", (Field("x", Kind.NUMERIC, nullable=False), Field("c", Kind.NOMINAL)), "id", "y", "s")
    base = {"record_id": "r", "id": "k", "event_time": 1}
    values = [json.dumps(base | more).encode() for more in ({}, {"x": None}, {"x": 1}, {"x": 2, "c": "a"})]
    decoded = Codec(schema).decode(values)
    assert decoded.positions == [2, 3]
    assert decoded.columns.nominal == [[None, "a"]]


numbers = st.none() | st.floats(-1e300, 1e300) | st.integers(-(2**52), 2**52)


@given(st.lists(st.fixed_dictionaries({"a": numbers, "b": numbers, "c": st.none() | st.text(max_size=5)}), max_size=20))
def test_decoding_gives_back_what_was_encoded(rows: list[dict[str, object]]) -> None:
    schema = Schema(
        "s", (Field("a", Kind.NUMERIC), Field("c", Kind.NOMINAL), Field("b", Kind.NUMERIC)), "id", "y", "s"
    )  # fmt: skip
    values = [
        json.dumps({"record_id": str(i), "id": "k", "event_time": i} | row).encode() for i, row in enumerate(rows)
    ]
    decoded = Codec(schema).decode(values)
    assert not decoded.rejects
    expected = np.array([[row["a"], row["b"]] for row in rows], dtype=float).reshape(len(rows), 2)
    np.testing.assert_array_equal(decoded.columns.numeric, expected)
    assert decoded.columns.nominal == [[row["c"] for row in rows]]
    assert decoded.columns.event_times.tolist() == list(range(len(rows)))


@given(st.lists(st.binary(max_size=60) | st.sampled_from([record(), record()[:-1], b"{}"]), max_size=15))
def test_every_position_is_accounted_for_once_and_what_is_accepted_is_json(values: list[bytes]) -> None:
    decoded = Codec(districts()).decode(values)
    assert sorted(decoded.positions + [r.position for r in decoded.rejects]) == list(range(len(values)))
    for position in decoded.positions:
        json.loads(values[position].decode("utf-8"))
