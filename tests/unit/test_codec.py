"""The codec: every position is accounted for once, good values survive exactly, every bad kind has its reason."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.malformed_corpus import BAD, GOOD_ENOUGH, extra, record, without

from longshore.codec import MAX_KEY_BYTES, Codec, Reason
from longshore.schema import Field, Kind, Schema, districts


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_value_is_rejected_with_its_reason_and_its_neighbours_survive(kind: str) -> None:
    value, reason = BAD[kind]
    decoded = Codec(districts()).decode([record(record_id="before"), value, record(record_id="after")])
    assert decoded.columns.record_ids == ["before", "after"]
    assert decoded.positions == [0, 2]
    assert [(r.position, r.reason) for r in decoded.rejects] == [(1, reason)]
    assert decoded.rejects[0].message


@pytest.mark.parametrize("kind", GOOD_ENOUGH)
def test_a_value_that_only_looks_wrong_is_decoded_to_what_it_says(kind: str) -> None:
    value, fields = GOOD_ENOUGH[kind]
    decoded = Codec(districts()).decode([value])
    assert not decoded.rejects
    columns, schema = decoded.columns, districts()
    assert (columns.record_ids, columns.keys) == ([fields["record_id"]], [fields["district_id"]])
    assert columns.event_times.tolist() == [fields["event_time"]]
    assert columns.nominal == [[fields[field.name]] for field in schema.nominal]
    expected = np.array([[fields[field.name] for field in schema.numeric]], dtype=np.float64)
    assert columns.numeric.tobytes() == expected.tobytes(), "not the same bits (minus zero and NaN among them)"


def test_the_corpus_is_large_and_its_kinds_differ() -> None:
    assert len({value for value, _ in BAD.values()}) == len(BAD) >= 60
    assert len({value for value, _ in GOOD_ENOUGH.values()}) == len(GOOD_ENOUGH) >= 40


def at_depth(frames: int, value: bytes) -> bool:
    """Whether the codec accepts a value when it is called from a stack deeper by `frames`."""
    return at_depth(frames - 1, value) if frames else bool(Codec(districts()).decode([value]).positions)


def test_whether_a_nested_record_is_accepted_does_not_depend_on_who_asks() -> None:
    """A prediction embeds its record one level deeper, and the monitor reads it from another stack."""
    values = [extra(b"[" * depth + b"]" * depth) for depth in range(20, 1_000, 20)]
    assert [at_depth(0, value) for value in values] == [at_depth(300, value) for value in values]


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


def test_a_key_too_long_for_a_prediction_is_a_reject_of_its_own() -> None:
    keys = [b"k", None, b"k" * (MAX_KEY_BYTES + 1), b"k" * MAX_KEY_BYTES]
    decoded = Codec(districts()).decode([record(record_id=str(i)) for i in range(4)], keys)
    assert decoded.positions == [0, 1, 3]
    assert [(reject.position, reject.reason) for reject in decoded.rejects] == [(2, Reason.TOO_LARGE)]
    assert "the key has 65537 bytes" in decoded.rejects[0].message
