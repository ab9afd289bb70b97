"""Promotes a model and kills itself (SIGKILL) after its k-th step; then fresh processes converge.

`promoting_process.py FOLDER BOOTSTRAP REDIS_URL PREFIX`. For each k until a promotion survives, one line of JSON: the
step it died after, and what registry, Redis and model.events hold once a projector of another process has run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import redis
from confluent_kafka import Producer
from pydantic import SecretStr
from tests.faults.forking import in_child

from longshore.config import Settings
from longshore.kafka import model_events
from longshore.kafka.admin import create_topics
from longshore.kafka.model_events import ModelEventLog
from longshore.projector import Projector
from longshore.redis_store import ModelCache
from longshore.registry import Registry
from longshore.topics import TopicSpec

TICKS = 5
"""Housekeeping ticks every 2 s: five are the ten seconds that may pass."""


class Steps:
    """Counts everything that has an effect outside this process, and ends it with SIGKILL after number `last`."""

    def __init__(self, last: int, told: Path) -> None:
        self._last = last
        self._told = told
        self._count = 0

    def after(self, name: str) -> None:
        self._count += 1
        if self._count == self._last:
            self._told.write_text(name)
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            detail = f" {args[1]}" if name == "execute_command" else ""
            self.after(f"{name}{detail}")
            return result

        setattr(owner, name, counted)


def arm(steps: Steps) -> None:
    """Watch every file, Redis and Kafka step of a promotion."""
    for name in ("fsync", "link", "rename"):
        steps.watch(os, name)
    steps.watch(redis.Redis, "execute_command")

    class Watched(Producer):  # type: ignore[misc]
        def init_transactions(self, *args: Any) -> None:
            super().init_transactions(*args)
            steps.after("init_transactions")

        def produce(self, *args: Any, **kwargs: Any) -> None:
            super().produce(*args, **kwargs)
            super().flush()
            steps.after("produce, on the broker")

        def commit_transaction(self, *args: Any) -> None:
            super().commit_transaction(*args)
            steps.after("commit_transaction")

    model_events.Producer = Watched  # type: ignore[misc]


class Case:
    """One promotion and its aftermath: a registry, a topic and an emptied Redis of its own."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        assert settings.redis_url is not None
        self.settings = settings
        self.told = folder / "killed-after"
        self.registry = Registry.open(str(folder / "registry"), "m")
        self.cache = ModelCache(settings.redis_url.get_secret_value())
        self.log = ModelEventLog(settings, f"{settings.topic_prefix}model.events")
        self.projector = Projector(settings, self.registry, self.cache, self.log)

    def promote(self, generation: int) -> None:
        version = self.registry.register({"model.onnx": b"model %d" % generation}, {"trigger_id": f"t{generation}"})
        self.registry.move_alias(
            "champion", version, expected_generation=generation - 1, trigger_id=f"t{generation}", actor="a", reason="r"
        )
        self.projector.tick()

    def die_at(self, last: int) -> None:
        """A champion of generation 1, then one of generation 2 up to the step that kills."""
        redis.Redis.from_url(self.settings.redis_url.get_secret_value()).flushdb()  # type: ignore[union-attr]
        create_topics(self.settings, [TopicSpec(f"{self.settings.topic_prefix}model.events", 1, {})])
        self.promote(1)
        arm(Steps(last, self.told))
        self.promote(2)

    def converge(self) -> None:
        pending = self.projector.tick()
        for _ in range(TICKS - 1):
            pending = self.projector.tick() if pending else pending
        alias, active = self.registry.alias(), self.cache.active()
        state = {
            "after": self.told.read_text() if self.told.exists() else "",
            "pending": pending,
            "alias": alias,
            "active": active,
            "blob": (self.cache.blob(active.sha256) or b"").decode() if active else None,
            "damage": [self.registry.verify(version) for version in self.registry.versions()],
            "expected_events": self.registry.events(),
            "events": self.log.read(),
        }
        print(json.dumps(msgspec.to_builtins(state)), flush=True)  # noqa: T201  # the result


def die_at(folder: Path, settings: Settings, last: int) -> None:
    Case(folder, settings).die_at(last)


def converge(folder: Path, settings: Settings) -> None:
    Case(folder, settings).converge()


def main() -> None:
    folder, bootstrap, url, prefix = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    survived, last = False, 0
    while not survived:
        last += 1
        here = folder / str(last)
        here.mkdir()
        settings = Settings(bootstrap_servers=bootstrap, redis_url=SecretStr(url), topic_prefix=f"{prefix}{last}.")
        # Each process connects for itself: nothing is opened before the fork.
        ended = in_child(partial(die_at, here, settings, last))
        if ended not in (0, -signal.SIGKILL):
            sys.exit(f"step {last}: the promotion ended with {ended}")
        survived = ended == 0
        if in_child(partial(converge, here, settings)):
            sys.exit(f"step {last}: no convergence")


if __name__ == "__main__":
    main()
