"""deploy/ speaks of metrics, labels, services and ports that exist, and every alert has its page in docs/operations."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from longshore import telemetry
from longshore.monitor.episodes import Phase

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SERIES = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_sum", "_count")}
FROM_SCRAPING = {"job", "instance", "le"}
PROCESS = {"process_cpu_seconds_total": set[str](), "process_resident_memory_bytes": set[str](), "up": set[str]()}


def _exposed() -> dict[str, set[str]]:
    """Every series the services expose, and its labels."""
    found = dict(PROCESS)
    for metric in vars(telemetry).values():
        for kind, suffixes in SERIES.items():
            if isinstance(metric, kind):
                name = metric.describe()[0].name
                found |= {name + suffix: set(metric._labelnames) for suffix in suffixes}
    return found


def _alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _dashboard() -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "longshore.json").read_text())
    return dashboard


def _jobs() -> dict[str, dict[str, Any]]:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    return {job["job_name"]: job["dns_sd_configs"][0] for job in scraped}


def _expressions() -> list[str]:
    panels = [target["expr"] for panel in _dashboard()["panels"] for target in panel.get("targets", [])]
    return [rule["expr"] for rule in _alerts()] + panels


def problems(expression: str) -> list[str]:
    """What in an expression does not exist: series, labels it matches or groups by, jobs."""
    exposed = _exposed()
    used = re.findall(r"\b(?:longshore|process)_[a-z_]+\b|\bup\b", expression)
    found = [f"no series {name}" for name in used if name not in exposed]
    known = {label for name in used for label in exposed.get(name, ())} | FROM_SCRAPING
    grouped = [label.strip() for inside in re.findall(r"\bby \(([^)]*)\)", expression) for label in inside.split(",")]
    matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)
    found += [f"no label {label}" for label in (*grouped, *matched) if label not in known]
    jobs = set(_jobs())
    for pattern in re.findall(r"job=~?\"([^\"]*)\"", expression):
        matching = {job for job in jobs if re.fullmatch(pattern, job)}
        listed = set(pattern.split("|")) if re.fullmatch(r"[a-z|-]+", pattern) else matching
        found += [f"no job {job}" for job in listed - jobs] or ([] if matching else [f"no job like {pattern}"])
    return found + ([f"unbalanced: {expression}"] if expression.count("(") != expression.count(")") else [])


@pytest.mark.parametrize("expression", _expressions())
def test_an_expression_uses_what_exists(expression: str) -> None:
    assert problems(expression) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "rate(longshore_records_total[1m])",
        'up{job="scorers"} == 0',
        'up{job=~"scorer|counter"} == 0',
        "sum by (topik) (longshore_consumer_lag_records)",
        'longshore_transactions_total{result="aborted"}',
        "sum((up)",
    ],
)
def test_the_check_refuses_what_does_not_exist(wrong: str) -> None:
    assert problems(wrong)


@pytest.mark.parametrize("rule", _alerts(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_it_is_and_names_its_page(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "warn"}
    assert rule["annotations"]["summary"]
    page = (ROOT / rule["annotations"]["runbook_url"]).read_text()
    assert rule["alert"] in page
    for heading in ("## What it means", "## What to look at", "## What to do", "## How to fall back"):
        assert heading in page, heading


def test_every_page_is_in_the_list_and_belongs_to_an_alert() -> None:
    operations = ROOT / "docs" / "operations"
    listed = (operations / "README.md").read_text()
    named = {Path(rule["annotations"]["runbook_url"]).name for rule in _alerts()}
    assert all(f"({name})" in listed for name in named)
    alerts = {rule["alert"] for rule in _alerts()}
    told = {name for page in operations.glob("*.md") for name in re.findall(r"\bLongshore[A-Z]\w+", page.read_text())}
    assert told - {"LongshoreError"} <= alerts


def test_the_states_of_the_drift_alarm_are_the_deciders() -> None:
    (expression,) = (rule["expr"] for rule in _alerts() if rule["alert"] == "LongshoreDriftAlarm")
    states = re.findall(r"state=~\"([^\"]*)\"", expression)[0].split("|")
    assert set(states) < {phase.value for phase in Phase}


def test_an_alert_covers_each_silence_the_design_names() -> None:
    names = {rule["alert"] for rule in _alerts()}
    assert names >= {
        "LongshoreTargetDown", "LongshoreConsumerLag", "LongshoreScorerSilent", "LongshoreMonitorSilent",
        "LongshoreWatermarkStuck", "LongshoreVerdictsStale", "LongshoreDeadLetterShare",
        "LongshoreModelGenerationMismatch", "LongshoreTransactionAborts",
    }  # fmt: skip


def test_a_scrape_target_is_a_compose_service_on_its_port() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    variables = {name: service.get("environment", {}) for name, service in services.items()}
    ports = {n: v.get("LONGSHORE_SERVE__PORT", v.get("LONGSHORE_SERVER__PORT")) for n, v in variables.items()}
    assert {name: port for name, port in ports.items() if port} == {name: job["port"] for name, job in _jobs().items()}
    assert all(job["names"] == [name] for name, job in _jobs().items())


def test_the_dashboard_asks_the_provisioned_datasource() -> None:
    provisioned = yaml.safe_load((DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
    uids = {source["uid"] for source in provisioned["datasources"]}
    asked = {panel["datasource"]["uid"] for panel in _dashboard()["panels"] if "datasource" in panel}
    assert asked == uids
    ids = [panel["id"] for panel in _dashboard()["panels"]]
    assert len(ids) == len(set(ids))
