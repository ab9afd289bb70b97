"""The model cache on a real Redis: the pointer only rises, damage is never served, an outage is an error in time."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
import redis

from longshore import redis_store
from longshore.config import Settings
from longshore.errors import IntegrityError, UnavailableError
from longshore.records import ModelEventKind
from longshore.redis_store import BLOB, CHANNEL, KEPT_BLOBS, MAX_POINTER_BYTES, POINTER, ModelCache
from longshore.registry import AliasRecord

pytestmark = pytest.mark.integration


@pytest.fixture
def url(settings: Settings) -> str:
    assert settings.redis_url is not None
    return settings.redis_url.get_secret_value()


@pytest.fixture
def raw(url: str) -> Iterator[redis.Redis]:
    """A plain client of the emptied database: what another program sees and can break."""
    client = redis.Redis.from_url(url)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def cache(url: str, raw: redis.Redis) -> Iterator[ModelCache]:
    cache = ModelCache(url)
    yield cache
    cache.close()


def move(generation: int) -> AliasRecord:
    return AliasRecord(
        alias="champion",
        model="m",
        version=f"v{generation}",
        generation=generation,
        kind=ModelEventKind.PROMOTED,
        trigger_id="t",
        actor="a",
        reason="r",
        time=generation,
    )


def publish(cache: ModelCache, generation: int, blob: bytes | None = None) -> tuple[str, bool]:
    data = blob if blob is not None else b"model %d" % generation
    sha256 = hashlib.sha256(data).hexdigest()
    return sha256, cache.publish(move(generation), sha256, data)


def test_keys_and_values_are_the_contract(cache: ModelCache, raw: redis.Redis) -> None:
    assert cache.active() is None
    sha256, moved = publish(cache, 3)
    assert moved
    pointer = msgspec.json.decode(raw.get("longshore:model:active") or b"")
    assert {key: pointer[key] for key in ("version", "sha256", "generation", "model", "alias", "time")} == {
        "version": "v3", "sha256": sha256, "generation": 3, "model": "m", "alias": "champion", "time": 3,
    }  # fmt: skip
    assert raw.get(f"longshore:model:blob:{sha256}") == b"model 3" == cache.blob(sha256)
    assert CHANNEL == "longshore:model:events"
    active = cache.active()
    assert active is not None
    assert (active.version, active.sha256, active.generation) == ("v3", sha256, 3)


def test_a_pointer_of_another_program_with_only_the_contracts_fields_is_read(
    cache: ModelCache, raw: redis.Redis
) -> None:
    raw.set(POINTER, msgspec.json.encode({"version": "v2", "sha256": "a" * 64, "generation": 2, "more": [1]}))
    active = cache.active()
    assert active is not None
    assert (active.version, active.generation) == ("v2", 2)


def test_the_pointer_only_moves_to_a_higher_generation(cache: ModelCache) -> None:
    publish(cache, 5)
    assert [publish(cache, generation)[1] for generation in (4, 5, 6, 6, 1)] == [False, False, True, False, False]
    active = cache.active()
    assert active is not None
    assert active.generation == 6


def test_concurrent_publishers_leave_the_highest_generation_and_its_bytes(cache: ModelCache, url: str) -> None:
    start = threading.Barrier(8)

    def run(number: int) -> None:
        own = ModelCache(url)
        start.wait()
        for step in range(20):
            publish(own, step * 8 + number + 1)
        own.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    active = cache.active()
    assert active is not None
    assert active.generation == 160
    assert cache.blob(active.sha256) == b"model 160"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"7",
        b"{}",
        b'{"version": "v9", "sha256": "short", "generation": 9}',
        b'{"version": "v9", "sha256": "' + b"a" * 64 + b'", "generation": "9"}',
        b'{"version": "v9", "sha256": "' + b"a" * 64 + b'", "generation": 0}',
        b'{"version": "v9", "sha256": "' + b"a" * 64 + b'", "generation": 9}' + b" " * MAX_POINTER_BYTES,
    ],
)
def test_an_unreadable_pointer_is_as_good_as_none_and_is_replaced(
    cache: ModelCache, raw: redis.Redis, value: bytes
) -> None:
    raw.set(POINTER, value)
    assert cache.active() is None
    assert publish(cache, 1)[1]
    active = cache.active()
    assert active is not None
    assert active.generation == 1


def test_keys_of_another_type_are_replaced(cache: ModelCache, raw: redis.Redis) -> None:
    sha256 = hashlib.sha256(b"model 1").hexdigest()
    raw.rpush(POINTER, "x")
    raw.rpush(BLOB + sha256, "x")
    assert cache.active() is None
    assert cache.blob(sha256) is None
    assert not cache.has_blob(sha256, 7)
    assert publish(cache, 1)[1]
    assert cache.blob(sha256) == b"model 1"


def test_damaged_bytes_are_never_returned_and_are_replaced(cache: ModelCache, raw: redis.Redis) -> None:
    sha256, _ = publish(cache, 1)
    raw.set(BLOB + sha256, b"model 2")
    with pytest.raises(IntegrityError, match=sha256):
        cache.blob(sha256)
    cache.restore_blob(sha256, b"model 1")
    assert cache.blob(sha256) == b"model 1"
    assert cache.blob("0" * 64) is None


def test_no_more_is_read_of_a_value_than_any_of_ours_has(
    cache: ModelCache, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "MAX_BLOB_BYTES", 10)
    sha256, _ = publish(cache, 1)
    raw.set(BLOB + sha256, b"model 1" * 1_000)
    with pytest.raises(IntegrityError, match=sha256):
        cache.blob(sha256)
    cache.restore_blob(sha256, b"model 1")
    assert cache.blob(sha256) == b"model 1"


def test_bytes_that_are_not_their_sha256_are_not_published(cache: ModelCache, raw: redis.Redis) -> None:
    with pytest.raises(IntegrityError):
        cache.publish(move(1), "0" * 64, b"model")
    assert raw.keys("*") == []


def test_old_blobs_are_collected_and_the_last_few_kept(cache: ModelCache, raw: redis.Redis) -> None:
    shas = [publish(cache, generation)[0] for generation in range(1, 10)]
    kept = {BLOB + sha256 for sha256 in shas[-KEPT_BLOBS:]}
    assert {key.decode() for key in raw.keys(BLOB + "*")} == kept
    assert publish(cache, 10, b"model 8")[1]
    assert cache.blob(shas[7]) == b"model 8"
    assert {key.decode() for key in raw.keys(BLOB + "*")} == kept


def test_a_publication_is_hinted_and_lost_connections_come_back(cache: ModelCache, raw: redis.Redis) -> None:
    stop, hints = threading.Event(), threading.Semaphore(0)

    def listen() -> None:
        for _ in cache.hints(stop):
            hints.release()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert hints.acquire(timeout=10), "one hint on connecting"
        publish(cache, 1)
        assert hints.acquire(timeout=10)
        raw.client_kill_filter(_type="pubsub")
        assert hints.acquire(timeout=10), "one hint on connecting again"
        publish(cache, 2)
        assert hints.acquire(timeout=10)
    finally:
        stop.set()
        listener.join(10)
    assert not listener.is_alive()


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


CALLS: dict[str, Callable[[ModelCache], object]] = {
    "active": lambda cache: cache.active(),
    "blob": lambda cache: cache.blob("0" * 64),
    "has_blob": lambda cache: cache.has_blob("0" * 64, 1),
    "publish": lambda cache: publish(cache, 1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_absent_redis_is_an_error_without_the_password(call: Callable[[ModelCache], object]) -> None:
    cache = ModelCache(f"redis://user:hunter2@127.0.0.1:{_closed_port()}/0")
    with pytest.raises(UnavailableError, match=r"redis://127.0.0.1:\d+/0") as caught:
        call(cache)
    assert "hunter2" not in str(caught.value)
    assert "LONGSHORE_REDIS_URL" in str(caught.value)


def test_a_silent_redis_is_an_error_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "READ_TIMEOUT_S", 0.1)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        cache = ModelCache(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        started = time.monotonic()
        with pytest.raises(UnavailableError):
            cache.active()
        assert time.monotonic() - started < 5


def test_a_wrong_password_is_an_error_without_it(url: str) -> None:
    cache = ModelCache(url.replace("redis://", "redis://nobody:hunter2@"))
    with pytest.raises(UnavailableError) as caught:
        cache.active()
    assert "hunter2" not in str(caught.value)


def test_hints_end_although_redis_is_away() -> None:
    stop = threading.Event()
    cache = ModelCache(f"redis://127.0.0.1:{_closed_port()}/0")
    threading.Timer(0.2, stop.set).start()
    assert list(cache.hints(stop)) == []
