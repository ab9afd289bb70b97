"""A TCP proxy before the broker that delays, holds or cuts connections, all or those that carry certain requests.

Knows of Kafka's protocol only where a request begins and what kind it is (the API key): enough to find the connection
to the transaction coordinator, or to cut a line right after a commit went out and before its answer comes.
"""

from __future__ import annotations

import asyncio
import random
import struct
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

HOST = "127.0.0.1"
CHUNK = 65_536
DEAF_S = 0.2
"""Between a request that shall arrive and the cut: the broker has read it by then."""

END_TXN = 26
TRANSACTION_KEYS = frozenset({22, 24, 25, END_TXN})
"""InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn: what only goes to the transaction coordinator."""


@dataclass(frozen=True)
class Weather:
    """What happens to connections. `only`: to those alone that have carried one of these requests (empty: to all)."""

    only: frozenset[int] = frozenset()
    lifetime_s: tuple[float, float] | None = None
    """Each connection is cut after a random time between the two."""
    delay_s: float = 0.0
    """Each piece of data waits a random time up to this."""
    hold: bool = False
    """Nothing passes, in either direction; what was held passes late, when the weather ends."""
    cut_on: int | None = None
    """A connection is cut when a request of this kind comes."""
    forward: bool = True
    """Whether that request still reaches the broker, so that only its answer is lost."""


CALM = Weather()


class Requests:
    """Finds the API keys in a stream of length-prefixed requests, however it is split."""

    def __init__(self) -> None:
        self._skip = 0
        self._head = b""

    def feed(self, data: bytes) -> list[int]:
        """The API keys of the requests whose first six bytes end in `data`."""
        found = []
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
            else:
                step = min(6 - len(self._head), len(data) - at)
                self._head += data[at : at + step]
                if len(self._head) == 6:
                    length, key = struct.unpack(">ih", self._head)
                    found.append(key)
                    self._skip, self._head = length - 2, b""
            at += step
        return found


class _Link:
    """A client's connection and its counterpart to the broker."""

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self.ends = (client, broker)
        self.requests = Requests()
        self.carried: set[int] = set()
        self.deaf = False  # answers no longer pass

    def cut(self) -> None:
        for end in self.ends:
            end.transport.abort()


class Proxy:
    """Listens on `port` in a thread of its own; `set` changes the weather for old and new connections."""

    def __init__(self, upstream: int, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._upstream = upstream
        self._chance = random.Random(seed)
        self._weather = CALM
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._released.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._accept, HOST, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def set(self, weather: Weather) -> None:
        """Change the weather; what the last one held passes now."""
        self._call(self._set(weather))

    def close(self) -> None:
        """Cut everything and stop."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _set(self, weather: Weather) -> None:
        self._weather = weather
        self._released.set()
        if weather.hold:
            self._released = asyncio.Event()
        for link in list(self._links):
            self._limit(link)

    async def _close(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _hits(self, link: _Link) -> bool:
        only = self._weather.only
        return not only or bool(only & link.carried)

    def _limit(self, link: _Link) -> None:
        weather = self._weather
        if weather.lifetime_s:
            self._loop.call_later(self._chance.uniform(*weather.lifetime_s), self._expire, link, weather)

    def _expire(self, link: _Link, weather: Weather) -> None:
        if weather is self._weather and link in self._links:
            self.counts["cut"] += 1
            link.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(HOST, self._upstream)
        except OSError:  # the broker is down: so is this
            writer.transport.abort()
            return
        self.counts["connections"] += 1
        link = _Link(writer, back)
        self._links.add(link)
        self._limit(link)
        pumps = [
            asyncio.create_task(self._pump(link, reader, back, upward=True)),
            asyncio.create_task(self._pump(link, there, writer, upward=False)),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        link.cut()
        await asyncio.wait(pumps, timeout=5)
        self._tasks.difference_update(pumps)
        self._links.discard(link)

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upward: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                keys = link.requests.feed(data) if upward else []
                link.carried.update(keys)
                if self._hits(link):
                    if self._weather.cut_on in keys and not self._survives(link):
                        return
                    await self._suffer()
                if upward or not link.deaf:
                    writer.write(data)
                    await writer.drain()

    def _survives(self, link: _Link) -> bool:
        """Cut the line at a request; a moment later where the request shall arrive, but its answer not."""
        self.counts["requests cut"] += 1
        if not self._weather.forward:
            link.cut()
            return False
        link.deaf = True
        self._loop.call_later(DEAF_S, link.cut)
        return True

    async def _suffer(self) -> None:
        if self._weather.hold:
            self.counts["held"] += 1
            await self._released.wait()
        elif self._weather.delay_s:
            self.counts["delayed"] += 1
            await asyncio.sleep(self._chance.uniform(0, self._weather.delay_s))
