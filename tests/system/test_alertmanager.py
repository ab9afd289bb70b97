"""A real Alertmanager is told by a real notifier: it fires, goes on, comes back after a restart, and is resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.alert_world import event, write
from tests.services import Services, free_port, settings_for
from tests.system.answering import get, serving
from tests.system.conftest import PREFIX, program
from tests.waiting import eventually

from longshore.local.stack import Endpoints

pytestmark = [pytest.mark.system, pytest.mark.slow]

TOPIC = f"{PREFIX}drift.events"
RESOLVE_S = 2
CONFIG = f"""
global: {{ resolve_timeout: {RESOLVE_S}s }}
route: {{ receiver: none }}
receivers: [{{ name: none }}]
"""


@contextmanager
def alertmanager(folder: Path, port: int) -> Iterator[str]:
    """One that remembers nothing of another; its address."""
    folder.mkdir()
    (folder / "alertmanager.yml").write_text(CONFIG)
    command = [
        program("prometheus-alertmanager"), f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with serving(command, folder, port) as url:
        yield url


def firing(url: str) -> list[dict[str, Any]]:
    status, content = get(f"{url}/api/v2/alerts?active=true")
    found: list[dict[str, Any]] = json.loads(content) if status == 200 else []
    return found


def test_an_episode_fires_until_it_is_over_whatever_restarts(
    run: Services, stack: Endpoints, folder: Path, tmp_path: Path
) -> None:
    settings = settings_for(stack, PREFIX, folder)
    port = free_port()
    with alertmanager(tmp_path / "first", port) as url:
        notifier = run.start(
            "monitor", "--role", "notify", LONGSHORE_ALERTS__ALERTMANAGERS__MAIN=f"http://127.0.0.1:{port}",
            LONGSHORE_ALERTS__REPEAT_S="0.5", LONGSHORE_ALERTS__BACKOFF_S="0.2",
            LONGSHORE_KAFKA__SESSION_TIMEOUT_MS="1000",
        )  # fmt: skip
        write(settings, TOPIC, [event("alert", "e1"), event("awaiting_labels", "e1")])
        (alert,) = eventually(lambda: firing(url), 60, what="the alert")
        expected = {
            "alertname": "LongshoreEpisode", "cause": "covariate", "episode": "e1", "model": "default",
            "severity": "warn", "stream_set": "ships",
        }  # fmt: skip
        assert alert["labels"] == expected
        waiting = lambda: [a for a in firing(url) if a["annotations"]["kind"] == "awaiting_labels"]  # noqa: E731
        (alert,) = eventually(waiting, 10, what="what came after")
        ends = alert["endsAt"]
        later = eventually(lambda: [a for a in firing(url) if a["endsAt"] > ends], 10, what="a repeat")
        assert later[0]["startsAt"] == alert["startsAt"]
    with alertmanager(tmp_path / "second", port) as url:
        (alert,) = eventually(lambda: firing(url), 20, what="the alert in one that was told nothing")
        notifier.kill()
        notifier.wait()
        eventually(lambda: not firing(url), 20, what="its own resolution, as nobody repeats it")
        notifier = run.start(
            "monitor", "--role", "notify", LONGSHORE_ALERTS__ALERTMANAGERS__MAIN=f"http://127.0.0.1:{port}",
            LONGSHORE_ALERTS__REPEAT_S="0.5", LONGSHORE_KAFKA__SESSION_TIMEOUT_MS="1000",
        )  # fmt: skip
        (again,) = eventually(lambda: firing(url), 60, what="the alert of a notifier that was told before")
        assert again["labels"] == expected
        write(settings, TOPIC, [event("resolved", "e1")])
        eventually(lambda: not firing(url), 20, what="its end")
        notifier.terminate()
        assert notifier.wait(20) == 0
