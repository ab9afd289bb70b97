"""Bad input at the command line: one line naming the thing and the mend, the right exit code, nothing half-written."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def longshore(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
    return subprocess.run(
        [sys.executable, "-m", "longshore.cli.main", *arguments],
        cwd=cwd, env=clean | environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr, result.stderr
    return result.stderr.strip().splitlines()[-1]


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


CASES = {
    "unknown command": (["teleport"], {}, 2, "teleport"),
    "unknown option": (["score", "--speed", "9"], {}, 2, "--speed"),
    "config file missing": (["--config", "gone.toml", "config", "show"], {}, 2, "gone.toml"),
    "setting out of range": (["config", "show"], {"LONGSHORE_MONITOR__PANE_S": "-1"}, 2, "monitor.pane_s"),
    "schema file missing": (["config", "validate"], {"LONGSHORE_SCHEMA_FILE": "gone.toml"}, 2, "gone.toml"),
    "no Kafka set": (["produce", "--count", "1", "--generated"], {}, 2, "longshore local up"),
    "unknown scenario": (["produce", "--scenario", "meteor"], {}, 2, "meteor"),
    "training file missing": (["train", "--data", "gone.csv"], {}, None, "gone.csv"),
    "reference missing": (["drift", "compare", "gone.csv", "gone2.csv"], {}, 2, "gone.csv"),
    "registry of an unknown kind": (["model", "list"], {"LONGSHORE_REGISTRY_URL": "ftp://x/y"}, 2, "ftp"),
    "no version yet": (["model", "show", "champion"], {}, None, "longshore train"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_call_is_one_line_with_the_mend(case: str, tmp_path: Path) -> None:
    arguments, environment, code, named = CASES[case]
    result = longshore(*arguments, cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"), **environment)
    assert named in last_line(result)
    assert result.returncode == code if code is not None else result.returncode in (1, 2)
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("longitude,latitude\n1,2\n", "median_income"),
        ("", "rows.csv"),
        ("\x00\x01\x02", "rows.csv"),
    ],
    ids=["missing columns", "empty", "binary"],
)
def test_an_unusable_training_file_leaves_no_version(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(text)
    result = longshore("train", "--data", "rows.csv", cwd=tmp_path)
    assert named in last_line(result)
    assert result.returncode == 1
    assert not list(tmp_path.rglob("manifest.json"))


def test_an_unreachable_broker_is_named(tmp_path: Path) -> None:
    address = closed_port()
    result = longshore(
        "topics", "create", cwd=tmp_path, LONGSHORE_BOOTSTRAP_SERVERS=address, LONGSHORE_KAFKA__REQUEST_TIMEOUT_S="2"
    )
    assert address in last_line(result)
    assert result.returncode == 1


def test_an_unreachable_redis_is_a_finding_without_its_password(tmp_path: Path) -> None:
    address = closed_port()
    result = longshore("doctor", cwd=tmp_path, LONGSHORE_REDIS_URL=f"redis://user:hunter2@{address}/0")
    assert result.returncode == 1
    assert f"{address}" in result.stdout
    assert "hunter2" not in result.stdout + result.stderr


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = longshore(
            "score", cwd=tmp_path, LONGSHORE_SERVER__PORT=port, LONGSHORE_BOOTSTRAP_SERVERS="127.0.0.1:1"
        )
    assert port in last_line(result)
    assert result.returncode == 2


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = longshore("--home", "file/home", "demo", cwd=tmp_path)
    assert "file/home" in last_line(result)
    assert result.returncode == 2
