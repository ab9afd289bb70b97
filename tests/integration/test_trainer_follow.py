"""`longshore train --follow` on a real broker: a request becomes one gated promotion; labels are waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from tests.waiting import eventually

from longshore.cli.app import App
from longshore.cli.dataset import verify
from longshore.config import Settings
from longshore.kafka.admin import committed_offsets, create_topics
from longshore.kafka.reader import read_all
from longshore.kafka.writer import Writer
from longshore.producers.generator import districts_frame
from longshore.records import RetrainRequest, Window
from longshore.registry import Registry
from longshore.schema import districts
from longshore.topics import Topics
from longshore.trainer.dataset_stream import StreamDataset
from longshore.trainer.datasets import Datasets

pytestmark = pytest.mark.integration


@pytest.fixture
def topics(settings: Settings) -> Topics:
    topics = Topics.of(settings.topic_prefix, districts())
    create_topics(settings, topics.specs(settings))
    return topics


def send_records(
    settings: Settings, topics: Topics, rows: range, *, factor: float = 1.0, labelled: bool = True
) -> None:
    """Predictions as the scorer writes them, and their labels, `factor` times the generator's prices."""
    frame = districts_frame(rows.stop, 3).iloc[rows.start :].drop(columns="district_id")
    with Writer(settings) as writer:
        for i, row in zip(rows, json.loads(frame.to_json(orient="records")), strict=True):
            price = row.pop("median_house_value") * factor
            key = {"record_id": f"r{i}", "district_id": f"d{i}", "event_time": i}
            body = {**key, "prediction": 1.0, "model_version": "v1", "route": "champion", "record": {**key, **row}}
            writer.send(topics.predictions, key["district_id"].encode(), json.dumps(body).encode())  # type: ignore[attr-defined]
            if labelled:
                send_label(writer, topics, i, price)


def send_label(writer: Writer, topics: Topics, i: int, price: float) -> None:
    body = {"record_id": f"r{i}", "district_id": f"d{i}", "event_time": i, "observed_at": i + 1, "label": price}
    writer.send(topics.labels, f"d{i}".encode(), json.dumps(body).encode())


def send_request(settings: Settings, topics: Topics, trigger_id: str, start: int) -> None:
    asked = RetrainRequest(trigger_id, "covariate", "v1", Window(start, start + 1, 1), [], "e1")
    with Writer(settings) as writer:
        writer.send(topics.requests, b"default", msgspec.json.encode(asked))


def command(settings: Settings, *arguments: str) -> tuple[list[str], dict[str, str]]:
    redis_url = settings.redis_url
    assert redis_url is not None
    environment = {
        **os.environ,
        "LONGSHORE_BOOTSTRAP_SERVERS": str(settings.bootstrap_servers),
        "LONGSHORE_REDIS_URL": redis_url.get_secret_value(),
        "LONGSHORE_REGISTRY_URL": str(settings.registry_url),
        "LONGSHORE_TOPIC_PREFIX": settings.topic_prefix,
        "LONGSHORE_HOME": str(settings.home),
        "LONGSHORE_TRAINER__CLAIM_TTL_S": "3",
    }
    return [sys.executable, "-m", "longshore.cli.main", "train", *arguments], environment


def train(settings: Settings, *arguments: str) -> dict[str, Any]:
    line, environment = command(settings, *arguments, "--output", "json")
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@contextmanager
def following(settings: Settings, log: Path) -> Iterator[Callable[[int], int]]:
    """A trainer process; the value sends it a signal and waits for its end."""
    line, environment = command(settings, "--follow")
    with log.open("ab") as out, subprocess.Popen(line, env=environment, stderr=out, stdout=out) as process:

        def end(number: int) -> int:
            process.send_signal(number)
            return process.wait(30)

        try:
            yield end
        finally:
            process.kill()


def registry_of(settings: Settings) -> Registry:
    return Registry.open(settings.registry(), settings.model)


def test_a_request_waits_for_labels_and_ends_in_one_promotion(
    settings: Settings, topics: Topics, tmp_path: Path
) -> None:
    """Also after a kill -9 while it waits: the next trainer takes the claim over, and nothing is doubled."""
    assert train(settings, "--rows", "2000")["promoted"]
    send_records(settings, topics, range(1_000))
    send_records(settings, topics, range(1_000, 2_000), factor=2.0, labelled=False)
    send_request(settings, topics, "shift", start=1_000)
    registry, log = registry_of(settings), tmp_path / "trainer.log"
    with following(settings, log) as end:
        eventually(lambda: "waiting for labels" in log.read_text(), 60)
        (trainer,) = (each for each in psutil.Process().children() if "--follow" in each.cmdline())
        assert trainer.nice() == min(19, os.nice(0) + settings.trainer.niceness)  # it steps back for the scorers
        end(signal.SIGKILL)
    prices = districts_frame(2_000, 3)["median_house_value"].to_numpy()
    with Writer(settings) as writer:
        for i in range(1_000, 2_000):
            send_label(writer, topics, i, float(prices[i]) * 2.0)
    with following(settings, log) as end:
        outcome = eventually(lambda: registry.outcome("shift"), 90, what="the outcome")
        group = settings.topic_prefix + settings.trainer.group
        eventually(lambda: committed_offsets(settings, group, topics.requests).get(0) not in (None, 0), 30)
        assert end(signal.SIGTERM) == 0, log.read_text()[-2_000:]
    assert outcome["status"] == "promoted" and outcome["version"] == "v2", outcome
    manifest = registry.manifest("v2")
    assert registry.versions() == ["v1", "v2"] and manifest["trigger_id"] == "shift"
    assert manifest["metrics"]["rows_train"] + manifest["metrics"]["rows_test"] == 1_000
    assert sum(manifest["dataset"]["offsets"][topics.predictions].values()) >= 2_000
    events = [json.loads(m.value() or b"") for batch in read_all(settings, topics.models) for m in batch]
    assert [(event["kind"], event["version"]) for event in events] == [
        (kind, version) for version in ("v1", "v2") for kind in ("registered", "promoted")
    ]


def test_train_from_the_stream(settings: Settings, topics: Topics) -> None:
    send_records(settings, topics, range(800))
    assert train(settings, "--from", "stream")["promoted"]
    manifest = registry_of(settings).manifest("v1")
    assert manifest["dataset"]["rows"] == 800 and manifest["dataset"]["source"].startswith("stream ")
    (dataset,) = Datasets.open(settings).ids()
    assert manifest["dataset"]["sha256"].startswith(dataset)
    send_records(settings, topics, range(800, 900))
    send_records(settings, topics, range(10), factor=2.0)
    verified = CliRunner().invoke(verify, [dataset, "--stream"], obj=App(settings))
    assert (verified.exit_code, verified.stdout) == (0, f"{dataset}  ok\n"), "its offsets give its rows again"


def test_the_stream_is_read_on_from_where_it_was(settings: Settings, topics: Topics) -> None:
    dataset = StreamDataset(settings, districts())
    assert len(dataset.refresh()) == 0
    for stop in (50, 120):
        send_records(settings, topics, range(stop - 50, stop))
        rows = dataset.refresh()
    assert rows.columns.event_times.tolist() == [*range(50), *range(70, 120)]
    found = dataset.training_set(rows, fresh_from_ms=70)
    assert len(found.rows) == len(found.history or []) == 50 and np.isfinite(found.rows.target).all()
