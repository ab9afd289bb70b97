"""The serving process: one port, the threads that keep the model fresh, and an end that drops no request.

On SIGTERM /readyz says no at once, `serve.drain_s` later nothing new is accepted, and what was accepted is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import msgspec
import structlog
import uvicorn

from longshore.config import ServeSettings, Settings
from longshore.errors import ConfigurationError, LongshoreError
from longshore.profile import Profile
from longshore.redis_store import ModelCache
from longshore.schema import Schema
from longshore.scorer.models import Active, Models
from longshore.scorer.serving.app import Parts, Server
from longshore.scorer.serving.limits import BoundedHttp
from longshore.scorer.serving.page import describe
from longshore.service import Runtime, configure_logs

log = structlog.get_logger()

SERVICE = "serve"
GRACE_S = 20
"""How long accepted requests may take after the end was asked for."""
KEEP_ALIVE_S = 65
"""Longer than a balancer's idle connections (deploy/haproxy: 30 s): it, not we, closes them."""
MAX_CONNECTIONS = 2_000
OPEN_FILES = 4_096
"""Asked of the system where it gives fewer: a connection is an open file."""
BEAT_S = 1.0

ASSETS = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page/map.js": ("map.js", "text/javascript; charset=utf-8"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}

ReadProfile = Callable[[str], bytes]


class Profiles:
    """The profile of the version in use, read once per version; None where it cannot be had."""

    def __init__(self, read: ReadProfile) -> None:
        self._read = read
        self._held: tuple[str, Profile | None] = ("", None)

    def of(self, active: Active | None) -> Profile | None:
        """The version's profile. A failure is not kept: the registry may answer the next time."""
        if active is None:
            return None
        held = self._held
        if held[0] == active.version:
            return held[1]
        try:
            held = self._held = (active.version, Profile.from_bytes(self._read(active.version)))
        except LongshoreError as error:
            log.warning("the page has no hints: the profile cannot be read", version=active.version, error=str(error))
            return None
        return held[1]


def run(
    settings: Settings, schema: Schema, *, models: Models, cache: ModelCache | None, read_profile: ReadProfile
) -> None:
    """Serve until SIGTERM or SIGINT."""
    configure_logs()
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # a client's nonsense is not news
    _allow_open_files(OPEN_FILES)
    runtime = Runtime(SERVICE)
    with _listening(settings.serve) as listener:
        runtime.port = listener.getsockname()[1]
        models.refresh()
        for thread in _followers(settings, models, cache, runtime.stop):
            thread.start()
        server = Server(_parts(settings, schema, models, runtime, Profiles(read_profile)))
        log.info("service started", service=SERVICE, page=f"http://{_shown(settings.serve.host)}:{runtime.port}/")
        try:
            with asyncio.Runner(loop_factory=_loop) as runner:
                runner.run(_serve(server, settings.serve, runtime, listener))
        finally:
            runtime.stop.set()
            server.batcher.close()
    log.info("service stopped", service=SERVICE)


def _parts(settings: Settings, schema: Schema, models: Models, runtime: Runtime, profiles: Profiles) -> Parts:
    land = _land(schema)

    def ready() -> tuple[bool, str]:
        runtime.set_ready(models.active() is not None)
        return runtime.readiness()

    def page() -> dict[str, Any]:
        active = models.active()
        return describe(schema, settings.model, active, profiles.of(active), land)

    assets = {path: (kind, _asset(name)) for path, (name, kind) in ASSETS.items()}
    return Parts(settings.model, schema, settings.serve, models.active, page, assets, runtime.health, ready)


def _followers(
    settings: Settings, models: Models, cache: ModelCache | None, stop: threading.Event
) -> list[threading.Thread]:
    wake = threading.Event()

    def hurry(cache: ModelCache) -> None:
        for _ in cache.hints(stop):
            wake.set()

    followers = [threading.Thread(target=models.follow, args=(stop, wake, settings.scorer.model_poll_s), daemon=True)]
    if cache is not None:
        followers.append(threading.Thread(target=hurry, args=(cache,), daemon=True))
    return followers


class _Http(uvicorn.Server):
    """uvicorn without its signal handlers: they know no drain time, and raise the signal again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `_serve`."""
        yield


async def _serve(server: Server, settings: ServeSettings, runtime: Runtime, listener: socket.socket) -> None:
    http = _Http(
        uvicorn.Config(
            server.app,
            http=BoundedHttp,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    loop = asyncio.get_running_loop()

    def end(drain_s: float) -> None:
        runtime.stop.set()  # /readyz says no
        loop.call_later(drain_s, setattr, http, "should_exit", True)

    loop.add_signal_handler(signal.SIGTERM, end, settings.drain_s)
    loop.add_signal_handler(signal.SIGINT, end, 0.0)
    beating = asyncio.create_task(_beat(server, runtime))
    try:
        await http.serve(sockets=[listener])
    finally:
        beating.cancel()


async def _beat(server: Server, runtime: Runtime) -> None:
    while True:
        await server.batcher.turn()
        runtime.beat()
        await asyncio.sleep(BEAT_S)


def _allow_open_files(wanted: int) -> None:
    try:
        import resource  # noqa: PLC0415  (not on Windows)
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415  (not on Windows)
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _listening(settings: ServeSettings) -> socket.socket:
    try:
        (family, *_), *_ = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        return socket.create_server((settings.host, settings.port), family=family, backlog=2_048)
    except OSError as error:
        raise ConfigurationError(
            f"serve.port = {settings.port} on {settings.host}: {error.strerror}",
            mend="choose a free port, or 0 for any, with LONGSHORE_SERVE__PORT",
        ) from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _asset(name: str) -> bytes:
    return (resources.files("longshore.scorer.serving") / "assets" / name).read_bytes()


def _land(schema: Schema) -> Any:
    """The drawing of the land for this schema, None where the program has none."""
    place = resources.files("longshore.scorer.serving") / "assets" / "land" / f"{schema.name}.json"
    return msgspec.json.decode(place.read_bytes()) if place.is_file() else None
