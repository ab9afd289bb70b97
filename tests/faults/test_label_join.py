"""Joiners killed and rebalanced under a stream: the errors they tell are those of an undisturbed batch.

The long form, with 30 kills and every kind of fault, is `python -m tests.faults.label_join`.
"""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from tests.faults.label_join.run import run, world

from longshore.config import Settings

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.slow]

KILLS = 3


def test_errors_are_those_of_an_undisturbed_batch_whatever_is_done_to_the_joiners(
    settings: Settings, tmp_path: Path
) -> None:
    """Rows, sums, intervals and segments of every pane and version, and what is left out, to the last one."""
    with world(settings, tmp_path, seed=1, records=2_500) as one:
        wrong = run(one, KILLS, click.echo)
        assert wrong == [], one.services.logs()
    assert sum(count for fault, count in one.done.items() if fault.startswith("kill")) == KILLS
    assert sum(delta.n for delta in one.seen.deltas) > 2_000
