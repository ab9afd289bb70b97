"""Redis as the cache of the active model: a pointer that only moves to higher generations, and the bytes it points to.

The only importer of `redis`. Decides what a valid pointer is and when it may be replaced; which version belongs
there is the registry's truth, and `longshore.projector` brings it here. Names are a contract: `longshore:model:active`,
`longshore:model:blob:<sha256>`, channel `longshore:model:events`.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import redis
import structlog
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from longshore.errors import ConfigurationError, IntegrityError, UnavailableError
from longshore.records import UNREADABLE
from longshore.registry.formats import AliasRecord

POINTER = "longshore:model:active"
BLOB = "longshore:model:blob:"
CHANNEL = "longshore:model:events"

KEPT_BLOBS = 3
"""The active one and those it displaced last: a rollback finds its bytes without an upload. As many manifests."""

MAX_POINTER_BYTES = 64 * 1024
MAX_BLOB_BYTES = 256 * 1024 * 1024
"""No more is read of a key: a stranger's value costs no more memory. A larger model comes from the registry."""

CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 2.0
RETRIES = 1
HEALTH_CHECK_S = 10
HINT_WAIT_S = 0.5
SILENCE_S = 30.0
"""A subscription can die without a sign (redis-py #1464): after so much silence it is made anew."""

# Replaces the pointer only if it still holds what the decision was made on; a key of another type holds nothing.
_SWAP = """
local held = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[5])
if type(held) ~= 'string' then held = '' end
if held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
"""

log = structlog.get_logger()

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class ActivePointer(msgspec.Struct, frozen=True, kw_only=True):
    """The value of `longshore:model:active`; `manifest` is the sha256 of the manifest's bytes, another blob.

    `recent` and `recent_manifests`: blobs kept besides the active ones, newest first.
    """

    version: Annotated[str, msgspec.Meta(pattern=r"^v[1-9][0-9]{0,17}\Z")]
    sha256: Sha256
    generation: Annotated[int, msgspec.Meta(ge=1)]
    model: str = ""
    alias: str = ""
    kind: str = ""
    trigger_id: str = ""
    actor: str = ""
    reason: str = ""
    time: int = 0
    recent: list[str] = []
    manifest: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""
    recent_manifests: list[str] = []


