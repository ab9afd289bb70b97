"""kill -9 of a promoting process after each of its steps: registry, Redis and model.events agree nevertheless.

Invariants, whichever step was the last: no version is damaged; the alias is at generation 1 or 2, and Redis holds
exactly that one with its bytes; model.events holds each event of the registry once and no other; a projector in a
fresh process gets there within five ticks (ten seconds at its pace).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from longshore.config import Settings

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.slow]

SCRIPT = "tests.faults.promoting_process"
ROOT = Path(__file__).parents[2]


def _cases(settings: Settings, folder: Path) -> list[dict[str, Any]]:
    assert settings.redis_url is not None
    assert settings.bootstrap_servers is not None
    address = [settings.bootstrap_servers, settings.redis_url.get_secret_value(), settings.topic_prefix]
    command = [sys.executable, "-m", SCRIPT, str(folder), *address]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_a_promotion_killed_after_any_step_converges(settings: Settings, tmp_path: Path) -> None:
    cases = _cases(settings, tmp_path)
    last_steps = [case["after"] for case in cases]
    for step in ("rename", "link", "execute_command SET", "execute_command EVALSHA", "init_transactions"):
        assert step in last_steps, last_steps
    assert {"produce, on the broker", "commit_transaction"} < set(last_steps)
    for case in cases:
        _check(case)
    assert [cases[0]["alias"]["generation"], cases[-1]["alias"]["generation"]] == [1, 2]
    assert (len(cases[0]["events"]), len(cases[-1]["events"])) == (2, 4)


def _check(case: dict[str, Any]) -> None:
    step, generation = case["after"], case["alias"]["generation"]
    assert case["pending"] == [], step
    assert not any(case["damage"]), step
    assert generation in (1, 2), step
    assert (case["active"]["generation"], case["active"]["version"]) == (generation, case["alias"]["version"]), step
    assert case["blob"] == f"model {generation}", step
    assert case["events"] == case["expected_events"], step
