"""docker-compose.yml without Docker: its own commands, with its own environments, on the embedded servers.

What a container would have and this machine has not is replaced, and only that: the names kafka and redis by the
embedded servers' addresses, the shared volume by a folder, the fixed ports by free ones, and the topics' prefix.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import click
import msgspec
import pytest
import redis
import yaml
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from tests.waiting import eventually

from longshore.cli.main import cli
from longshore.config import Settings, load
from longshore.kafka.reader import read_all
from longshore.local.stack import Endpoints
from longshore.schema import districts
from longshore.scorer.serving.service import GRACE_S
from longshore.topics import Topics

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CACHE_DB = 11
"""A Redis database no other test uses: the cache's keys carry no prefix."""
VOLUME = "/var/lib/longshore"
PROGRAMS = {
    "topics", "first-model", "trainer", "scorer", "serve", "monitor-count", "monitor-join", "monitor-decide",
    "producer",
}  # fmt: skip
PORTS = ("LONGSHORE_SERVER__PORT", "LONGSHORE_SERVE__PORT")
"""A service has one of these: where its pages are."""


def _filled_in(text: str) -> str:
    """As compose does it with nothing set: `${NAME:-default}` becomes the default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def _compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(_filled_in((ROOT / "docker-compose.yml").read_text()))
    return parsed


SERVICES: dict[str, dict[str, Any]] = _compose()["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("longshore:")}


def _argv(service: dict[str, Any]) -> list[str]:
    return ["longshore", *(str(part) for part in service["command"])]


def _variables(service: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in service.get("environment", {}).items()}


# What the file says, without running it.


def test_the_services_of_the_loop_are_there() -> None:
    assert set(OURS) == PROGRAMS
    assert set(SERVICES) - PROGRAMS == {"kafka", "redis", "balancer", "prometheus", "grafana"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_command_parses(name: str) -> None:
    _, *arguments = _argv(OURS[name])
    command: click.Command = cli
    context = click.Context(cli, info_name="longshore")
    while isinstance(command, click.Group):
        found = command.get_command(context, arguments.pop(0))
        assert found is not None, name
        command = found
    command.make_context(name, arguments, parent=context)


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_variable_is_a_setting(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Environment variables nobody reads would go unnoticed: each must name a field, and all values must be valid."""
    monkeypatch.chdir(tmp_path)
    for variable, value in _variables(OURS[name]).items():
        place: Any = Settings
        for part in variable.removeprefix("LONGSHORE_").lower().split("__"):
            assert part in place.model_fields, variable
            place = place.model_fields[part].annotation
        monkeypatch.setenv(variable, value)
    settings = load()
    assert settings.server.host == "0.0.0.0"  # noqa: S104  # each must be reachable by Prometheus
    assert settings.bootstrap_servers == "kafka:9092"


def test_addresses_name_services_on_the_ports_they_listen_on() -> None:
    listeners = _variables(SERVICES["kafka"])["KAFKA_ADVERTISED_LISTENERS"].split(",")
    for service in OURS.values():
        variables = _variables(service)
        assert f"PLAINTEXT://{variables['LONGSHORE_BOOTSTRAP_SERVERS']}" in listeners
        assert re.fullmatch(r"redis://redis:6379/\d+", variables["LONGSHORE_REDIS_URL"])


def test_dependencies_volumes_and_folders_exist() -> None:
    declared = set(_compose()["volumes"])
    for name, service in SERVICES.items():
        waits = service.get("depends_on", {})
        for other, condition in waits.items() if isinstance(waits, dict) else ((each, {}) for each in waits):
            assert other in SERVICES, (name, other)
            if condition.get("condition") == "service_healthy":
                assert SERVICES[other]["healthcheck"]["test"]
            if condition.get("condition") == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "no"
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (ROOT / source).is_dir() if source.startswith("./") else source in declared, (name, mount)


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)
    hosts = [port.split(":")[1] for port in published]
    assert len(hosts) == len(set(hosts))


