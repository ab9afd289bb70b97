"""A Kafka and a Redis for each test process, settings that point to them; each test works under its own prefix."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from tests.services import settings_for, train_a_champion

from longshore.config import Settings
from longshore.local.stack import Endpoints, LocalStack

# pytest-xdist tells its processes how wide the terminal is; what a command prints into a pipe must not depend on that.
os.environ.pop("COLUMNS", None)
hypothesis_settings.register_profile(
    "ci", derandomize=False, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("ci")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Real servers; they die with the run, however it ends. A failure to start fails the tests, it never skips them."""
    with LocalStack(tmp_path_factory.mktemp("stack"), ephemeral=True) as endpoints:
        yield endpoints


@pytest.fixture(scope="session")
def kafka(stack: Endpoints) -> str:
    """The embedded Kafka's bootstrap servers."""
    return stack.bootstrap_servers


@pytest.fixture(scope="session")
def redis_url(stack: Endpoints) -> str:
    """The embedded Redis' address."""
    return stack.redis_url


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a champion, as `train --rows 2000` makes it: made once for all test processes, to be copied
    (`Services.adopt`).
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        home = shared / "trained"
        if not home.exists():
            making = shared / "trained-unfinished"
            train_a_champion(making)
            making.rename(home)
    return home


@pytest.fixture
def prefix() -> str:
    """A topic prefix no other test has."""
    return f"t{uuid.uuid4().hex[:8]}."


@pytest.fixture
def settings(stack: Endpoints, prefix: str, tmp_path: Path) -> Settings:
    """Settings for the embedded servers, with a registry and a home of the test's own."""
    return settings_for(stack, prefix, tmp_path)
