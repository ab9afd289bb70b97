"""A notifier killed while a receiver has taken a state change and not said so: it is told again under its id."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.alert_world import SECRET, STEPS, Receiver, committed, episodes, write
from tests.services import services
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.admin import create_topics, end_offsets
from longshore.local.stack import Endpoints
from longshore.schema import districts
from longshore.topics import Topics

pytestmark = [pytest.mark.fault, pytest.mark.integration]


def test_a_kill_in_the_middle_of_a_request_repeats_one_and_loses_none(
    settings: Settings, stack: Endpoints, tmp_path: Path
) -> None:
    topics = Topics.of(settings.topic_prefix, districts())
    create_topics(settings, topics.specs(settings))
    write(settings, topics.events, episodes(0, 5))
    group = f"{settings.topic_prefix}{settings.monitor.group}.notify.webhook.pager"
    with Receiver() as receiver:
        receiver.act(200, 500, 200, 200, "slow")
        variables = {
            "LONGSHORE_ALERTS__WEBHOOKS__PAGER__URL": receiver.url,
            "LONGSHORE_ALERTS__WEBHOOKS__PAGER__SECRET": SECRET,
            "LONGSHORE_ALERTS__BACKOFF_S": "0.05",
            "LONGSHORE_ALERTS__LOG": "false",
            "LONGSHORE_KAFKA__SESSION_TIMEOUT_MS": "1000",
        }
        with services(settings, stack, tmp_path, 11, **variables) as (run, _cache):
            killed = run.start("monitor", "--role", "notify")
            eventually(receiver.inside.is_set, 60, what="the slow request")
            before = {0: receiver.taken()[-1]["source"]["offset"]}
            eventually(lambda: committed(settings, group, topics.events) == before, what="what came before")
            killed.kill()
            killed.wait()
            receiver.let_go()
            second = run.start("monitor", "--role", "notify")
            eventually(lambda: len(receiver.taken()) == 20, 60, what="all state changes")
            end = end_offsets(settings, topics.events)
            eventually(lambda: committed(settings, group, topics.events) == end, what="its position")
            second.terminate()
            assert second.wait(20) == 0
            assert SECRET not in run.logs() and "team=a" not in run.logs()
        assert receiver.told() == [(f"e{number}", kind) for number in range(5) for kind in STEPS]
        assert receiver.wrong() == []
        tries = Counter(one.id for one in receiver.received)
        assert sorted(tries.values()) == [1] * 18 + [2, 2], "the 500, and the one it was killed in"