def test_the_balancer_looks_for_the_replicas_where_they_listen() -> None:
    config = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text()
    port = _variables(OURS["serve"])["LONGSHORE_SERVE__PORT"]
    assert re.search(rf"^\s*server-template serve 1-\d+ serve:{port} resolvers docker", config, re.MULTILINE)
    (published,) = SERVICES["balancer"]["ports"]
    assert f"bind :{published.split(':')[2]}\n" in config
    assert OURS["serve"]["deploy"]["replicas"] >= 2
    grace = int(SERVICES["serve"]["stop_grace_period"].removesuffix("s"))
    assert float(_variables(OURS["serve"])["LONGSHORE_SERVE__DRAIN_S"]) + GRACE_S < grace


def test_kafka_is_the_embedded_one_and_every_key_is_its_own(stack: Endpoints) -> None:
    """A misspelt broker key is silently ignored by Kafka; the running broker of the same version knows them all."""
    version = SERVICES["kafka"]["image"].split(":")[1]
    assert f"kafka_2.13:{version} " in (ROOT / "src" / "longshore" / "local" / "kafka-jars.lock").read_text()
    admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
    broker = ConfigResource(ResourceType.BROKER, str(next(iter(admin.list_topics(timeout=10).brokers))))
    known = set(admin.describe_configs([broker])[broker].result(timeout=10))
    given = {key for key in _variables(SERVICES["kafka"]) if key.startswith("KAFKA_")}
    assert {key.removeprefix("KAFKA_").lower().replace("_", ".") for key in given} - known == set()


def test_the_image_is_built_from_what_is_there() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    sources = [
        part for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE) for part in line.split()[:-1]
    ]
    let_in = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert set(sources) == let_in
    assert all((ROOT / source).exists() for source in sources)
    assert 'ENTRYPOINT ["longshore"]' in dockerfile
    assert not any("entrypoint" in service for service in OURS.values())
    assert re.search(r"^USER (?!root)", dockerfile.rsplit("FROM", 1)[1], re.MULTILINE)


def test_the_image_has_the_versions_that_were_tested() -> None:
    pin = re.compile(r"^([a-z0-9-]+==\S+)", re.MULTILINE)
    image, tested = (
        set(pin.findall((ROOT / name).read_text())) for name in ("requirements-runtime.lock", "requirements.lock")
    )
    assert image
    assert image <= tested


# And what it does, when run.


