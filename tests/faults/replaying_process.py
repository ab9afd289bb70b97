"""Replays dead letters and kills itself (SIGKILL) after its k-th step; then a fresh process replays the rest.

`replaying_process.py BOOTSTRAP PREFIX`. For each k until a replay survives, one line of JSON: the step it died after,
what the survivor did, and how often each dead letter's record was replayed and is in the journal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from typing import Any

from confluent_kafka import Producer
from tests.dead_letter_world import DeadLetters, originals
from tests.faults.forking import in_child

from longshore.config import Settings, TopicsSettings
from longshore.kafka import replay as replaying
from longshore.kafka.reader import read_all
from longshore.topics import Topics

LETTERS, BATCH = 3, 2


class Steps:
    """Counts everything that has an effect on the broker, and ends this process with SIGKILL after number `last`."""

    def __init__(self, last: int, pipe: int) -> None:
        self._last, self._pipe, self._count = last, pipe, 0

    def after(self, name: str) -> None:
        self._count += 1
        if self._count == self._last:
            os.write(self._pipe, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)


def watched(steps: Steps) -> type[Any]:
    class Watched(Producer):  # type: ignore[misc]
        def init_transactions(self, *args: Any) -> None:
            super().init_transactions(*args)
            steps.after("init")

        def produce(self, topic: str, *args: Any, **kwargs: Any) -> None:
            super().produce(topic, *args, **kwargs)
            super().flush()
            steps.after("produce to " + ("the journal" if topic.endswith(".replays") else "the records"))

        def commit_transaction(self, *args: Any) -> None:
            super().commit_transaction(*args)
            steps.after("commit")

    return Watched


def die_at(settings: Settings, last: int, pipe: int) -> None:
    world = DeadLetters(settings)
    world.add(originals(LETTERS))
    replaying.Producer = watched(Steps(last, pipe))  # type: ignore[misc]
    world.replay(batch=BATCH)


def converge(settings: Settings, died_after: str) -> None:
    world = DeadLetters(settings)
    results = world.replay(batch=BATCH)
    topics = Topics.of(settings.topic_prefix, world.schema)
    replayed: Counter[str] = Counter()
    for batch in read_all(settings, topics.records):
        for message in batch:
            origin = dict(message.headers() or []).get("replay-of")
            replayed.update([origin.decode()] if origin else [])
    entries = [m for batch in read_all(settings, topics.replays) for m in batch]
    state = {
        "after": died_after,
        "outcomes": {outcome.value: count for outcome, count in world.outcomes(results).items()},
        "replayed": replayed,
        "journal": Counter((m.key() or b"").decode() for m in entries),
        "targets": sorted(json.loads(m.value() or b"")["replayed_as"] for m in entries),
    }
    print(json.dumps(state), flush=True)  # noqa: T201  # the result


def main() -> None:
    bootstrap, prefix = sys.argv[1:]
    for last in range(1, 100):
        settings = Settings(
            bootstrap_servers=bootstrap, topic_prefix=f"{prefix}{last}.", topics=TopicsSettings(partitions=2)
        )
        reading, writing = os.pipe()
        status = in_child(lambda: die_at(settings, last, writing))  # noqa: B023  # it runs at once
        os.close(writing)
        died_after = os.read(reading, 100).decode()
        os.close(reading)
        assert status in (0, -signal.SIGKILL), f"a replay ended with {status}"
        assert in_child(lambda: converge(settings, died_after)) == 0  # noqa: B023
        if status == 0:
            return


if __name__ == "__main__":
    main()
