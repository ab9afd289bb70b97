"""Settings: where each comes from, which wins, and errors that are reported together without showing secrets."""

from pathlib import Path

import pytest

from longshore.config import load
from longshore.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("LONGSHORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_contracts_environment_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BOOTSTRAP_SERVERS": "kafka:9", "REDIS_URL": "redis://r:1/2", "REGISTRY_URL": "/reg", "TOPIC_PREFIX": "x.",
        "HOME": "/h",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"LONGSHORE_{name}", value)
    settings = load()
    assert settings.bootstrap_servers == "kafka:9"
    assert settings.redis_url is not None and settings.redis_url.get_secret_value() == "redis://r:1/2"
    assert (settings.registry(), settings.topic_prefix, settings.home) == ("/reg", "x.", Path("/h"))


def test_defaults_are_the_contracts() -> None:
    settings = load()
    assert (settings.topic_prefix, settings.home) == ("longshore.", Path(".longshore"))
    assert settings.registry() == ".longshore/registry"
    assert settings.server.host == "127.0.0.1"


def test_flags_win_over_the_environment_and_that_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("longshore.toml").write_text('topic_prefix = "file."\nmodel = "file"\n[monitor]\npane_s = 7\nalpha = 0.5\n')
    monkeypatch.setenv("LONGSHORE_MONITOR__PANE_S", "8")
    monkeypatch.setenv("LONGSHORE_MODEL", "environment")
    settings = load(flags={"model": "flag", "home": None})
    assert (settings.topic_prefix, settings.model) == ("file.", "flag")
    assert (settings.monitor.pane_s, settings.monitor.alpha) == (8, 0.5)


def test_all_errors_are_reported_together_in_one_line() -> None:
    Path("longshore.toml").write_text("colour = 1\n[scorer]\nmax_batch = 0\n[monitor]\npane_s = 'x'\n")
    with pytest.raises(ConfigurationError) as caught:
        load()
    text = str(caught.value)
    assert "\n" not in text
    for part in ("longshore.toml", "colour: unknown key", "scorer.max_batch = 0", "monitor.pane_s = 'x'"):
        assert part in text


def test_librdkafka_keys_pass_through_and_their_values_are_not_shown() -> None:
    Path("c.toml").write_text(
        '[kafka.client]\n"sasl.password" = "hunter2"\n"enable.ssl.certificate.verification" = true\n'
    )
    settings = load(Path("c.toml"))
    assert settings.kafka.client["sasl.password"].get_secret_value() == "hunter2"
    assert settings.kafka.client["enable.ssl.certificate.verification"].get_secret_value() == "true"
    assert "hunter2" not in repr(settings)


def test_a_secret_in_a_wrong_place_is_not_shown() -> None:
    Path("c.toml").write_text('[kafka.client]\n"sasl.password" = ["hunter2"]\n')
    with pytest.raises(ConfigurationError) as caught:
        load(Path("c.toml"))
    assert "hunter2" not in str(caught.value)
    assert "sasl.password" in str(caught.value)


@pytest.mark.parametrize("text", ["a = [", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_named(text: str | bytes) -> None:
    Path("c.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=r"c\.toml is not TOML"):
        load(Path("c.toml"))


def test_a_named_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.toml"):
        load(Path("gone.toml"))
