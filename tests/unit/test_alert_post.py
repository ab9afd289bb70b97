"""The one HTTP request: what it sends, what it takes for an answer, and that it ends in time whatever is there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from longshore.errors import UnavailableError
from longshore.monitor.alerts.post import check_reachable, post
from longshore.monitor.alerts.targets import Request
from longshore.monitor.alerts.tries import Outcome

Talk = Callable[[socket.socket], None]


@contextmanager
def server(talk: Talk) -> Iterator[tuple[str, list[bytes]]]:
    """A socket that talks with whoever connects; its address and what it heard."""
    heard: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    heard.append(_request(connection))
                    talk(connection)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listening.getsockname()[1]}", heard
    over.set()
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(10)


def _request(connection: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"{}"):
        part = connection.recv(4_096)
        if not part:
            break
        found += part
    return found


def says(*lines: str) -> Talk:
    return lambda connection: connection.sendall("\r\n".join(lines).encode())


def test_what_is_sent_and_what_was_said() -> None:
    with server(says("HTTP/1.1 429 Slow", "retry-after: 7", "content-length: 4", "", "wait")) as (place, heard):
        answer = post(Request(f"http://me:p%40ss@{place}/hook?a=1", {"webhook-id": "x"}, b"{}"), 5)
    assert (answer.status, answer.said, answer.retry_after_s) == (429, "wait", 7)
    lines = heard[0].split(b"\r\n")
    assert lines[0] == b"POST /hook?a=1 HTTP/1.1"
    assert {b"webhook-id: x", b"content-length: 2", b"authorization: basic bwu6cebzcw=="} <= {
        line.lower() for line in lines
    }


def test_a_redirect_is_not_followed() -> None:
    with server(lambda _: None) as (elsewhere, followed):
        talk = says("HTTP/1.1 307 Gone", f"location: http://{elsewhere}/", "content-length: 0", "", "")
        with server(talk) as (place, _):
            assert post(Request(f"http://{place}/", {}, b"{}"), 5).outcome is Outcome.REFUSED
    assert followed == []


def _drip(connection: socket.socket) -> None:
    while not threading.Event().wait(0.02):
        connection.sendall(b"H")


@pytest.mark.parametrize("talk", [lambda c: c.recv(1), _drip], ids=["silent", "dripping"])
def test_a_receiver_that_says_nothing_to_the_end_is_given_up_in_time(talk: Talk) -> None:
    with server(talk) as (place, _):
        before = time.monotonic()
        answer = post(Request(f"http://{place}/", {}, b"{}"), 0.2)
        assert time.monotonic() - before < 2
    assert (answer.outcome, answer.said) == (Outcome.FAILED, "no answer within 0.2 s")


@pytest.mark.parametrize(
    "talk",
    [lambda _: None, says("nonsense", "", ""), says("HTTP/1.1 999999 no", "", "")],
    ids=["hangs up", "no HTTP", "no status"],
)
def test_no_answer_is_a_failure(talk: Talk) -> None:
    with server(talk) as (place, _):
        assert post(Request(f"http://{place}/", {}, b"{}"), 5).outcome is Outcome.FAILED


def test_a_yes_counts_though_the_rest_never_comes() -> None:
    with server(says("HTTP/1.1 204 Yes", "content-length: 99", "", "begin")) as (place, _):
        assert post(Request(f"http://{place}/", {}, b"{}"), 5).outcome is Outcome.DELIVERED


def test_nobody_there_and_nobody_who_speaks_tls() -> None:
    with server(says("HTTP/1.1 200 OK", "", "")) as (place, _):
        check_reachable(f"http://{place}/", 5)
        assert post(Request(f"https://{place}/", {}, b"{}"), 1).outcome is Outcome.FAILED
        with pytest.raises(UnavailableError):
            check_reachable(f"https://{place}/", 1)
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1"):
        check_reachable(f"http://{place}/", 1)
    assert "refused" in post(Request(f"http://{place}/", {}, b"{}"), 1).said
