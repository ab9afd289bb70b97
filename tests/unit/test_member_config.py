"""How long a killed member's partitions wait is chosen by what the broker accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from longshore.config import KafkaSettings, Settings
from longshore.errors import UnavailableError
from longshore.kafka import consuming
from longshore.kafka.consuming import member_config
from longshore.local import broker

ROOT = Path(__file__).resolve().parents[2]


def config(monkeypatch: pytest.MonkeyPatch, least: str | None, **kafka: Any) -> dict[str, Any]:
    """A member's configuration where the broker's least session is `least`; None: nobody says."""

    def answer(*_: Any) -> str:
        if least is None:
            raise UnavailableError("nobody answers", mend="")
        return least

    monkeypatch.setattr(consuming, "broker_setting", answer)
    return member_config(Settings(bootstrap_servers="nowhere:1", kafka=KafkaSettings(**kafka)), "g")


@pytest.mark.parametrize(("least", "session_ms"), [("1000", 4_000), ("6000", 6_000), ("10000", 10_000), (None, 6_000)])
def test_a_session_is_four_seconds_or_the_brokers_least(
    monkeypatch: pytest.MonkeyPatch, least: str | None, session_ms: int
) -> None:
    assert config(monkeypatch, least)["session.timeout.ms"] == session_ms


def test_a_session_that_is_set_is_kept_and_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = config(monkeypatch, "60000", session_timeout_ms=1_200)
    assert (found["session.timeout.ms"], found["heartbeat.interval.ms"]) == (1_200, 400)


def test_what_the_user_gives_the_client_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    found = config(monkeypatch, "1000", client={"session.timeout.ms": SecretStr("9000")})
    assert found["session.timeout.ms"] == "9000"


def test_under_kip_848_the_session_is_the_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {"session.timeout.ms", "heartbeat.interval.ms"} & set(
        config(monkeypatch, "1000", group_protocol="consumer")
    )


def test_the_compose_file_has_the_embedded_brokers_settings_for_recovery() -> None:
    kafka = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["kafka"]["environment"]
    given = {key.removeprefix("KAFKA_").lower().replace("_", "."): str(value) for key, value in kafka.items()}
    ours = {key: value for key, value in broker.SETTINGS.items() if key.startswith(("group.", "transaction.abort."))}
    assert len(ours) == 7
    assert {key: given.get(key) for key in ours} == ours
