"""Who is told, from the environment and a file: targets by name, roles that follow, secrets that are never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.alert_world import SECRET

from longshore.alert_settings import AlertSettings
from longshore.cli.app import App
from longshore.cli.config import config
from longshore.config import Settings, load
from longshore.errors import ConfigurationError
from longshore.monitor.service import _chosen

URL = "https://me:hunter2@alerts.example.org/hook/t0ken?key=t0ken"
COUNT, JOIN, DECIDE = "count", "join", "decide"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("LONGSHORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in {
        "WEBHOOKS__PAGER__URL": URL, "WEBHOOKS__PAGER__SECRET": SECRET, "ALERTMANAGERS__MAIN": "http://am:9093",
        "QUIET_KINDS": '["verdict", "era", "awaiting_labels"]', "REFUSED_TRIES": "9",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"LONGSHORE_ALERTS__{name}", value)
    return load()


def test_the_environment_names_targets(settings: Settings) -> None:
    assert settings.alerts.webhooks["pager"].url.get_secret_value() == URL
    assert settings.alerts.alertmanagers["main"].get_secret_value() == "http://am:9093"
    assert (settings.alerts.quiet_kinds[-1], settings.alerts.refused_tries) == ("awaiting_labels", 9)


def test_a_role_runs_what_it_is_for(settings: Settings) -> None:
    told = ["notify webhook.pager", "notify alertmanager.main", "notify log"]
    assert {role: list(_chosen(settings, role)) for role in ("count", "decide", "notify", "all")} == {
        "count": [COUNT], "decide": [DECIDE], "notify": told, "all": [COUNT, JOIN, DECIDE, *told],
    }  # fmt: skip
    assert list(_chosen(Settings(alerts=AlertSettings()), "all")) == [COUNT, JOIN, DECIDE], "nobody is to be told"
    assert list(_chosen(Settings(alerts=AlertSettings()), "notify")) == ["notify log"]


def test_what_is_shown_holds_no_secret(settings: Settings) -> None:
    for form in ("table", "json"):
        shown = CliRunner().invoke(config, ["show", "--output", form], obj=App(settings))
        assert shown.exit_code == 0, shown.output
        assert "https://***@alerts.example.org/***" in shown.output
        assert not any(secret in shown.output for secret in ("hunter2", "t0ken", SECRET))
    assert not any(secret in repr(settings) for secret in ("hunter2", "t0ken", SECRET))


WRONG = {
    "alerts.webhooks.pager.secret": '[alerts.webhooks.pager]\nurl = "https://x/"\nsecret = ["t0ken"]\n',
    "alerts.webhooks.pager.url": '[alerts.webhooks.pager]\nurl = ["t0ken"]\n',
    "alerts.webhooks.pager.tocken": '[alerts.webhooks.pager]\nurl = "https://x/"\ntocken = "t0ken"\n',
    "alerts.webhooks.pager": '[alerts.webhooks]\npager = "t0ken"\n',
    "alerts.webhooks": '[alerts.webhooks."a.b"]\nurl = "https://x/"\nsecret = "t0ken"\n',
    "alerts.alertmanagers": '[alerts.alertmanagers]\n"a b" = "http://me:t0ken@x/"\n',
    "alerts.timeout_s": "[alerts]\ntimeout_s = 31\n",
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_setting_is_named_without_its_secret(key: str) -> None:
    Path("longshore.toml").write_text(WRONG[key])
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert key in str(caught.value)
    assert "t0ken" not in str(caught.value)


def test_validate_finds_what_a_start_would_refuse() -> None:
    Path("longshore.toml").write_text('[alerts.webhooks.pager]\nurl = "https://x/"\n')
    found = CliRunner().invoke(config, ["validate"], obj=App(load()))
    assert "alerts.webhooks.pager has no secret" in str(found.exception)
