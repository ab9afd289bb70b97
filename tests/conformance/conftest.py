"""The registry's back ends under test: a new one is a function from a fresh folder to a URL, and one line here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RACER = Path(__file__).with_name("registry_racer.py")
RACERS = 8

BACKENDS: dict[str, Callable[[Path], str]] = {
    "path": str,
    "file-url": lambda folder: folder.as_uri(),
}


@pytest.fixture(params=BACKENDS.values(), ids=BACKENDS)
def registry_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty registry's address, once for each back end."""
    url: str = request.param(tmp_path / "registry")
    return url


@pytest.fixture
def race() -> Callable[[str, str, int], list[list[Any]]]:
    """Concurrent creators in processes of their own."""
    return _race


def _race(url: str, action: str, rounds: int) -> list[list[Any]]:
    """Run `registry_racer.py` in as many processes, started together; what each of them got."""
    command = [sys.executable, str(RACER), url, action, str(rounds)]
    running = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(RACERS)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        results = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert [process.returncode for process in running] == [0] * RACERS
    return results
