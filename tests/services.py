"""`longshore …` as processes of their own on the embedded servers: started, watched, ended, and killed at the end."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import redis
from pydantic import SecretStr
from tests.waiting import eventually

from longshore.config import Settings
from longshore.local.stack import Endpoints

COMMAND = [sys.executable, "-m", "longshore.cli.main"]


class Services:
    """Processes under one topic prefix, one home and one Redis database."""

    def __init__(self, settings: Settings, folder: Path, variables: dict[str, str]) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        machine = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
        assert settings.redis_url is not None
        self.environment = machine | {
            "LONGSHORE_BOOTSTRAP_SERVERS": str(settings.bootstrap_servers),
            "LONGSHORE_REDIS_URL": settings.redis_url.get_secret_value(),
            "LONGSHORE_TOPIC_PREFIX": settings.topic_prefix,
            "LONGSHORE_REGISTRY_URL": settings.registry(),
            "LONGSHORE_HOME": str(settings.home),
            "LONGSHORE_TRAINER__SEARCH": "quick",
            "XDG_CACHE_HOME": str(folder / "cache"),
            **variables,
        }

    def once(self, *arguments: str) -> Any:
        """Run a command to its end, which must be a good one; what it printed as JSON."""
        done = subprocess.run(
            [*COMMAND, *arguments, "--output", "json"],
            env=self.environment,
            cwd=self._folder,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr.decode()[-3000:]}"
        return json.loads(done.stdout)

    def adopt(self, trained: Path) -> None:
        """Begin with the registry and the keys of a home where `train` was run before (the fixture `trained`)."""
        shutil.copytree(trained, self.environment["LONGSHORE_HOME"], dirs_exist_ok=True)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a service; its log is a file of the folder."""
        with (self._folder / f"{len(self._started)}-{arguments[0]}.log").open("wb") as log:
            process = subprocess.Popen(
                [*COMMAND, *arguments], env=self.environment | variables, cwd=self._folder, stdout=log, stderr=log
            )
        self._started.append(process)
        return process

    def wait_started(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a service catches signals: one that gets SIGTERM before it does dies of it."""
        log = self._folder / f"{self._started.index(process)}-{process.args[len(COMMAND)]}.log"  # type: ignore[index]
        eventually(lambda: b"service started" in log.read_bytes(), 60, what=f"start of {log.name}")

    def logs(self) -> str:
        """The end of every log: what to show when a test fails."""
        return "\n".join(f"{p.name}: {p.read_text()[-1500:]}" for p in sorted(self._folder.glob("*.log")))

    def kill(self) -> None:
        """End whatever still runs."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()


def train_a_champion(home: Path) -> None:
    """`longshore train` on 2,000 rows of the generator into an empty home, without Kafka and Redis."""
    home.mkdir()
    machine = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
    variables = {"LONGSHORE_HOME": str(home), "LONGSHORE_TRAINER__SEARCH": "quick"}
    arguments = ["train", "--rows", "2000", "--output", "json"]
    done = subprocess.run(
        [*COMMAND, *arguments], env=machine | variables, cwd=home, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert json.loads(done.stdout)["promoted"] is True


def settings_for(stack: Endpoints, prefix: str, folder: Path, **more: Any) -> Settings:
    """Settings for the embedded servers, with a registry and a home of their own in `folder`."""
    return Settings(
        bootstrap_servers=stack.bootstrap_servers,
        redis_url=SecretStr(stack.redis_url),
        topic_prefix=prefix,
        home=folder,
        registry_url=str(folder / "registry"),
        **more,
    )


@contextmanager
def services(
    settings: Settings, stack: Endpoints, folder: Path, database: int, **variables: str
) -> Iterator[tuple[Services, redis.Redis]]:
    """Services with an empty Redis database of their own: the cache's keys carry no topic prefix."""
    url = f"{stack.redis_url.removesuffix('/').rsplit('/', 1)[0]}/{database}"
    url = url if stack.redis_url.count("/") > 2 else f"{stack.redis_url}/{database}"
    cache = redis.Redis.from_url(url)
    cache.flushdb()
    address = {"LONGSHORE_REDIS_URL": url}
    running = Services(settings, folder, address | variables)
    try:
        yield running, cache
    finally:
        running.kill()
        cache.flushdb()
        cache.close()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return cast(int, taken.getsockname()[1])
