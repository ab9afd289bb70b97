"""From the registry through a real Redis into a scorer: what Redis loses, garbles or withholds never hides a model."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr
from tests.model_world import World, answer
from tests.waiting import eventually

from longshore.config import Settings, SigningSettings
from longshore.kafka.admin import create_topics
from longshore.kafka.model_events import ModelEventLog
from longshore.key_files import create
from longshore.projector import FULL_CHECK_EVERY, Projector
from longshore.records import ModelEventKind
from longshore.redis_store import BLOB, KEPT_BLOBS, POINTER, ModelCache
from longshore.registry import Registry
from longshore.schema import districts
from longshore.scorer.models import Models
from longshore.scorer.places import open_models
from longshore.topics import TopicSpec

pytestmark = pytest.mark.integration

DATABASE = 9


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """A Redis database of these tests' own, and the world's registry."""
    assert settings.redis_url is not None
    url = f"{settings.redis_url.get_secret_value().rstrip('/').removesuffix('/0')}/{DATABASE}"
    return settings.model_copy(update={"redis_url": SecretStr(url)})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, signer=create(tmp_path / "keys"))


@pytest.fixture
def raw(settings: Settings) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(_url(settings))
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


@pytest.fixture
def projector(settings: Settings, world: World, raw: redis.Redis) -> Projector:
    return Projector(settings, world.registry, ModelCache(_url(settings)), None)


def _url(settings: Settings) -> str:
    assert settings.redis_url is not None
    return settings.redis_url.get_secret_value()


def _models(settings: Settings, projector: Projector | None = None) -> Models:
    registry = Registry.open(settings.registry(), settings.model)
    return open_models(settings, districts(), registry, instance="s-1", projector=projector)


def _pointer(raw: redis.Redis) -> dict[str, object]:
    return dict(json.loads(raw.get(POINTER) or b"{}"))


def test_the_pointer_names_the_manifest_and_redis_alone_is_enough(
    settings: Settings, world: World, projector: Projector, raw: redis.Redis, tmp_path: Path
) -> None:
    world.promote(1.0)
    assert projector.tick() == []
    document = world.registry.document("v1")
    assert _pointer(raw)["manifest"] == hashlib.sha256(document).hexdigest()
    assert raw.get(f"{BLOB}{_pointer(raw)['manifest']}") == document
    nowhere = settings.model_copy(update={"registry_url": str(tmp_path / "empty")})
    models = _models(nowhere)
    assert models.refresh()
    assert answer(models) == 1.0


def test_manifests_are_kept_and_collected_like_the_models(world: World, projector: Projector, raw: redis.Redis) -> None:
    for value in range(6):
        world.promote(float(value))
        assert projector.tick() == []
    assert len(raw.keys(f"{BLOB}*")) == 2 * KEPT_BLOBS


@pytest.mark.parametrize("which", ["sha256", "manifest"])
def test_what_redis_lost_or_garbled_is_mended(world: World, projector: Projector, raw: redis.Redis, which: str) -> None:
    world.promote(1.0)
    projector.tick()
    key = f"{BLOB}{_pointer(raw)[which]}"
    good = raw.get(key)
    raw.delete(key)
    projector.tick()
    assert raw.get(key) == good
    raw.set(key, b"x" * len(good or b""))
    for _ in range(FULL_CHECK_EVERY):
        projector.tick()
    assert raw.get(key) == good


def test_a_pointer_of_an_older_program_is_completed(
    settings: Settings, world: World, projector: Projector, raw: redis.Redis
) -> None:
    world.promote(1.0)
    projector.tick()
    old = {k: v for k, v in _pointer(raw).items() if k in ("version", "sha256", "generation", "model", "recent")}
    raw.flushdb()
    raw.set(POINTER, json.dumps(old))
    assert _models(settings).refresh()
    assert projector.tick() == []
    assert _pointer(raw)["manifest"] == hashlib.sha256(world.registry.document("v1")).hexdigest()


@pytest.mark.parametrize("break_", ["flush", "garble", "garble pointer"])
def test_a_broken_redis_changes_nothing_and_hides_nothing(
    settings: Settings, world: World, projector: Projector, raw: redis.Redis, break_: str
) -> None:
    world.promote(1.0)
    projector.tick()
    models = _models(settings)
    assert models.refresh()
    world.promote(2.0)
    projector.tick()
    if break_ == "flush":
        raw.flushdb()
    for key in raw.keys("*"):
        if break_ == "garble" or key.decode() == POINTER:
            raw.set(key, b"garbled") if key.decode() != POINTER or break_ != "garble" else None
    assert models.refresh()
    assert answer(models) == 2.0


@contextmanager
def silent_redis() -> Iterator[int]:
    """A listener that accepts and never answers."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(64)
        yield deaf.getsockname()[1]


