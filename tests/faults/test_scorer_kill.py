"""Scorers killed with -9 inside their transactions, under load: every record comes out once, for every reader.

A victim is stopped first and killed only once the broker holds a transaction of it that does not end: SIGKILL then
falls between its first output and its commit, not somewhere near.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.scoring import Load, OpenTransactions, concurrently, kill_inside_a_transaction, read_later
from tests.services import services
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.admin import create_topics
from longshore.local.stack import Endpoints
from longshore.schema import districts
from longshore.topics import Topics

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.slow]

TURNS, RECORDS = 4, 20_000


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_every_record_comes_out_once(
    settings: Settings, stack: Endpoints, tmp_path: Path, trained: Path, protocol: str
) -> None:
    """Kills with the classic protocol; comings and goings with KIP-848, which moves single partitions
    (`test_recovery.py` has the other halves).
    """
    topics = Topics.of(settings.topic_prefix, districts())
    create_topics(settings, topics.specs(settings))
    outputs = [topics.predictions, topics.dead_letters]
    transactions = OpenTransactions(settings, topics.predictions)
    variables = {"LONGSHORE_KAFKA__GROUP_PROTOCOL": protocol}
    with (
        services(settings, stack, tmp_path, 7, **variables) as (run, _cache),
        concurrently(settings, outputs) as concurrent,
    ):
        run.adopt(trained)
        scorers = [run.start("score", "--instance", f"s{slot}") for slot in range(2)]
        load = Load(settings, topics.records, at_least=RECORDS)
        load.start()
        for turn in range(TURNS):
            seen = len(concurrent.seen)
            eventually(lambda seen=seen: len(concurrent.seen) > seen + 500, what=f"progress before turn {turn}")  # type: ignore[misc]
            slot = turn % 2
            if protocol == "classic":
                kill_inside_a_transaction(scorers[slot], transactions)
            else:
                run.wait_started(scorers[slot])
                scorers[slot].terminate()
                assert scorers[slot].wait(20) == 0, run.logs()
            scorers[slot] = run.start("score", "--instance", f"s{slot}")
        load.last.set()
        load.join(40)
        assert len(load.keys) == load.sent >= RECORDS
        eventually(lambda: len(concurrent.seen) >= load.sent, 40, what="every record")
        for scorer in scorers:
            run.wait_started(scorer)
            scorer.terminate()
        assert [scorer.wait(20) for scorer in scorers] == [0, 0], run.logs()
        later = read_later(settings, outputs)
        later.check(load.keys)
        eventually(lambda: concurrent.seen.total() >= later.seen.total(), 5)
    concurrent.check(load.keys)
    assert transactions.now() == {}
