"""Trainers killed at steps and moments: no half version, no second promotion, no lost request.

The long form, with 200 kills, is `python -m tests.faults.trainer_chaos`.
"""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from pydantic import SecretStr
from tests.faults.trainer_chaos.run import run, world

from longshore.config import Settings
from longshore.local.stack import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.slow]

KILLS = 4
DATABASE = 14
"""Of the session's Redis: the cache's keys carry no prefix."""


def test_no_request_is_lost_doubled_or_half_done(settings: Settings, stack: Endpoints, tmp_path: Path) -> None:
    own = settings.model_copy(update={"redis_url": SecretStr(f"{stack.redis_url.rstrip('/')}/{DATABASE}")})
    with world(own, tmp_path, seed=1, longest_s=3.0) as one:
        wrong = run(one, KILLS, click.echo)
        outcomes = one.outcomes()
    assert wrong == [], f"logs in {tmp_path}"
    assert one.done["kills"] >= KILLS
    assert outcomes["promoted"] and one.batches