@pytest.mark.parametrize("kind", ["silent", "away"])
def test_a_redis_that_does_not_answer_delays_a_new_model_by_seconds_at_most(
    settings: Settings, world: World, kind: str
) -> None:
    """The budget of a lost notification, 5 s, and two for a loaded machine; a patient client would take eight."""
    with silent_redis() as port:
        url = f"redis://127.0.0.1:{port if kind == 'silent' else 1}/0"
        world.promote(1.0)
        models = _models(settings.model_copy(update={"redis_url": SecretStr(url)}))
        stop, wake = threading.Event(), threading.Event()
        thread = threading.Thread(target=models.follow, args=(stop, wake, 1.0))
        thread.start()
        try:
            eventually(lambda: models.active() is not None, 7, what="a cold start without Redis")
            for expected in (2.0, 3.0):
                world.promote(expected)
                eventually(lambda expected=expected: answer(models) == expected, 7, what="the new model")  # type: ignore[misc]
        finally:
            stop.set()
            wake.set()
            thread.join(20)
    assert not thread.is_alive()


def test_a_refusal_becomes_one_event_for_each_scorer(
    settings: Settings, world: World, projector: Projector, raw: redis.Redis
) -> None:
    topic = f"{settings.topic_prefix}model.events"
    create_topics(settings, [TopicSpec(topic, 1, {})])
    log = ModelEventLog(settings, topic)
    world.promote(1.0)
    world.promote(2.0)
    world.overwrite("v2", "model.onnx", b"cut")
    whole = Projector(settings, world.registry, None, log)
    for _ in range(2):
        _models(settings, whole).refresh()  # again after a restart
        assert whole.tick() == []
    found = [event for event in log.read() if event.kind is ModelEventKind.REFUSED]
    assert [(event.version, event.generation, event.actor) for event in found] == [("v2", 2, "scorer s-1")]
    assert found[0].reason.startswith("damaged: registry: ") and "model.onnx" in found[0].reason
    assert log.read() == world.registry.events()


def test_a_refusal_gets_out_although_the_registry_cannot_be_written(
    settings: Settings, world: World, monkeypatch: pytest.MonkeyPatch, raw: redis.Redis
) -> None:
    topic = f"{settings.topic_prefix}model.events"
    create_topics(settings, [TopicSpec(topic, 1, {})])
    log = ModelEventLog(settings, topic)
    world.promote(2.0, {"model.onnx": b"not onnx"})
    # A folder where the notes would go, as a file: nothing can be created there, whoever runs the test.
    world.path("v1", "").parents[1].joinpath("refusals").write_text("in the way")
    whole = Projector(settings, world.registry, None, log)
    _models(settings, whole).refresh()
    for _ in range(2):
        assert whole.tick() == []
    assert [event.kind.value for event in log.read()].count("refused") == 1


def test_require_refuses_what_nobody_signed(settings: Settings, tmp_path: Path, raw: redis.Redis) -> None:
    unsigned = World(tmp_path, signer=None)
    unsigned.promote(1.0)
    assert not _models(settings.model_copy(update={"signing": SigningSettings(require=True)})).refresh()
    assert _models(settings).refresh()
    create(tmp_path / "keys")
    assert not _models(settings).refresh()
