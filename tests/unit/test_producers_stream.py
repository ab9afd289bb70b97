"""Records, labels and times go out exactly as the contracts and the plan say, the same for the same seed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.codec import Codec
from longshore.errors import ConfigurationError
from longshore.producers import chance, malformed, plan
from longshore.producers.csv_source import CsvReplay
from longshore.producers.encode import Clock, Encoder
from longshore.producers.generator import Districts
from longshore.producers.pacing import LARGEST_BLOCK, Pace
from longshore.producers.rows import Source
from longshore.producers.scenarios import Pipeline, parse
from longshore.producers.stream import Labels, Stream
from longshore.schema import Field, Kind, Schema, districts

SCHEMA = districts()
ENGINES = Schema("engines", (Field("speed", Kind.NUMERIC), Field("fuel", Kind.NOMINAL)), "engine", "wear", "engines")
START, STEP = 1_700_000_000_000, 2.5


def stream(
    source: Source | None = None, schema: Schema = SCHEMA, scenarios: tuple[str, ...] = (), **given: Any
) -> Stream:
    source = source or Districts(9)
    pipeline = Pipeline([parse(text) for text in scenarios], schema, source, seed=9)
    plain: dict[str, Any] = {"seed": 9, "labels": Labels(delay=100, missing=0.0)}
    return Stream(schema, source, pipeline, Encoder(schema, "run", Clock(START, STEP)), **(plain | given))


def values(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [json.loads(message["value"]) for message in messages]


def sent(flow: Stream, blocks: list[int]) -> tuple[list[Any], list[Any]]:
    records, labels = [], []
    for size in blocks:
        block = flow.block(size)
        records += block.records
        labels += block.labels
    return records, labels + flow.flush()


def test_a_record_is_exactly_the_topics_contract() -> None:
    message = stream().block(1).records[0]

    value = json.loads(message["value"])

    assert list(value) == [
        "record_id", "district_id", "event_time", "longitude", "latitude", "housing_median_age", "total_rooms",
        "total_bedrooms", "population", "households", "median_income", "ocean_proximity",
    ]  # fmt: skip
    assert message["key"] == value["district_id"].encode()
    assert value["record_id"] == "run-0"


def test_a_label_is_exactly_the_topics_contract_and_has_its_records_key() -> None:
    block = stream(labels=Labels(delay=2, missing=0.0)).block(10)

    value = json.loads(block.labels[3]["value"])
    record = json.loads(block.records[3]["value"])

    assert list(value) == ["record_id", "district_id", "event_time", "observed_at", "label"]
    assert block.labels[3]["key"] == block.records[3]["key"]
    assert [value[name] for name in ("record_id", "district_id", "event_time")] == [
        record[name] for name in ("record_id", "district_id", "event_time")
    ]
    assert value["observed_at"] == START + int(5 * STEP)
    assert value["label"] == Districts(9).rows(3, 1).target[0]


def test_the_codec_takes_every_record_and_missing_is_null() -> None:
    records = stream().block(2_000).records

    decoded = Codec(SCHEMA).decode([record["value"] for record in records])

    assert decoded.rejects == []
    rows = Districts(9).rows(0, 2_000)
    bedrooms = [field.name for field in SCHEMA.numeric].index("total_bedrooms")
    np.testing.assert_array_equal(decoded.columns.numeric[:, bedrooms], rows.columns["total_bedrooms"])
    assert (
        b'"total_bedrooms":null' in records[int(np.flatnonzero(np.isnan(rows.columns["total_bedrooms"]))[0])]["value"]
    )


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=6), delay=st.integers(0, 300))
def test_what_goes_out_does_not_depend_on_the_blocks(cuts: list[int], delay: int) -> None:
    plan_ = {
        "labels": Labels(delay, 0.2),
        "malformed_share": 0.05,
        "scenarios": ("missing-bedrooms:onset=50,ramp=200",),
    }

    assert sent(stream(**plan_), cuts) == sent(stream(**plan_), [sum(cuts)])


@pytest.mark.parametrize("delay", [0, 1, 100])
def test_a_label_goes_out_when_its_record_is_exactly_the_delay_old(delay: int) -> None:
    flow = stream(labels=Labels(delay, 0.0))
    for i in range(150):
        labels = values(flow.block(1).labels)
        assert [label["record_id"] for label in labels] == ([f"run-{i - delay}"] if i >= delay else [])
    assert flow.outstanding == min(delay, 150)
    assert [label["record_id"] for label in values(flow.flush())] == [f"run-{i}" for i in range(150 - delay, 150)]
    assert flow.outstanding == 0


def test_the_missing_share_of_labels_never_comes_and_the_rest_comes_once() -> None:
    records, labels = sent(stream(labels=Labels(500, 0.2)), [20_000])

    ids = [label["record_id"] for label in values(labels)]

    assert len(ids) / len(records) == pytest.approx(0.8, abs=0.01)
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids, key=lambda text: int(text.rpartition("-")[2]))


def test_no_labels_are_no_labels() -> None:
    assert sent(stream(labels=None), [1_000])[1] == []


def test_labels_are_those_before_the_inputs_drifted_and_after_the_prices_did() -> None:
    income = values(sent(stream(scenarios=("income-inflation:factor=2",)), [100])[1])
    prices = values(sent(stream(scenarios=("price-inflation:factor=2",)), [100])[1])
    truth = Districts(9).rows(0, 100).target

    np.testing.assert_allclose([label["label"] for label in income], truth)
    np.testing.assert_allclose([label["label"] for label in prices], 2 * truth)


def test_record_ids_are_unique_and_times_advance_by_the_step() -> None:
    records = values(stream().block(5_000).records)

    assert len({record["record_id"] for record in records}) == 5_000
    assert [record["event_time"] for record in records] == [START + int(i * STEP) for i in range(5_000)]


@pytest.mark.parametrize("schema", [SCHEMA, ENGINES], ids=lambda schema: schema.name)
@pytest.mark.parametrize("number", range(len(malformed.BREAKS)), ids=list(malformed.BREAKS))
def test_the_codec_refuses_every_kind_of_broken_record(number: int, schema: Schema) -> None:
    frame = pd.DataFrame({"speed": [1.0], "fuel": ["gas"], "wear": [2.0], "engine": ["a"]})
    source: Source = Districts(9) if schema is SCHEMA else CsvReplay(frame, ENGINES)
    good = stream(source, schema).block(1).records[0]["value"]

    decoded = Codec(schema).decode([good, malformed.broken(good, number, schema)])

    assert decoded.positions == [0]
    assert [reject.position for reject in decoded.rejects] == [1]


def test_malformed_records_keep_their_keys_and_have_no_labels() -> None:
    flow = stream(malformed_share=0.1, labels=Labels(0, 0.0))
    block = flow.block(5_000)

    rejects = Codec(SCHEMA).decode([record["value"] for record in block.records]).rejects

    assert len(rejects) == block.malformed == pytest.approx(500, abs=80)
    assert len(block.labels) == 5_000 - block.malformed
    assert [record["key"] for record in block.records] == [key.encode() for key in Districts(9).rows(0, 5_000).keys]


# A file


def engines(rows: int) -> pd.DataFrame:
    number = np.arange(rows)
    return pd.DataFrame(
        {"speed": number * 1.0, "fuel": "gas", "wear": number * 2.0, "engine": [str(i) for i in number]}
    )


def test_a_file_is_replayed_once_in_its_order() -> None:
    source = CsvReplay(engines(10), ENGINES)

    assert source.length == 10
    assert source.rows(0, 4).keys.tolist() == ["0", "1", "2", "3"]
    assert source.rows(8, 4).keys.tolist() == ["8", "9"]
    assert len(source.rows(10, 4)) == 0


@given(start=st.integers(0, 60), count=st.integers(1, 40), shuffled=st.booleans())
def test_a_looped_file_has_every_row_once_a_loop_with_its_own_id(start: int, count: int, shuffled: bool) -> None:
    source = CsvReplay(engines(7), ENGINES, loop=True, shuffle_seed=4 if shuffled else None)
    rows, all_rows = source.rows(start, count), source.rows(0, 105)

    assert source.length is None
    assert rows.keys.tolist() == all_rows.keys.tolist()[start : start + count]
    assert rows.index.tolist() == list(range(start, start + count))
    for loop in range(15):
        assert sorted(all_rows.keys[loop * 7 : loop * 7 + 7]) == list("0123456")
    np.testing.assert_array_equal(all_rows.columns["speed"], [float(key) for key in all_rows.keys])


def test_a_shuffle_follows_its_seed_and_differs_between_loops() -> None:
    def order(seed: int) -> list[str]:
        keys: list[str] = CsvReplay(engines(50), ENGINES, loop=True, shuffle_seed=seed).rows(0, 100).keys.tolist()
        return keys

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1)[:50] != order(1)[50:]


def test_another_schemas_rows_go_out_by_its_own_names() -> None:
    flow = stream(CsvReplay(engines(3), ENGINES), ENGINES, labels=Labels(0, 0.0))
    block = flow.block(3)

    assert values(block.records)[2] == {
        "record_id": "run-2", "engine": "2", "event_time": START + 5, "speed": 2.0, "fuel": "gas"
    }  # fmt: skip
    assert values(block.labels)[2]["engine"] == "2"
    assert values(block.labels)[2]["label"] == 4.0


def test_a_row_without_a_truth_has_no_label() -> None:
    frame = engines(3).assign(wear=[1.0, np.nan, 3.0])

    labels = values(sent(stream(CsvReplay(frame, ENGINES), ENGINES, labels=Labels(0, 0.0)), [3])[1])

    assert [label["record_id"] for label in labels] == ["run-0", "run-2"]


# Chances, pace and plan


def test_chances_are_uniform_and_independent_of_one_another() -> None:
    index = np.arange(200_000)
    first, second = chance.uniform(1, "a", index), chance.uniform(1, "b", index)

    assert first.min() >= 0
    assert first.max() < 1
    assert np.abs(np.sort(first) - (index + 0.5) / len(index)).max() < 0.005
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.01
    assert not np.array_equal(first, chance.uniform(2, "a", index))


@given(rate=st.floats(0.01, 1e6), sent_records=st.integers(0, 10**7), elapsed_s=st.floats(0, 1e6))
def test_record_i_is_due_at_i_over_rate(rate: float, sent_records: int, elapsed_s: float) -> None:
    pace = Pace(rate)

    assert pace.wait_s(sent_records, elapsed_s) == pytest.approx(max(0, sent_records / rate - elapsed_s))
    assert 1 <= pace.block <= LARGEST_BLOCK


def test_without_a_rate_nothing_waits() -> None:
    assert Pace(None).wait_s(10**9, 0.0) == 0.0


@pytest.mark.parametrize(
    ("text", "step_ms", "expected"),
    [("0", 10, 0), ("500", 10, 500), ("30s", 10, 3_000), ("30s", 7, 4_286), ("2m", 1_000, 120), ("0.1s", 10, 10)],
)
def test_a_delay_is_records_or_event_time(text: str, step_ms: float, expected: int) -> None:
    assert plan.delay_records(text, step_ms) == expected


@pytest.mark.parametrize(("text", "step_ms"), [("", 1), ("-5", 1), ("5.5", 1), ("3 weeks", 1), ("soon", 1), ("3s", 0)])
def test_a_wrong_delay_is_refused(text: str, step_ms: float) -> None:
    with pytest.raises(ConfigurationError, match="--label-delay"):
        plan.delay_records(text, step_ms)


def test_event_time_never_lies_in_the_future_of_a_run_that_ends() -> None:
    now = 1_700_000_000_000
    unpaced = plan.event_start_ms(None, now, paced=False, count=1_000, step_ms=2.5)

    assert Clock(unpaced, 2.5).at(np.array([999]))[0] <= now
    assert plan.event_start_ms(None, now, paced=True, count=1_000, step_ms=2.5) == now
    assert plan.event_start_ms(None, now, paced=False, count=None, step_ms=2.5) == now


@pytest.mark.parametrize(
    "text", ["1700000000000", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20", "2023-11-14T23:13:20+01:00"]
)
def test_an_event_start_is_ms_or_iso(text: str) -> None:
    assert plan.event_start_ms(text, 0, paced=False, count=1, step_ms=1) == 1_700_000_000_000


@pytest.mark.parametrize("text", ["yesterday", "1969-01-01", "999999999999999", "-1"])
def test_a_wrong_event_start_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--event-start"):
        plan.event_start_ms(text, 0, paced=False, count=1, step_ms=1)


def test_the_step_is_real_time_at_a_rate_and_ten_milliseconds_without() -> None:
    assert plan.event_step_ms(None, None) == 10
    assert plan.event_step_ms(None, 400) == 2.5
    assert plan.event_step_ms(7, 400) == 7


def test_a_run_id_is_the_given_one_or_differs_from_start_to_start() -> None:
    assert plan.run_id("night.1", 5, 123) == "night.1"
    assert plan.run_id(None, 5, 123) != plan.run_id(None, 5, 124)
    with pytest.raises(ConfigurationError, match="--run-id"):
        plan.run_id("a b", 5, 123)
