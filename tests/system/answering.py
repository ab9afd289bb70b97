"""Asking a server that may not be there yet."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import eventually


def get(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and content; status 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, body, timeout=10) as answer:  # noqa: S310  (this machine)
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def ready(port: int, path: str = "/readyz") -> str:
    """The address of a server on this machine, once it is ready."""
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: get(url + path)[0] == 200, 90, what=f"an answer of {url}{path}")
    return url


@contextmanager
def serving(command: list[str], folder: Path, port: int) -> Iterator[str]:
    """A program of another's that answers on `port`, its log in `folder`; its address."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield ready(port, "/-/ready")
    finally:
        process.terminate()
        process.wait(30)


def predict(url: str, **values: Any) -> dict[str, Any]:
    """The answer to one row."""
    inputs = [
        {"name": name, "datatype": "BYTES" if isinstance(value, str) else "FP64", "shape": [1], "data": [value]}
        for name, value in values.items()
    ]
    status, content = get(f"{url}/v2/models/default/infer", json.dumps({"inputs": inputs}).encode())
    assert status == 200, content
    answer: dict[str, Any] = json.loads(content)
    return answer
