"""A model and its services for the programs that pip cannot install. A program that is absent fails, it never skips."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services import Services, free_port, services, settings_for

from longshore.local.stack import Endpoints

PREFIX = "system."
DATABASE = 13


def program(name: str) -> str:
    """Where it is."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, f"{name} is not installed: run `make test-system`, which installs it or says how"
    return found


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("system")


@pytest.fixture(scope="session")
def run(stack: Endpoints, folder: Path) -> Iterator[Services]:
    """A trained model in a registry, and how to start what serves it."""
    settings = settings_for(stack, PREFIX, folder)
    with services(settings, stack, folder, DATABASE) as (run, _cache):
        assert run.once("train", "--rows", "2000")["version"] == "v1"
        yield run


@pytest.fixture(scope="session")
def serve(run: Services) -> int:
    """The port of a running `longshore serve`; whoever asks waits for it to answer."""
    port = free_port()
    run.start("serve", "--port", str(port))
    return port
