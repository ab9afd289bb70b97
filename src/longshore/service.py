"""The shell every service shares: structured logs, /metrics, /healthz, /readyz, a clean end on SIGTERM or SIGINT."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from types import FrameType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import make_wsgi_app

from longshore import telemetry
from longshore.config import ServerSettings, Settings
from longshore.errors import ConfigurationError

STALE_AFTER_S = 60.0
"""A loop that has not gone round for this long is not healthy: longer than any transaction or request time-out."""

STOP_POLL_S = 0.1
"""How often the pages' server looks whether to stop: a part of how long a process takes to exit."""

KAFKA_LOGGER = "longshore.kafka"
"""Where librdkafka's own log goes (`longshore.kafka.client`)."""

log = structlog.get_logger()


class Runtime:
    """What a running service holds: its stop signal, its readiness and its heartbeat."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.stop = threading.Event()
        self.port = 0
        self._clock = clock
        self._ready = False
        self._last_beat = clock()

    def set_ready(self, ready: bool) -> None:
        """Tell /readyz whether work is flowing."""
        self._ready = ready

    def beat(self) -> None:
        """Tell /healthz that the main loop went round."""
        self._last_beat = self._clock()
        telemetry.HEARTBEAT.labels(self.name).set_to_current_time()

    def health(self) -> tuple[bool, str]:
        """Whether the main loop still goes round, and how old its last beat is."""
        age = self._clock() - self._last_beat
        return age < STALE_AFTER_S, f"last beat {age:.1f} s ago"

    def readiness(self) -> tuple[bool, str]:
        """Whether the service is doing its work."""
        return (True, "ready") if self._ready and not self.stop.is_set() else (False, "not ready")


@contextlib.contextmanager
def running(name: str, settings: Settings) -> Iterator[Runtime]:
    """Run a service: logs to stderr, pages served, signals caught; everything is undone at the end."""
    configure_logs()
    runtime = Runtime(name)
    server = _serve(runtime, settings.server)
    previous = _catch_signals(runtime) if threading.current_thread() is threading.main_thread() else {}
    log.info("service started", service=name, metrics=f"http://{settings.server.host}:{runtime.port}/metrics")
    try:
        yield runtime
    finally:
        runtime.stop.set()
        for number, handler in previous.items():
            signal.signal(number, handler)
        server.shutdown()
        server.server_close()
        log.info("service stopped", service=name)


def configure_logs() -> None:
    """Key-value lines for people on a terminal, JSON lines for machines; always to stderr."""
    renderer: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks if not sys.stderr.isatty() else structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # the one of now: tests replace it
    )
    kafka = logging.getLogger(KAFKA_LOGGER)
    kafka.handlers = [_ToStructlog(logging.WARNING)]
    kafka.setLevel(logging.WARNING)
    kafka.propagate = False


class _ToStructlog(logging.Handler):
    """Gives the Kafka client's own lines the form of ours, and drops the one that is no news."""

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        # The first transactions on a fresh broker: it still loads its coordinator, and the client asks again.
        if "GETPID" in line and "Coordinator load in progress" in line:
            return
        log.log(record.levelno, line, logger=record.name)


def _catch_signals(runtime: Runtime) -> dict[int, Any]:
    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        runtime.stop.set()

    return {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_address = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Requests for metrics are not news."""


def _serve(runtime: Runtime, settings: ServerSettings) -> _Server:
    metrics: Any = make_wsgi_app()
    probes = {"/healthz": runtime.health, "/readyz": runtime.readiness}

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            page: Iterable[bytes] = metrics(environ, start_response)
            return page
        found, (good, text) = (True, probes[path]()) if path in probes else (False, (False, "not found"))
        status = "404 Not Found" if not found else "200 OK" if good else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [text.encode() + b"\n"]

    try:
        server = make_server(settings.host, settings.port, app, server_class=_Server, handler_class=_QuietHandler)
    except OSError as error:
        raise ConfigurationError(
            f"server.port = {settings.port} on {settings.host}: {error.strerror}",
            mend="choose a free port, or 0 for any, with LONGSHORE_SERVER__PORT",
        ) from error
    runtime.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(STOP_POLL_S,), name="metrics", daemon=True).start()
    return server
