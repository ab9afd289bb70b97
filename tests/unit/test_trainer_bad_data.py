"""Bad data, through the trainer itself: refused in one line, told as an event, nothing stored, the champion unmoved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from tests.memory_stream import Record

from longshore.cli.app import App
from longshore.cli.train import train
from longshore.cli.training_data import Intake
from longshore.config import DatasetSettings, Settings, TrainerSettings
from longshore.errors import DataError
from longshore.producers.generator import districts_frame
from longshore.records import ModelEventKind, RetrainRequest, Window
from longshore.registry import Registry
from longshore.schema import districts
from longshore.stream import Message
from longshore.trainer import dataset_stream
from longshore.trainer.dataset_stream import StreamDataset
from longshore.trainer.datasets import Datasets
from longshore.trainer.run import Trainer

Change = Callable[[pd.DataFrame], pd.DataFrame]
PREDICTIONS, LABELS = "longshore.predictions", "longshore.labels"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = Registry.open(str(tmp_path_factory.mktemp("r") / "registry"), "default")
    registry.register({"model.onnx": b""}, {"metrics": {}})
    registry.move_alias("champion", "v1", expected_generation=0, trigger_id="", actor="t", reason="")
    return registry


@pytest.fixture
def settings(registry: Registry, tmp_path: Path) -> Settings:
    home = Path(registry.path("v1", "model.onnx")).parents[3]
    return Settings(
        home=tmp_path,
        registry_url=str(home),
        bootstrap_servers=None,
        redis_url=None,
        trainer=TrainerSettings(min_rows=500),
    )


def refused(registry: Registry, settings: Settings, trigger_id: str, words: str) -> None:
    """What every refusal must leave behind: an event with the reason, and nothing else."""
    events = [event for event in registry.events() if event.trigger_id == trigger_id]
    assert [(event.kind, event.version) for event in events] == [(ModelEventKind.REJECTED, "")]
    assert words in events[0].reason
    champion = registry.alias()
    assert champion is not None and (champion.version, champion.generation) == ("v1", 1)
    assert registry.versions() == ["v1"] and Datasets.open(settings).ids() == []


def leak(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(population=frame["median_house_value"] / 7)


def mostly_missing(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].where(np.arange(len(frame)) % 10 == 0)})


def conflicting(frame: pd.DataFrame) -> pd.DataFrame:
    again = frame.head(60).assign(median_house_value=lambda part: part["median_house_value"] * 2)
    return pd.concat([frame, again])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda frame: frame.head(100), "100 labelled rows are too few", id="few-labels"),
        pytest.param(lambda frame: frame.assign(median_house_value=7.0), "is 7 in every row", id="all-labels-equal"),
        pytest.param(leak, "column population gives the target median_house_value away", id="leak"),
        pytest.param(
            lambda frame: mostly_missing(frame, "total_bedrooms"),
            "column total_bedrooms is missing in 90.0% of 600 rows",
            id="missing-column",
        ),
        pytest.param(
            lambda frame: mostly_missing(frame, "median_house_value"),
            "median_house_value is empty",
            id="missing-target",
        ),
        pytest.param(conflicting, "60 of 600 labelled record ids (10.0%) have contradicting labels", id="conflicts"),
        pytest.param(lambda frame: frame.drop(columns="households"), "lacks households", id="column-gone"),
        pytest.param(lambda frame: frame.assign(households="many"), "not a number", id="other-kind"),
    ],
)
def test_a_bad_file(registry: Registry, settings: Settings, tmp_path: Path, change: Change, words: str) -> None:
    path = tmp_path / "rows.csv"
    change(districts_frame(600, 5)).to_csv(path, index=False)
    trigger_id = f"file-{tmp_path.name}"
    arguments = ["--data", str(path), "--trigger-id", trigger_id, "--output", "json"]
    result = CliRunner().invoke(train, arguments, obj=App(settings))
    assert isinstance(result.exception, DataError) and result.exception.exit_code == 1
    assert words in str(result.exception) and result.stdout == ""
    refused(registry, settings, trigger_id, words)


class Topics:
    """Two topics in memory, read as `read_all` does, in batches and partitions."""

    def __init__(self) -> None:
        self.messages: dict[str, list[Record]] = {PREDICTIONS: [], LABELS: []}

    def send(self, topic: str, body: dict[str, Any], partition: int = 0) -> None:
        held = self.messages[topic]
        offset = sum(message.partition() == partition for message in held)
        held.append(Record(topic, partition, offset, b"k", json.dumps(body).encode()))

    def fill(
        self,
        count: int,
        *,
        label: Callable[[int, float], Any] = lambda _, price: price,
        observed_at: int = 2_000,
        **record: Any,
    ) -> None:
        """`count` records, labelled; `record` changes their fields."""
        rows = json.loads(districts_frame(count, 5).drop(columns="district_id").to_json(orient="records"))
        for i, row in enumerate(rows):
            price = row.pop("median_house_value")
            key = {"record_id": f"r{i}", "district_id": f"d{i}", "event_time": i}
            self.send(PREDICTIONS, {**key, "record": {**key, **row, **record}}, i % 3)
            self.send(LABELS, {**key, "observed_at": observed_at, "label": label(i, price)}, i % 3)

    def read_all(
        self,
        _: Settings,
        topic: str,
        *,
        from_offsets: dict[int, int] | None = None,
        to_offsets: dict[int, int] | None = None,
    ) -> Iterator[list[Message]]:
        first = from_offsets or {}
        wanted = [
            message
            for message in self.messages[topic]
            if message.offset() >= first.get(message.partition(), 0)
            and (to_offsets is None or message.offset() < to_offsets.get(message.partition(), 0))
        ]
        for start in range(0, len(wanted), 70):
            yield list(wanted[start : start + 70])


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    topics = Topics()
    monkeypatch.setattr(dataset_stream, "read_all", topics.read_all)
    return topics


def run(registry: Registry, settings: Settings, trigger_id: str) -> None:
    """A request as `train --follow` serves it."""
    request = RetrainRequest(trigger_id, "covariate", "v1", Window(100, 101, 1), [], "e1")
    intake = Intake(App(settings), registry, trigger_id)
    stream = StreamDataset(settings, districts())
    trainer = Trainer(settings, registry, lambda *_: b"", lambda: None, "test", lambda *_: None)
    trainer.run(trigger_id, lambda: intake.for_request(stream, request, lambda: None, 0.0))


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        pytest.param(
            lambda topics: (topics.fill(700), topics.messages[LABELS].clear()),
            "0 fresh labelled ones after 0 s (left out: 700 unlabelled)",
            id="no-labels-yet",
        ),
        pytest.param(
            lambda topics: topics.fill(700, observed_at=2**45),
            '(left out: 700 unlabelled, 700 labels after cut; where times are made up, set datasets.clock = "stream")',
            id="labels-from-the-future",
        ),
        pytest.param(lambda topics: topics.fill(700, label=lambda *_: 7.0), "is 7 in every row", id="all-labels-equal"),
        pytest.param(lambda topics: topics.fill(700, total_rooms=None), "total_rooms is empty", id="silent-column"),
        pytest.param(
            lambda topics: topics.fill(700, total_rooms="many"),
            "100.0% of the last 700 predictions' records cannot be decoded by the schema, datasets.max_undecodable = "
            "5.0% (for example: Expected `float | null`, got `str` - at `$.total_rooms`)",
            id="schema-change",
        ),
        pytest.param(
            lambda topics: topics.fill(700, label=lambda i, price: price if i % 10 == 0 else None),
            "90.0% of the last 700 labels cannot be decoded",
            id="labels-missing",
        ),
        pytest.param(
            lambda topics: (topics.fill(700), topics.fill(70, label=lambda *_: 1.0), topics.fill(700)),
            "70 of 700 labelled record ids",
            id="conflicts",
        ),
    ],
)
def test_a_bad_stream(
    registry: Registry, settings: Settings, topics: Topics, fill: Callable[[Topics], Any], words: str
) -> None:
    fill(topics)
    trigger_id = f"stream-{settings.home.name}"
    with pytest.raises(DataError) as raised:
        run(registry, settings, trigger_id)
    assert words in str(raised.value), str(raised.value)
    refused(registry, settings, trigger_id, words)


def test_recorded_offsets_give_the_same_rows_again_and_rows_dated_after_now_are_left_out(
    registry: Registry, settings: Settings, topics: Topics
) -> None:
    topics.fill(900)
    topics.send(LABELS, {"record_id": "r3", "event_time": 3, "observed_at": 2**45, "label": 1.0})
    app = App(settings.model_copy(update={"trainer": TrainerSettings(min_rows=500, max_rows=1_000)}))
    first = Intake(app, registry, "first").from_stream(None)
    assert first.left_out["labels_after_cut"] == 1 and len(first.rows) == 900
    assert first.cut_ms is not None and first.from_offsets is not None and first.offsets is not None
    topics.fill(950, population=1.0)
    topics.messages[PREDICTIONS].reverse()
    for message in (topics.messages[PREDICTIONS], topics.messages[LABELS]):
        message.sort(key=lambda one: (-one.partition(), one.offset()))
    stream = StreamDataset(app.settings, districts(), stretch=(first.from_offsets, first.offsets))
    again = stream.training_set(stream.refresh(first.cut_ms), cut_ms=first.cut_ms)
    assert again.sha256() == first.sha256() and again.rows.columns.record_ids == first.rows.columns.record_ids
    assert (again.offsets, again.from_offsets) == (first.offsets, first.from_offsets)
    simulated = App(app.settings.model_copy(update={"datasets": DatasetSettings(clock="stream")}))
    assert Intake(simulated, registry, "simulated").from_stream(None).left_out["labels_after_cut"] == 0
    assert Intake(app, registry, "first").from_stream(None).sha256() == first.sha256(), "a resumed run's own rows"
    topics.messages[PREDICTIONS] = [message for message in topics.messages[PREDICTIONS] if message.offset() > 0]
    with pytest.raises(DataError, match="no longer holds what was read"):
        StreamDataset(app.settings, districts(), stretch=(first.from_offsets, first.offsets)).refresh()
