"""Replays that are killed, stopped or overtaken: each dead letter is replayed once all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.dead_letter_world import DeadLetters, originals
from tests.services import services
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.dead_letters import read_journal
from longshore.local.stack import Endpoints

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_a_replay_killed_after_any_step_leaves_each_replayed_once(settings: Settings) -> None:
    """Two transactions of two records and one: init, 2 records, 2 entries, commit, 1 record, 1 entry, commit."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.faults.replaying_process",
            str(settings.bootstrap_servers),
            settings.topic_prefix,
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3_000:]
    states = [json.loads(line) for line in done.stdout.splitlines()]
    records, journal = "produce to the records", "produce to the journal"
    assert [state["after"] for state in states] == [
        "init", records, records, journal, journal, "commit", records, journal, "commit", "",
    ]  # fmt: skip
    for step, state in enumerate(states):
        what = f"killed after step {step + 1}, {state['after'] or 'none'}: {state}"
        assert len(state["replayed"]) == 3, what
        assert set(state["replayed"].values()) == set(state["journal"].values()) == {1}, what
        assert set(state["replayed"]) == set(state["journal"]), what
        assert len(set(state["targets"])) == 3, what
        before = 0 if step < 5 else 2 if step < 8 else 3
        expected = {"already_replayed": before, "replayed": 3 - before}
        assert state["outcomes"] == {name: count for name, count in expected.items() if count}, what


def test_a_replay_killed_or_overtaken_under_way_leaves_each_replayed_once(
    settings: Settings, stack: Endpoints, tmp_path: Path
) -> None:
    """Three processes over the same dead letters: one is overtaken, one is killed, one comes to the end."""
    world = DeadLetters(settings)
    world.add(originals(4_500))
    arguments = ("dlq", "replay", "--all", "--output", "json", "--batch", "3")

    def replayed() -> int:
        return len(read_journal(settings, world.topics))

    with services(settings, stack, tmp_path, 9) as (run, _cache):
        first = run.start(*arguments)
        at_first = eventually(replayed, 60, what="a first replay")
        second = run.start(*arguments)
        code = first.wait(60)
        assert code == 1, f"the first one ended with {code} before it was overtaken: {run.logs()}"
        assert "another replay took over" in run.logs()
        seen = max(at_first, replayed())
        eventually(lambda: replayed() > seen, 60, what="the second one's replays")
        second.kill()
        assert second.wait(10) != 0
        assert replayed() < 4_500, "it was killed too late to tell anything"
        last = run.once("dlq", "replay", "--all")
    assert set(last["outcomes"]) == {"replayed", "already_replayed"}
    assert sum(last["outcomes"].values()) == 4_500
    world.check_each_replayed_once()
