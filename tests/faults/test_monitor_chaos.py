"""Both monitor roles killed, paused and rebalanced under a drifting stream: they tell what an undisturbed batch tells.

The long form, with 50 kills and every kind of fault, is `python -m tests.faults.monitor_chaos`.
"""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from tests.faults.monitor_chaos.run import run, world
from tests.faults.monitor_chaos.story import LEAST_RECORDS

from longshore.config import Settings

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.slow]

KILLS = 6


def test_monitors_tell_the_same_whatever_is_done_to_them(settings: Settings, tmp_path: Path) -> None:
    """Every event and request byte for byte, once; every record and label counted once; the same last snapshot."""
    with world(settings, tmp_path, seed=1, records=LEAST_RECORDS) as one:
        wrong = run(one, KILLS, click.echo)
    assert wrong == [], f"logs in {tmp_path}"
    assert sum(count for fault, count in one.done.items() if fault.startswith("kill")) == KILLS
    assert one.done["pause count"] == 1
