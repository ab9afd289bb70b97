"""The routes: the Open Inference Protocol, the page, and what every service answers (/metrics, /healthz, /readyz).

Every answer under /v2 is JSON; an error is {"error": …} with the status that says whose fault it is. Whatever happens
in a request, the next one is served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as package_version
from typing import Any

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longshore import telemetry
from longshore.config import ServeSettings
from longshore.schema import Schema
from longshore.scorer.models import Active
from longshore.scorer.serving import protocol
from longshore.scorer.serving.answers import Answer, Answers, Job
from longshore.scorer.serving.batching import Batcher, BusyError
from longshore.scorer.serving.limits import Bodies
from longshore.scorer.serving.protocol import RefusedError

log = structlog.get_logger()

RETRY_AFTER_S = "1"
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

Probe = Callable[[], tuple[bool, str]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes need: who they are, where the model comes from, what the page shows, how the process fares."""

    name: str
    schema: Schema
    settings: ServeSettings
    active: Callable[[], Active | None]
    page: Callable[[], dict[str, Any]]
    assets: dict[str, tuple[str, bytes]]
    healthy: Probe
    ready: Probe


class Server:
    """The application and its batcher."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._bodies = Bodies(parts.settings.max_body_bytes)
        self.batcher: Batcher[Job, Answer | RefusedError] = Batcher(
            Answers(parts.schema, parts.active),
            max_rows=parts.settings.max_batch_rows,
            queue_rows=parts.settings.queue_rows,
        )
        handlers: Any = {HTTPException: _http_error, RefusedError: _refused, Exception: _bug}
        self.app: ASGIApp = Counted(Starlette(routes=self._routes(), exception_handlers=handlers))

    def _routes(self) -> list[Route]:
        model = "/v2/models/{model}"
        routes = [Route(f"{at}/infer", self.infer, methods=["POST"]) for at in (model, model + "/versions/{version}")]
        routes += [Route(at, self.metadata) for at in (model, model + "/versions/{version}")]
        routes += [Route(f"{at}/ready", self.model_ready) for at in (model, model + "/versions/{version}")]
        routes += [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.server_ready),
            Route("/healthz", self.probe),
            Route("/readyz", self.probe),
            Route("/metrics", _metrics),
            Route("/page/model.json", self.page_model),
        ]
        return routes + [Route(path, self.asset) for path in self._parts.assets]

    async def infer(self, request: Request) -> Response:
        """Score the request's rows with the model in use."""
        self._served(request)
        settings = self._parts.settings
        async with self._bodies.of(request) as body:
            length = request.headers.get(protocol.JSON_LENGTH)
            inference = protocol.parse(body, length, self._parts.schema, settings.max_request_rows)
            try:
                answer = await self.batcher.submit(Job(inference, request.path_params.get("version")), inference.rows)
            except BusyError as error:
                raise RefusedError(503, f"more than {settings.queue_rows} rows wait already") from error
        if isinstance(answer, RefusedError):
            raise answer
        content, json_length = protocol.response(
            inference, answer.predictions, name=self._parts.name, version=answer.version, generation=answer.generation
        )
        if json_length is None:
            return Response(content, media_type="application/json")
        headers = {"Inference-Header-Content-Length": str(json_length)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def server(self, request: Request) -> Response:
        """Who answers, and what it can do beyond the protocol's core."""
        del request
        version = package_version("longshore")
        return _json({"name": "longshore", "version": version, "extensions": protocol.EXTENSIONS})

    async def live(self, request: Request) -> Response:
        """Whether the process answers and its model thread goes round."""
        del request
        good, _ = self._parts.healthy()
        return _json({"live": good}, 200 if good else 503)

    async def server_ready(self, request: Request) -> Response:
        """Whether requests for inference would be answered."""
        del request
        good, _ = self._parts.ready()
        return _json({"ready": good}, 200 if good else 503)

    async def model_ready(self, request: Request) -> Response:
        """Whether this model, or this version of it, would answer."""
        self._named(request)
        good, _ = self._parts.ready()
        if good:
            self._served(request)
        return _json({"name": self._parts.name, "ready": good}, 200 if good else 503)

    async def metadata(self, request: Request) -> Response:
        """The model's version, inputs and output."""
        active = self._served(request)
        return _json(protocol.model_metadata(self._parts.schema, self._parts.name, active.version))

    async def probe(self, request: Request) -> Response:
        """/healthz and /readyz, as every service has them."""
        good, text = self._parts.healthy() if request.url.path == "/healthz" else self._parts.ready()
        return Response(text + "\n", 200 if good else 503, media_type="text/plain")

    async def page_model(self, request: Request) -> Response:
        """What the page's form and map are made of."""
        del request
        page = await asyncio.to_thread(self._parts.page)  # it may read the registry
        return _json(page, headers={"Cache-Control": "no-store"})

    async def asset(self, request: Request) -> Response:
        """The page and its files, which came with the program."""
        kind, content = self._parts.assets[request.url.path]
        return Response(content, media_type=kind, headers=PAGE_HEADERS)

    def _named(self, request: Request) -> None:
        name = request.path_params["model"]
        if name != self._parts.name:
            raise RefusedError(404, f"there is no model {name!r}; {self._parts.name} is served")

    def _served(self, request: Request) -> Active:
        """The model in use, if it is the one the path names."""
        self._named(request)
        active = self._parts.active()
        if active is None:
            raise RefusedError(503, "there is no model yet")
        wanted = request.path_params.get("version", active.version)
        if wanted != active.version:
            raise RefusedError(404, f"version {wanted} of {self._parts.name} is not served; {active.version} is")
        return active


class Counted:
    """Counts every request by route and status, and times those for inference."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how it went."""
        if scope["type"] != "http":
            return
        route = _route(scope["path"])
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        telemetry.SERVE_IN_FLIGHT.inc()
        try:
            with telemetry.SERVE_SECONDS.labels(route).time():
                await self._app(scope, receive, noted)
        finally:
            telemetry.SERVE_IN_FLIGHT.dec()
            telemetry.SERVE_REQUESTS.labels(route, str(status)).inc()


def _route(path: str) -> str:
    """Few and fixed names: a path is the client's own text."""
    if path.startswith("/v2/models/"):
        return "infer" if path.endswith("/infer") else "model"
    if path.startswith("/v2"):
        return "server"
    return "probe" if path in ("/metrics", "/healthz", "/readyz") else "page"


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json", headers=headers)


def _error(status: int, message: str, **more: Any) -> Response:
    headers = {"Retry-After": RETRY_AFTER_S} if status == 503 else None
    return _json({"error": message, **more}, status, headers)


async def _metrics(request: Request) -> Response:
    del request
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _refused(request: Request, error: RefusedError) -> Response:
    del request
    return _error(error.status, str(error), **({"rejects": error.rejects} if error.rejects else {}))


async def _http_error(request: Request, error: HTTPException) -> Response:
    response = _error(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
    response.headers.update(error.headers or {})
    return response


async def _bug(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=error)
    return _error(500, "internal error; the server's log has it")
