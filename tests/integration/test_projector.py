"""Registry, Redis and model.events end up with one truth, whatever was lost, and without doubling an event."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from longshore.config import Settings
from longshore.errors import UnavailableError
from longshore.kafka.admin import create_topics
from longshore.kafka.model_events import ModelEventLog
from longshore.kafka.reader import read_all
from longshore.kafka.writer import Writer
from longshore.projector import FULL_CHECK_EVERY, Projector
from longshore.records import ModelEvent
from longshore.redis_store import BLOB, POINTER, ModelCache
from longshore.registry import Registry
from longshore.topics import TopicSpec

pytestmark = pytest.mark.integration


@pytest.fixture
def topic(settings: Settings) -> str:
    name = f"{settings.topic_prefix}model.events"
    create_topics(settings, [TopicSpec(name, 1, {})])
    return name


@pytest.fixture
def raw(settings: Settings) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(url_of(settings))
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def cache(settings: Settings, raw: redis.Redis) -> Iterator[ModelCache]:
    cache = ModelCache(url_of(settings))
    yield cache
    cache.close()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.open(str(tmp_path / "registry"), "m")


def url_of(settings: Settings) -> str:
    assert settings.redis_url is not None
    return settings.redis_url.get_secret_value()


def promote(registry: Registry, count: int = 1) -> None:
    for _ in range(count):
        current = registry.alias()
        expected = current.generation if current else 0
        version = registry.register({"model.onnx": b"model %d" % expected}, {"trigger_id": f"t{expected}"})
        registry.move_alias("champion", version, expected_generation=expected, trigger_id="", actor="a", reason="r")


class CountingLog:
    """A log that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def append_missing(self, events: list[ModelEvent]) -> int:
        self.asked += 1
        return len(events)


def in_redis(cache: ModelCache) -> tuple[int, bytes | None]:
    active = cache.active()
    assert active is not None
    return active.generation, cache.blob(active.sha256)


def test_one_tick_brings_everything_and_the_next_does_nothing(
    settings: Settings, topic: str, registry: Registry, cache: ModelCache
) -> None:
    log = ModelEventLog(settings, topic)
    projector = Projector(settings, registry, cache, log)
    assert projector.tick() == []
    assert log.read() == []
    promote(registry, 3)
    registry.record_rejection("v2", trigger_id="t1", actor="gate", reason="worse")
    assert projector.tick() == []
    assert in_redis(cache) == (3, b"model 2")
    assert log.read() == registry.events()
    for _ in range(FULL_CHECK_EVERY + 1):
        assert projector.tick() == []
    assert log.read() == registry.events()


def test_events_are_keyed_by_model(settings: Settings, topic: str, registry: Registry) -> None:
    promote(registry)
    Projector(settings, registry, None, ModelEventLog(settings, topic)).tick()
    assert {message.key() for batch in read_all(settings, topic) for message in batch} == {b"m"}


def test_kafka_is_left_alone_when_nothing_happened(settings: Settings, registry: Registry) -> None:
    promote(registry)
    log = CountingLog()
    projector = Projector(settings, registry, None, log)  # type: ignore[arg-type]
    for _ in range(3):
        projector.tick()
    assert log.asked == 1


def test_what_redis_lost_comes_back(
    settings: Settings, registry: Registry, cache: ModelCache, raw: redis.Redis
) -> None:
    projector = Projector(settings, registry, cache, None)
    promote(registry, 2)
    projector.tick()
    active = cache.active()
    assert active is not None
    losses = [raw.flushdb, lambda: raw.delete(POINTER), lambda: raw.delete(BLOB + active.sha256)]
    losses += [lambda: raw.set(POINTER, b"{broken"), lambda: raw.set(BLOB + active.sha256, b"cut")]
    for lose in losses:
        lose()
        assert projector.tick() == []
        assert in_redis(cache) == (2, b"model 1")


def test_bytes_damaged_in_place_are_mended_within_a_full_check(
    settings: Settings, registry: Registry, cache: ModelCache, raw: redis.Redis
) -> None:
    projector = Projector(settings, registry, cache, None)
    promote(registry)
    projector.tick()
    active = cache.active()
    assert active is not None
    raw.set(BLOB + active.sha256, b"MODEL 0")
    for _ in range(FULL_CHECK_EVERY):
        projector.tick()
    assert cache.blob(active.sha256) == b"model 0"