class ModelCache:
    """The model cache at a `redis://`, `rediss://` or `unix://` URL (user and password in it, as ACL has them).

    Nothing connects before the first call. Every call but `hints` raises UnavailableError when Redis does not answer
    in time: 2 s where nothing listens, at worst 8 s where something listens and says nothing (the client retries its
    greeting and then the command, each `READ_TIMEOUT_S`). Whoever cannot wait so long gives `patience_s`, one read's
    time: then it is at worst four times that.
    """

    def __init__(self, url: str, *, patience_s: float | None = None) -> None:
        self._place = _place(url)
        try:
            self._redis = redis.Redis.from_url(
                url,
                socket_connect_timeout=min(CONNECT_TIMEOUT_S, patience_s or CONNECT_TIMEOUT_S),
                socket_timeout=patience_s or READ_TIMEOUT_S,
                health_check_interval=HEALTH_CHECK_S,
                retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), RETRIES),
            )
        except (ValueError, TypeError) as error:
            raise _bad_url() from error
        self._swap = self._redis.register_script(_SWAP)

    def publish(self, record: AliasRecord, sha256: str, blob: bytes, manifest: bytes = b"") -> bool:
        """Make a version active: its bytes and its manifest first, then the pointer, then the hint.

        True if the pointer moved. One of the same or a higher generation stays, unless it is the same one without a
        manifest (an older program's); one that is missing or cannot be read is replaced.

        Raises:
            IntegrityError: `blob` is not what `sha256` says.

        """
        _check(blob, sha256, "the model to publish")
        described = hashlib.sha256(manifest).hexdigest() if manifest else ""
        with self._talking("publishing the model"):
            self._store_blob(sha256, blob)
            if manifest:
                self._store_blob(described, manifest)
            while True:
                held, pointer = self._read_pointer()
                if pointer is not None and not _is_older(pointer, record, described):
                    return False
                blobs = _recent(sha256, [pointer.sha256, *pointer.recent] if pointer else [])
                manifests = _recent(described, [pointer.manifest, *pointer.recent_manifests] if pointer else [])
                value = _encode(record, sha256, blobs[: KEPT_BLOBS - 1], described, manifests[: KEPT_BLOBS - 1])
                if self._swap(keys=[POINTER], args=[held, value, CHANNEL, str(record.generation), MAX_POINTER_BYTES]):
                    self._delete_blobs(blobs[KEPT_BLOBS - 1 :] + manifests[KEPT_BLOBS - 1 :])
                    return True

    def restore_blob(self, sha256: str, blob: bytes) -> None:
        """Put the bytes of the active version back where they were evicted or damaged."""
        _check(blob, sha256, "the model to publish")
        with self._talking("restoring the model"):
            self._store_blob(sha256, blob)

    def active(self) -> ActivePointer | None:
        """Which version is active; None where nothing readable says so."""
        with self._talking("reading the active model"):
            return self._read_pointer()[1]

    def has_blob(self, sha256: str, size: int) -> bool:
        """Whether so many bytes are there, or are too many to be; what they are, `blob` checks."""
        if size > MAX_BLOB_BYTES:
            return True  # it is not missed
        with self._talking("looking for the model"):
            try:
                return int(self._redis.strlen(BLOB + sha256)) == size
            except redis.ResponseError as error:
                _raise_unless_wrong_type(error)
                return False

    def blob(self, sha256: str) -> bytes | None:
        """A model's bytes; None where they are not (any more).

        Raises:
            IntegrityError: they are not what the sha256 says (the projector replaces them).

        """
        with self._talking("reading the model"):
            data = self._get(BLOB + sha256, MAX_BLOB_BYTES)
        if data is not None:
            _check(data, sha256, f"{BLOB}{sha256} in Redis")
        return data

    def hints(self, stop: threading.Event) -> Iterator[None]:
        """Yield whenever the pointer may have moved, until `stop`: after each message, and after each (re)connection.

        Only a hint: never raises for Redis being away, and a message may be lost. Poll `active` as well.
        """
        away = False
        while not stop.is_set():
            try:
                with contextlib.closing(self._subscription()) as subscription:
                    subscription.subscribe(CHANNEL)
                    for _ in _messages(subscription, stop):
                        away = False
                        yield
            except redis.RedisError as error:
                if not away:
                    log.warning("no model hints, polling goes on", redis=self._place, error=type(error).__name__)
                away = True
                stop.wait(HINT_WAIT_S)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _subscription(self) -> Any:
        # The client subscribes anew by itself after a lost connection: only the confirmation tells that it did.
        make: Any = self._redis.pubsub
        return make(ignore_subscribe_messages=False)

    def _read_pointer(self) -> tuple[bytes, ActivePointer | None]:
        """The raw value (empty: none) and what it means; unreadable is as good as absent."""
        held = self._get(POINTER, MAX_POINTER_BYTES) or b""
        try:
            readable = 0 < len(held) <= MAX_POINTER_BYTES
            return held, msgspec.json.decode(held, type=ActivePointer) if readable else None
        except UNREADABLE:
            return held, None

    def _store_blob(self, sha256: str, blob: bytes) -> None:
        if len(blob) > MAX_BLOB_BYTES:
            return  # nobody would read it
        if not self._redis.set(BLOB + sha256, blob, nx=True):
            held = self._get(BLOB + sha256, MAX_BLOB_BYTES)
            if held != blob:
                self._redis.set(BLOB + sha256, blob)

    def _delete_blobs(self, sha256s: list[str]) -> None:
        if sha256s:
            self._redis.delete(*(BLOB + sha256 for sha256 in sha256s))

    def _get(self, key: str, most: int) -> bytes | None:
        """A key's value, or the first bytes of one that is longer than any of ours; None where it holds nothing."""
        try:
            found: Any = self._redis.getrange(key, 0, most)
        except redis.ResponseError as error:
            _raise_unless_wrong_type(error)
            return None
        return bytes(found) or None

    @contextlib.contextmanager
    def _talking(self, doing: str) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise UnavailableError(
                f"Redis at {self._place}: {doing} failed ({type(error).__name__})",
                mend="see that it is up and that LONGSHORE_REDIS_URL and its user are right",
            ) from error


def _messages(subscription: Any, stop: threading.Event) -> Iterator[None]:
    heard = time.monotonic()
    while not stop.is_set() and time.monotonic() - heard < SILENCE_S:
        if subscription.get_message(timeout=HINT_WAIT_S) is not None:
            heard = time.monotonic()
            yield


def _is_older(pointer: ActivePointer, record: AliasRecord, manifest: str) -> bool:
    """Whether a pointer may be replaced: by a higher generation, or by the same move with what it lacks."""
    incomplete = manifest and not pointer.manifest
    if incomplete and (pointer.generation, pointer.version) == (record.generation, record.version):
        return True
    return pointer.generation < record.generation


def _recent(active: str, displaced: list[str]) -> list[str]:
    return [found for found in dict.fromkeys(displaced) if found not in (active, "")]


def _encode(record: AliasRecord, sha256: str, recent: list[str], manifest: str, recent_manifests: list[str]) -> bytes:
    fields = msgspec.to_builtins(record)
    fields.pop("format")
    pointer = ActivePointer(
        **fields, sha256=sha256, recent=recent, manifest=manifest, recent_manifests=recent_manifests
    )
    return msgspec.json.encode(pointer)


def _check(data: bytes, sha256: str, what: str) -> None:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise IntegrityError(f"{what} is not what its sha256 says", mend="the registry's copy replaces it")


def _raise_unless_wrong_type(error: redis.ResponseError) -> None:
    """A key of another type holds nothing for us; SET replaces it."""
    if not str(error).startswith("WRONGTYPE"):
        raise error


def _place(url: str) -> str:
    """The URL without user, password and options: fit for a message."""
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else ""
    except ValueError as error:
        raise _bad_url() from error
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise _bad_url()
    return f"{parts.scheme}://{host}{parts.path}"


def _bad_url() -> ConfigurationError:
    return ConfigurationError(
        "redis_url cannot be used", mend="write redis://[user:password@]host:port/database, or rediss:// for TLS"
    )
