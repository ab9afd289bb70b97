"""The chaos proxy finds requests in a stream, and each weather does what it says to a real connection."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faults.chaos.proxy import CALM, END_TXN, Proxy, Requests, Weather
from tests.waiting import eventually


def request(key: int, body: bytes = b"x" * 20) -> bytes:
    return struct.pack(">ihh", len(body) + 4, key, 7) + body


@given(st.lists(st.tuples(st.integers(0, 90), st.binary(max_size=30)), max_size=12), st.data())
def test_requests_are_found_however_the_stream_is_split(sent: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(request(key, body) for key, body in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    requests = Requests()
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += requests.feed(stream[begin:end])
    assert found == [key for key, _ in sent]


class Echo:
    """Sends back what it gets, and keeps it."""

    def __init__(self) -> None:
        self.got = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(65_536):
                self.got += data
                connection.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        with suppress(OSError):  # the second time
            self._server.shutdown(socket.SHUT_RDWR)  # a thread in accept() would keep it listening
        self._server.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    running = Proxy(echo.port, 1)
    yield running
    running.close()


def connect(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    connection.sendall(request(3))
    assert connection.recv(1_000) == request(3)
    return connection


def is_cut(connection: socket.socket) -> bool:
    try:
        return connection.recv(1_000) == b""
    except ConnectionError:
        return True


def test_calm_weather_passes_everything(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"".join(request(END_TXN) for _ in range(2)))
        assert len(connection.recv(1_000)) >= len(request(END_TXN))
    assert proxy.counts["cut"] == proxy.counts["requests cut"] == 0


def test_connections_live_as_long_as_they_may(proxy: Proxy) -> None:
    with connect(proxy) as old:
        proxy.set(Weather(lifetime_s=(0.05, 0.1)))
        assert is_cut(old)
        with connect(proxy) as new:
            assert is_cut(new)
    assert proxy.counts["cut"] == 2
    proxy.set(CALM)
    connect(proxy).close()


@pytest.mark.parametrize("forward", [True, False])
def test_a_commit_is_cut_before_or_after_it_arrives(proxy: Proxy, echo: Echo, forward: bool) -> None:
    with connect(proxy) as connection:
        proxy.set(Weather(cut_on=END_TXN, forward=forward))
        connection.sendall(request(END_TXN))
        assert is_cut(connection), "the answer came"
        arrived = request(3) + request(END_TXN) if forward else request(3)
        eventually(lambda: echo.got == arrived, 5)
    assert proxy.counts["requests cut"] == 1


def test_what_is_held_arrives_late_and_only_where_it_is_meant(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as transactions, connect(proxy) as others:
        transactions.sendall(request(22))
        assert transactions.recv(1_000)
        proxy.set(Weather(only=frozenset({22}), hold=True))
        before = len(echo.got)
        transactions.sendall(request(26, b"late"))
        others.sendall(request(1))
        assert others.recv(1_000) == request(1)
        eventually(lambda: proxy.counts["held"] == 1, 5)
        assert len(echo.got) == before + len(request(1))
        proxy.set(CALM)
        assert transactions.recv(1_000) == request(26, b"late")


def test_slow_weather_delays(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        proxy.set(Weather(delay_s=0.2))
        began = time.monotonic()
        for _ in range(5):
            connection.sendall(request(1))
            assert connection.recv(1_000)
        assert time.monotonic() - began > 0.2
        assert proxy.counts["delayed"] == 10


def test_a_broker_that_is_down_refuses(proxy: Proxy, echo: Echo) -> None:
    connect(proxy).close()
    echo.close()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        assert is_cut(connection)