def test_a_higher_generation_is_never_lowered(
    settings: Settings, tmp_path: Path, registry: Registry, cache: ModelCache
) -> None:
    promote(registry, 3)
    Projector(settings, registry, cache, None).tick()
    other = Registry.open(str(tmp_path / "other"), "m")
    promote(other, 1)
    pending = Projector(settings, other, cache, None).tick()
    assert "generation 3" in pending[0]
    assert "generation 1" in pending[0]
    assert in_redis(cache)[0] == 3


def test_another_models_pointer_is_left_alone(
    settings: Settings, tmp_path: Path, registry: Registry, cache: ModelCache
) -> None:
    promote(registry, 1)
    Projector(settings, registry, cache, None).tick()
    other = Registry.open(str(tmp_path / "registry"), "another")
    promote(other, 5)
    assert "its own Redis database" in Projector(settings, other, cache, None).tick()[0]
    assert in_redis(cache)[0] == 1


def test_each_place_is_mended_although_the_other_is_away(
    settings: Settings, topic: str, registry: Registry, cache: ModelCache
) -> None:
    promote(registry)
    log = ModelEventLog(settings, topic)
    away = ModelCache("redis://127.0.0.1:1/0")
    missing = ModelEventLog(settings, topic + ".missing")
    pending = Projector(settings, registry, away, log).tick()
    assert [line.partition(":")[0] for line in pending] == ["redis"]
    assert log.read() == registry.events()
    pending = Projector(settings, registry, cache, missing).tick()
    assert len(pending) == 1
    assert "does not exist" in pending[0]
    assert in_redis(cache)[0] == 1


def test_an_absent_kafka_is_pending_and_then_converges(
    settings: Settings, topic: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = settings.model_copy(
        update={
            "bootstrap_servers": "127.0.0.1:1",
            "kafka": settings.kafka.model_copy(update={"request_timeout_s": 0.5}),
        }
    )
    promote(registry)
    projector = Projector(settings, registry, None, ModelEventLog(nowhere, topic))
    assert len(projector.tick()) == 1
    monkeypatch.setattr(projector, "_event_log", ModelEventLog(settings, topic))
    assert projector.tick() == []
    assert ModelEventLog(settings, topic).read() == registry.events()


def test_a_damaged_champion_is_pending_and_not_published(
    settings: Settings, registry: Registry, cache: ModelCache
) -> None:
    promote(registry)
    path = registry.path("v1", "model.onnx")
    path.chmod(0o644)
    path.write_bytes(b"other")
    assert "not what its sha256 says" in Projector(settings, registry, cache, None).tick()[0]
    assert cache.active() is None


def test_concurrent_projectors_write_each_event_once(settings: Settings, topic: str, registry: Registry) -> None:
    promote(registry, 4)
    start = threading.Barrier(5)
    left: list[list[str]] = []

    def run() -> None:
        projector = Projector(settings, registry, None, ModelEventLog(settings, topic))
        start.wait()
        for _ in range(20):
            pending = projector.tick()
            if not pending:
                break
        left.append(pending)

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert left == [[]] * 5
    assert ModelEventLog(settings, topic).read() == registry.events()


def test_events_of_other_models_and_unreadable_values_are_passed_over(
    settings: Settings, topic: str, tmp_path: Path, registry: Registry
) -> None:
    with Writer(settings) as writer:
        for value in (b"{", b"\xff", b'{"kind": "invented"}'):
            writer.send(topic, b"m", value)
        writer.flush()
    other = Registry.open(str(tmp_path / "registry"), "another")
    promote(registry)
    promote(other)
    log = ModelEventLog(settings, topic)
    for one in (registry, other):
        assert Projector(settings, one, None, log).tick() == []
    assert log.read() == registry.events() + other.events()


def test_a_missing_topic_says_how_to_make_it(settings: Settings, registry: Registry) -> None:
    promote(registry)
    with pytest.raises(UnavailableError, match="topics create"):
        ModelEventLog(settings, f"{settings.topic_prefix}none").append_missing(registry.events())


def test_the_url_in_the_settings_stays_secret(settings: Settings, registry: Registry) -> None:
    promote(registry)
    hidden = settings.model_copy(update={"redis_url": SecretStr("redis://u:hunter2@127.0.0.1:1/0")})
    pending = Projector(hidden, registry, ModelCache(url_of(hidden)), None).tick()
    assert "hunter2" not in pending[0]
