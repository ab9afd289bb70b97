"""Episodes with a crash in each: one request and one training run, with one outcome, for each.

The long form, with 200 of them, is `python -m tests.faults.episodes`.
"""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from pydantic import SecretStr
from tests.faults.episodes.__main__ import judged
from tests.faults.episodes.run import profiles, run, world

from longshore.config import MonitorSettings, Settings
from longshore.local.stack import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.slow, pytest.mark.long]

EPISODES = 6
DATABASE = 13
"""Of the session's Redis: the cache's keys carry no prefix."""


def test_an_episode_asks_once_whoever_dies(settings: Settings, stack: Endpoints, tmp_path: Path) -> None:
    url = SecretStr(f"{stack.redis_url.rstrip('/')}/{DATABASE}")
    monitor = MonitorSettings(cooldown_windows=1, min_fresh_labels=50)
    own = settings.model_copy(update={"redis_url": url, "monitor": monitor})
    with world(own, tmp_path, profiles(), seed=1) as one:
        happened = run(one, EPISODES, click.echo)
        one.end()
        wrong = judged(one, happened)
    assert wrong == [], f"logs in {tmp_path}"
    assert happened == EPISODES
