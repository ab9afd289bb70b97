"""State changes as the decider writes them, and a webhook receiver as a user would write it, told to misbehave."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from longshore.config import Settings
from longshore.kafka.consuming import asking_config
from longshore.kafka.writer import Writer
from longshore.monitor.alerts.signature import verify
from longshore.records import FINAL, PROVISIONAL, DriftEvent, Moved, Window

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  (the one of the published test vector)
STEPS = ("alert", "awaiting_labels", "retraining", "resolved")


def moved(name: str = "cargo", *, alert: bool = True) -> Moved:
    return Moved(name, "numeric", alert, 3e-7, 0.31, 0.3, 0.2, 1.5, 0.4, 0.2)


def event(kind: str, episode: str = "", *, status: str = FINAL, **detail: Any) -> DriftEvent:
    """One event about `ships`; it moved in the window from 20 to 25 s."""
    return DriftEvent(
        kind=kind,
        cause="covariate" if episode else "",
        stream_set="ships",
        model_version="v1",
        generation=1,
        window=Window(20_000, 25_000, 500),
        window_index=4,
        status=status,
        state="alarm",
        episode=episode,
        p_value=3e-7,
        thresholds={},
        streams=[moved(), moved("crew", alert=False)],
        detail=detail,
    )


def episodes(first: int, end: int) -> list[DriftEvent]:
    """Whole episodes, with verdicts and a provisional one between their state changes."""
    found = []
    for number in range(first, end):
        for kind in STEPS:
            found += [event("verdict"), event("verdict", status=PROVISIONAL, revision=0)]
            found.append(event(kind, f"e{number}", attempt=1))
    return found


def write(settings: Settings, topic: str, events: Iterable[DriftEvent]) -> None:
    with Writer(settings) as writer:
        for one in events:
            writer.send(topic, b"ships", msgspec.json.encode(one))


def committed(settings: Settings, group: str, topic: str) -> dict[int, int]:
    """What a group has committed of a topic with one partition."""
    consumer = Consumer(asking_config(settings, group))
    try:
        (found,) = consumer.committed([TopicPartition(topic, 0)], timeout=5)
    finally:
        consumer.close()
    return {0: found.offset} if found.error is None and found.offset >= 0 else {}


@dataclass(frozen=True)
class Received:
    """One request. `taken`: the receiver took it as new and as true, whatever it answered."""

    id: str
    body: bytes
    valid: bool
    taken: bool
    status: int


class Receiver:
    """Verifies what it gets, takes each id once, and answers as it is told to: a status, `slow`, or `cut`."""

    def __init__(self, port: int = 0, secret: str = SECRET) -> None:
        self.secret = secret
        self.received: list[Received] = []
        self.port = port
        self.inside = threading.Event()
        self._taken: dict[str, bytes] = {}
        self._acts: deque[int | str] = deque()
        self._release = threading.Event()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Receiver:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?team=a"

    def start(self) -> None:
        """Listen, on the port of before where there was one."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Quietly."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._release.clear()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Close the port: whoever connects is refused."""
        self._release.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def act(self, *acts: int | str) -> None:
        """What the next requests get, one each; then 200."""
        self._acts.extend(acts)

    def acted(self) -> bool:
        """Whether all of that has been done."""
        return not self._acts

    def taken(self) -> list[dict[str, Any]]:
        """What was taken, in order."""
        return [msgspec.json.decode(body)["data"] for body in list(self._taken.values())]

    def told(self) -> list[tuple[str, str]]:
        """Episode and kind of what was taken."""
        return [(data["episode"], data["kind"]) for data in self.taken()]

    def wrong(self) -> list[Received]:
        """Requests with a bad signature, or one id with two bodies."""
        return [one for one in self.received if not one.valid or self._taken.get(one.id, one.body) != one.body]

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        valid = request.path == "/hook?team=a" and verify(self.secret, headers, body, now_s=time.time())
        act = self._acts.popleft() if self._acts else 200
        takes = valid and act in (200, "slow")
        with self._lock:
            new = takes and headers["webhook-id"] not in self._taken
            if new:
                self._taken[headers["webhook-id"]] = body
            status = act if isinstance(act, int) else 0
            self.received.append(Received(headers["webhook-id"], body, valid, new, status))
        if act == "slow":  # it has taken it, and says so too late
            self.inside.set()
            self._release.wait(30)
            self.inside.clear()
        if act == "cut":
            request.connection.close()
            return
        with suppress(OSError):
            request.send_response(status or 200)
            request.send_header("location", "/elsewhere")
            request.send_header("content-length", "2")
            request.end_headers()
            request.wfile.write(b"so")

    def let_go(self) -> None:
        """End what is slow."""
        self._release.set()
