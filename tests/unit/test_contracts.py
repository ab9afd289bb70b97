"""DESIGN.md's contracts, literally: others' programs break when one of these moves."""

from __future__ import annotations

import msgspec
import pytest
from click.testing import CliRunner

from longshore import redis_store
from longshore.cli.main import COMMANDS, cli
from longshore.config import Settings
from longshore.records import DriftEvent, Label, ModelEvent, RetrainRequest, Route
from longshore.schema import districts
from longshore.topics import Topics

TOPICS = Topics.of("longshore.", districts())


def test_topic_names() -> None:
    names = {spec.name.removeprefix("longshore.") for spec in TOPICS.specs(Settings())}
    assert names == {
        "districts", "predictions", "labels", "districts.dlq", "districts.dlq.replays", "drift.panes", "drift.events",
        "drift.state", "retrain.requests", "model.events",
    }  # fmt: skip


def test_state_is_compacted_and_ordered_topics_have_one_partition() -> None:
    specs = {spec.name.removeprefix("longshore."): spec for spec in TOPICS.specs(Settings())}
    assert specs["drift.state"].config["cleanup.policy"] == "compact"
    for name in ("drift.panes", "drift.events", "drift.state", "retrain.requests", "model.events"):
        assert specs[name].partitions == 1


def test_record_fields() -> None:
    schema = districts()
    assert (schema.record_id, schema.key, schema.event_time) == ("record_id", "district_id", "event_time")
    assert schema.feature_names == (
        "longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms", "population", "households",
        "median_income", "ocean_proximity",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (Label, {"record_id", "event_time", "observed_at", "label"}),
        (DriftEvent, {"kind", "cause", "window", "streams", "thresholds"}),
        (RetrainRequest, {"trigger_id", "cause", "model_version", "window", "streams"}),
        (ModelEvent, {"kind", "version", "generation", "actor", "reason"}),
    ],
)
def test_message_fields(message: type[msgspec.Struct], fields: set[str]) -> None:
    assert fields <= set(message.__struct_fields__)


def test_route() -> None:
    assert Route.CHAMPION.value == "champion"


def test_redis_keys() -> None:
    source = msgspec.json.encode({name: getattr(redis_store, name) for name in dir(redis_store) if name.isupper()
                                  and isinstance(getattr(redis_store, name), str)}).decode()  # fmt: skip
    for key in ("longshore:model:active", "longshore:model:blob:", "longshore:model:events"):
        assert key in source


def test_commands() -> None:
    assert set(COMMANDS) >= {
        "demo", "local", "produce", "score", "monitor", "train", "topics", "model", "drift", "data", "config", "doctor",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["longshore", name, "--help"])
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert len(result.output.splitlines()) > 5


@pytest.mark.parametrize(
    ("group", "verbs"),
    [
        ("local", {"up", "down", "status"}),
        ("model", {"list", "show", "promote", "rollback", "history", "verify"}),
        ("drift", {"status", "compare"}),
        ("data", {"fetch"}),
        ("config", {"show", "validate"}),
        ("topics", {"create"}),
    ],
)
def test_verbs(group: str, verbs: set[str]) -> None:
    command = cli.get_command(None, group)  # type: ignore[arg-type]
    assert verbs <= set(command.commands)  # type: ignore[union-attr]
