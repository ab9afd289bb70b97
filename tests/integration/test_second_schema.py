"""Nothing of the loop is about housing: turbines, from a TOML file and a CSV, through every service to a new model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from tests.services import Services, services
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.reader import read_all
from longshore.local.stack import Endpoints
from longshore.schema import load_schema
from longshore.topics import Topics

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SCHEMA = """
name = "turbines"
topic = "turbine-readings"
key = "turbine"
target = "power"
fields = [
  { name = "wind", kind = "numeric", nullable = false, minimum = 0, maximum = 80 },
  { name = "pitch", kind = "numeric", minimum = -10, maximum = 90 },
  { name = "temperature", kind = "numeric" },
  { name = "maker", kind = "nominal", categories = ["A", "B", "C"] },
]
"""
START, STEP_MS = 1_700_000_000_000, 10
CALM, MOVED = 2_500, 5_000
VARIABLES = {
    "LONGSHORE_MONITOR__PANE_S": "1",
    "LONGSHORE_MONITOR__ALLOWED_LATENESS_S": "1",
    "LONGSHORE_MONITOR__WINDOW_RECORDS": "500",
    "LONGSHORE_MONITOR__MIN_FRESH_LABELS": "500",
    "LONGSHORE_MONITOR__COMMIT_INTERVAL_S": "0.2",
    "LONGSHORE_MONITOR__IDLE_AFTER_S": "1",
}


def readings(count: int, seed: int, *, gale: float = 1.0, wear: float = 1.0) -> pd.DataFrame:
    """Turbines whose power is a known function of their readings; `gale` moves an input, `wear` the relation."""
    random = np.random.default_rng(seed)
    wind = np.minimum(random.weibull(2.0, count) * 9 * gale, 80)
    pitch = random.uniform(-2, 25, count)
    maker = random.choice(["A", "B", "C"], count, p=[0.5, 0.3, 0.2])
    factor = pd.Series(maker).map({"A": 1.0, "B": 1.2, "C": 0.8}).to_numpy()
    power = wear * factor * np.minimum(wind, 14) ** 2 * np.cos(np.radians(pitch)) + random.normal(0, 2, count)
    return pd.DataFrame(
        {
            "wind": wind.round(3),
            "pitch": np.where(random.random(count) < 0.1, np.nan, pitch.round(2)),
            "temperature": random.normal(10, 8, count).round(1),
            "maker": np.where(random.random(count) < 0.02, None, maker),
            "power": power.round(3),
        }
    )


def values(settings: Settings, topic: str) -> list[dict[str, Any]]:
    return [json.loads(message.value() or b"") for batch in read_all(settings, topic) for message in batch]


def produce(run: Services, data: Path, *, first: int, count: int) -> None:
    """Rows of a file in a random order, over and over, with a label each; event time goes on from record `first`."""
    summary = run.once(
        *("produce", "--data", str(data), "--shuffle", "--loop", "--count", str(count), "--run-id", f"from-{first}"),
        *("--event-start", str(START + first * STEP_MS), "--event-step-ms", str(STEP_MS)),
        *("--label-delay", "50", "--label-missing", "0"),
    )
    assert summary["produced"] == summary["labels"] == count


def test_a_schemas_own_name_for_the_event_time_is_not_the_labels(
    run: Services, settings: Settings, tmp_path: Path
) -> None:
    """The contract's label has `event_time`; the monitor reads no other name, and would wait for labels for ever."""
    schema, calm = tmp_path / "turbines.toml", tmp_path / "calm.csv"
    schema.write_text(SCHEMA.replace("fields =", 'event_time = "measured_at"\nfields ='))
    readings(100, 1).to_csv(calm, index=False)
    produce(run, calm, first=0, count=100)
    topics = Topics.of(settings.topic_prefix, load_schema(schema))
    assert {"measured_at"} <= set(values(settings, topics.records)[0])
    names = {"record_id", "turbine", "event_time", "observed_at", "label"}
    assert all(set(label) == names for label in values(settings, topics.labels))


def error(predictions: list[dict[str, Any]], labels: dict[str, float]) -> float:
    """RMSE of these predictions."""
    return float(np.sqrt(np.mean([(p["prediction"] - labels[p["record_id"]]) ** 2 for p in predictions])))


@pytest.fixture
def run(settings: Settings, stack: Endpoints, tmp_path: Path) -> Any:
    schema = tmp_path / "turbines.toml"
    schema.write_text(SCHEMA)
    with services(settings, stack, tmp_path, 8, LONGSHORE_SCHEMA_FILE=str(schema), **VARIABLES) as (run, _cache):
        yield run