class Deployment:
    """The services of the file as processes, in the order `depends_on` asks for."""

    def __init__(self, stack: Endpoints, prefix: str, folder: Path) -> None:
        self._folder = folder
        self._names = {
            "kafka:9092": stack.bootstrap_servers,
            "redis:6379/0": f"{stack.redis_url.removeprefix('redis://').rsplit('/', 1)[0]}/{CACHE_DB}",
            VOLUME: str(folder),
            "0.0.0.0": "127.0.0.1",  # noqa: S104  # the container's address, here this machine's
        }
        self._prefix = prefix
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environments: dict[str, dict[str, str]] = {}

    def environment(self, name: str) -> dict[str, str]:
        """A service's variables with the names replaced, on a machine that has set nothing else of ours."""
        own = _variables(OURS[name])
        for there, here in self._names.items():
            own = {key: value.replace(there, here) for key, value in own.items()}
        own |= {name: str(_free_port()) for name in PORTS if name in own}
        machine = {key: value for key, value in os.environ.items() if not key.startswith("LONGSHORE_")}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return machine | {"PATH": path, "HOME": str(self._folder), "LONGSHORE_TOPIC_PREFIX": self._prefix} | own

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def once(self, name: str) -> bytes:
        """Run a one-shot service to its end, which must be a good one."""
        done = subprocess.run(
            _argv(OURS[name]),
            cwd=self._folder,
            env=self.environment(name),
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stderr.decode()[-2000:]}"
        return done.stdout

    def start(self, name: str, replica: str = "") -> None:
        """Start a service, or with `--scale` one more of it."""
        key = name + replica
        self.environments[key] = self.environment(name)
        with self.log(key).open("wb") as log:
            self.running[key] = subprocess.Popen(
                _argv(OURS[name]), cwd=self._folder, env=self.environments[key], stdout=log, stderr=log
            )

    def up(self) -> None:
        """Every service once all it depends on is there."""
        waiting = dict(OURS)
        while waiting:
            ready = [name for name, service in waiting.items() if not set(service["depends_on"]) & set(waiting)]
            assert ready, f"a circle in depends_on: {sorted(waiting)}"
            for name in ready:
                self.once(name) if waiting.pop(name)["restart"] == "no" else self.start(name)

    def down(self) -> dict[str, int]:
        """SIGTERM to all; their exit codes."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        return {name: process.wait(timeout=30) for name, process in self.running.items()}

    def alive(self) -> bool:
        ended = {name: self.log(name).read_text()[-2000:] for name, p in self.running.items() if p.poll() is not None}
        assert not ended, ended
        return True

    def kill(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()


def _answers(probe: list[str], environment: dict[str, str]) -> bool:
    return subprocess.run(probe, env=environment, check=False, timeout=20).returncode == 0


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return cast(int, taken.getsockname()[1])


@pytest.fixture
def deployment(stack: Endpoints, prefix: str, tmp_path: Path) -> Iterator[Deployment]:
    cache = redis.Redis.from_url(stack.redis_url, db=CACHE_DB)
    cache.flushdb()
    deployment = Deployment(stack, prefix, tmp_path)
    with ExitStack() as end:
        end.callback(cache.close)
        end.callback(cache.flushdb)
        end.callback(deployment.kill)
        yield deployment


@pytest.mark.integration
@pytest.mark.slow
def test_a_record_goes_the_whole_way(deployment: Deployment, settings: Settings) -> None:
    """Records are scored and counted, probes answer, replicas have names of their own, SIGTERM ends each with 0."""
    deployment.up()
    deployment.start("scorer", "#2")
    topics = Topics.of(settings.topic_prefix, districts())

    def values(topic: str) -> list[dict[str, Any]]:
        return [msgspec.json.decode(m.value()) for batch in read_all(settings, topic) for m in batch]

    (first, *_) = eventually(lambda: deployment.alive() and values(topics.predictions), 60, what="a prediction")
    assert first["model_version"] == "v1"
    assert first["route"] == "champion"
    assert first["record"]["record_id"] == first["record_id"] in {r["record_id"] for r in values(topics.records)}
    eventually(lambda: deployment.alive() and values(topics.panes), 60, what="a pane of counts")
    for name, environment in deployment.environments.items():
        probe = [
            sys.executable if part == "python" else part for part in OURS[name.split("#")[0]]["healthcheck"]["test"][1:]
        ]
        # The trainer comes last and steps back for the others: like Docker, ask again.
        eventually(partial(_answers, probe, environment), 60, what=f"health of {name}")
        (port,) = (environment[key] for key in PORTS if key in environment)
        page = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(page, timeout=5) as answer:
            assert b"longshore_last_beat_timestamp_seconds" in answer.read(), name
    served = f"http://127.0.0.1:{deployment.environments['serve']['LONGSHORE_SERVE__PORT']}/v2/models/default/infer"
    body = b'{"inputs": [{"name": "latitude", "datatype": "FP64", "shape": [1], "data": [37.5]}]}'
    with urllib.request.urlopen(served, body, timeout=5) as answer:
        assert msgspec.json.decode(answer.read())["model_version"] == "v1"
    slots = Path(deployment.environments["scorer"]["LONGSHORE_HOME"]) / "instances"
    assert sorted(path.name[-13:] for path in slots.glob("*scorer-*")) == ["scorer-0.lock", "scorer-1.lock"]
    deployment.once("first-model")
    versions = list((Path(deployment.environments["scorer"]["LONGSHORE_REGISTRY_URL"])).rglob("manifest.json"))
    assert len(versions) == 1, "a second `up` trained a second first model"
    assert deployment.down() == dict.fromkeys(deployment.running, 0)
