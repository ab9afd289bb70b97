"""A model and its services for the programs that pip cannot install. A program that is absent fails, it never skips."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.services import Services, free_port, services, settings_for

from longshore.local.stack import Endpoints

PREFIX = "system."
DATABASE = 13
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
"""Of Chromium: as root, without a screen, and asking nobody for anything of its own."""


def program(name: str) -> str:
    """Where it is."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, f"{name} is not installed: run `make test-system`, which installs it or says how"
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page at a width and in a scheme; at the end, no message on the console and no request but for the file."""
    name, scheme, width, scripts = request.param
    path: Path = request.getfixturevalue(name)
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
    )
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert said == []
    assert asked == [path.as_uri()]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("system")


@pytest.fixture(scope="session")
def run(stack: Endpoints, folder: Path, trained: Path) -> Iterator[Services]:
    """A trained model in a registry, and how to start what serves it."""
    settings = settings_for(stack, PREFIX, folder)
    with services(settings, stack, folder, DATABASE) as (run, _cache):
        run.adopt(trained)
        yield run


@pytest.fixture(scope="session")
def serve(run: Services) -> int:
    """The port of a running `longshore serve`; whoever asks waits for it to answer."""
    port = free_port()
    run.start("serve", "--port", str(port))
    return port