def test_the_whole_loop_for_another_schema(run: Services, settings: Settings, tmp_path: Path) -> None:
    topics = Topics.of(settings.topic_prefix, load_schema(tmp_path / "turbines.toml"))
    calm, gale = tmp_path / "calm.csv", tmp_path / "gale.csv"
    readings(4_000, 1).to_csv(calm, index=False)
    readings(4_000, 2, gale=1.6, wear=0.7).to_csv(gale, index=False)

    trained = run.once("train", "--data", str(calm))
    assert (trained["version"], trained["promoted"]) == ("v1", True)
    assert trained["metrics"]["r2"] > 0.9
    services = [
        run.start("score", "--instance", "scorer"),
        run.start("monitor", "--role", "all", "--instance", "monitor"),
        run.start("train", "--follow", "--instance", "trainer"),
    ]

    def alive() -> bool:
        assert all(process.poll() is None for process in services), run.logs()
        return True

    produce(run, calm, first=0, count=CALM)
    eventually(lambda: alive() and len(values(settings, topics.predictions)) == CALM, 40, what="predictions")
    verdicts = eventually(
        lambda: alive() and [e for e in values(settings, topics.events) if e["kind"] == "verdict"], 40, what="a verdict"
    )
    assert {stream["name"] for stream in verdicts[0]["streams"]} == {
        *("wind", "pitch", "temperature", "maker", "prediction")
    }

    produce(run, gale, first=CALM, count=MOVED)
    request, *others = eventually(lambda: alive() and values(settings, topics.requests), 40, what="a request")
    assert not others
    (alert, *_) = [event for event in values(settings, topics.events) if event["kind"] == "alert"]
    assert alert["model_version"] == request["model_version"] == "v1"
    # Wear raises the loss in the same records in which the gale moves the wind: either may be the first seen.
    assert alert["cause"] == "concept" or alert["streams"][0]["name"] in ("wind", "prediction"), alert
    assert alert["window"]["end"] > START + CALM * STEP_MS, "the alarm came before the drift"
    promoted = eventually(
        lambda: alive() and [e for e in values(settings, topics.models) if e["kind"] in ("promoted", "rejected")][1:],
        60,
        what="the outcome of the retraining",
    )
    assert (promoted[0]["kind"], promoted[0]["version"]) == ("promoted", "v2"), promoted
    assert promoted[0]["trigger_id"] == request["trigger_id"]

    def swapped() -> list[dict[str, Any]]:
        produce(run, gale, first=CALM + MOVED + swapped.sent, count=400)  # type: ignore[attr-defined]
        swapped.sent += 400  # type: ignore[attr-defined]
        alive()
        return [p for p in values(settings, topics.predictions) if p["model_version"] == "v2"]

    swapped.sent = 0  # type: ignore[attr-defined]
    eventually(swapped, 30, what="a prediction of the new version")
    total = CALM + MOVED + swapped.sent  # type: ignore[attr-defined]
    found = eventually(
        lambda: len(p := values(settings, topics.predictions)) >= total and p, 30, what="the last predictions"
    )
    check_predictions(run, topics, found, total)
    labels = {label["record_id"]: label["label"] for label in values(settings, topics.labels)}
    moved = [p for p in found if p["event_time"] >= START + CALM * STEP_MS]
    before, after = ([p for p in moved if p["model_version"] == version] for version in ("v1", "v2"))
    assert error(after, labels) < 0.6 * error(before, labels)
    for process in services:
        process.terminate()
    assert [process.wait(30) for process in services] == [0, 0, 0], run.logs()


def check_predictions(run: Services, topics: Topics, found: list[dict[str, Any]], total: int) -> None:
    """One per record, in the schema's own names, each what its version's pipeline says."""
    assert len(found) == len({(p["source"]["partition"], p["source"]["offset"]) for p in found}) == total
    assert {p["source"]["topic"] for p in found} == {topics.records}
    assert all(p["turbine"] == p["record"]["turbine"] and p["event_time"] == p["record"]["event_time"] for p in found)
    names = ["wind", "pitch", "temperature", "maker"]
    for version in ("v1", "v2"):
        mine = [p for p in found if p["model_version"] == version]
        pipeline = joblib.load(run.once("model", "show", version)["files"]["pipeline.joblib"])
        frame = pd.DataFrame([{name: p["record"].get(name) for name in names} for p in mine], columns=names)
        # None is an object to pandas; a numeric column is numbers.
        expected = pipeline.predict(frame.astype(dict.fromkeys(names[:3], float)))
        np.testing.assert_allclose([p["prediction"] for p in mine], np.asarray(expected).reshape(-1), rtol=1e-5)
