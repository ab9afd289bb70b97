"""The registry's back ends under test: a new one is a function from a fresh folder to a URL, and one line here.

S3 is raced by `make extras-check`, on a local moto server; nothing leaves the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.extras import extra

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


@pytest.fixture(params=[*BACKENDS, "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """As `registry_url`, and a bucket, whose files are no local ones."""
    if request.param == "s3":
        return f"{request.getfixturevalue('s3')}/{uuid.uuid4().hex}"
    return BACKENDS[request.param](tmp_path / "registry")


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A bucket on a server in this process; children find it by their environment."""
    moto = extra("moto.server")
    s3fs = extra("s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem().mkdir("longshore")
        yield "s3://longshore"
    server.stop()


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
