"""Programs that know nothing of us, against real services: kcat reads and writes the topics, Prometheus scrapes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer
from tests.services import Services, free_port
from tests.system.answering import get, predict, ready, serving
from tests.system.conftest import PREFIX, program
from tests.waiting import eventually

from longshore.local.stack import Endpoints
from longshore.producers.generator import districts_frame
from longshore.schema import districts

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RECORDS, POISON = 60, 3
TOPIC = f"{PREFIX}predictions"


@pytest.fixture(scope="module")
def scorer(run: Services) -> int:
    """The port of a scorer's pages, once it is ready."""
    port = free_port()
    run.start("score", "--instance", "system", LONGSHORE_SERVER__PORT=str(port))
    ready(port)
    return port


def kcat(stack: Endpoints, *arguments: str, given: bytes = b"") -> list[str]:
    """What it prints, line by line."""
    command = [program("kcat"), "-b", stack.bootstrap_servers, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def consumed(stack: Endpoints, topic: str, isolation: str) -> list[str]:
    return kcat(stack, "-C", "-q", "-e", "-t", topic, "-o", "beginning", "-X", f"isolation.level={isolation}")


@pytest.fixture(scope="module")
def sent(stack: Endpoints, scorer: int) -> dict[str, dict[str, Any]]:
    """Records and poison that kcat put on the topic, the records by id."""
    rows = districts_frame(RECORDS, 4)[list(districts().feature_names)].to_dict(orient="records")
    made = {
        f"r{i}": {"record_id": f"r{i}", "district_id": f"d{i % 7}", "event_time": 1_700_000_000_000 + i, **row}
        for i, row in enumerate(rows)
    }
    lines = [f"{record['district_id']}\t{json.dumps(record)}" for record in made.values()]
    lines += [f"bad\tpoison {i}" for i in range(POISON)]
    kcat(stack, "-P", "-t", f"{PREFIX}districts", "-K", "\\t", given="\n".join(lines).encode())
    eventually(
        lambda: len(consumed(stack, TOPIC, "read_committed")) >= RECORDS, 60, what="predictions that kcat can read"
    )
    return made


def test_kcat_reads_each_prediction_once_and_none_of_an_aborted_transaction(
    stack: Endpoints, sent: dict[str, dict[str, Any]]
) -> None:
    producer = Producer({"bootstrap.servers": stack.bootstrap_servers, "transactional.id": "system-aborted"})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(TOPIC, b"aborted")
    assert producer.flush(20) == 0
    producer.abort_transaction(20)
    assert "aborted" in consumed(stack, TOPIC, "read_uncommitted")
    found = [json.loads(line) for line in consumed(stack, TOPIC, "read_committed")]
    assert sorted(each["record_id"] for each in found) == sorted(sent)
    assert all(each["record"] == sent[each["record_id"]] for each in found)
    assert len(consumed(stack, f"{PREFIX}districts.dlq", "read_committed")) == POISON


def test_the_stream_and_the_http_server_say_the_same(
    stack: Endpoints, sent: dict[str, dict[str, Any]], serve: int
) -> None:
    url = ready(serve)
    for line in consumed(stack, TOPIC, "read_committed")[:5]:
        prediction = json.loads(line)
        features = {name: value for name, value in prediction["record"].items() if name in districts().feature_names}
        answer = predict(url, **{name: value for name, value in features.items() if value is not None})
        assert answer["outputs"][0]["data"] == [prediction["prediction"]]
        assert answer["model_version"] == prediction["model_version"]


@contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[str]:
    """A server with the deployment's configuration and rules, but for where the targets are."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / name) for name in config["rule_files"]]
    config["scrape_configs"] = [
        {"job_name": job["job_name"], "static_configs": [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]}
        for job in config["scrape_configs"]
        if job["job_name"] in targets
    ]
    assert len(config["scrape_configs"]) == len(targets)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        program("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with serving(command, folder, port) as url:
        yield url


def asked(url: str, path: str) -> Any:
    status, content = get(url + path)
    assert status == 200, content
    return json.loads(content)["data"]


def test_prometheus_scrapes_the_services_and_evaluates_every_rule(
    tmp_path: Path, scorer: int, serve: int, sent: dict[str, dict[str, Any]]
) -> None:
    ready(serve)
    with prometheus(tmp_path, {"scorer": scorer, "serve": serve}) as url:

        def up() -> bool:
            targets = asked(url, "/api/v1/targets")["activeTargets"]
            return {t["labels"]["job"] for t in targets if t["health"] == "up"} == {"scorer", "serve"}

        def evaluated() -> bool:
            rules = [rule for group in asked(url, "/api/v1/rules")["groups"] for rule in group["rules"]]
            assert not [rule for rule in rules if rule["health"] == "err"], rules
            return len(rules) > 10 and all(rule["health"] == "ok" for rule in rules)

        def value(query: str) -> float:
            found = asked(url, f"/api/v1/query?query={query}")["result"]
            return float(found[0]["value"][1]) if found else -1

        eventually(up, 60, what="both targets up")
        eventually(evaluated, 60, what="every rule evaluated")
        eventually(lambda: value("sum(longshore_records_scored_total)") == len(sent), 30, what="the count of records")
        assert value("sum(longshore_dead_letters_total)") == POISON
        assert value("count(longshore_model_generation)") == 2


def test_promtool_finds_nothing_wrong_with_the_deployed_files() -> None:
    done = subprocess.run(
        [program("promtool"), "check", "config", str(PROMETHEUS / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout
