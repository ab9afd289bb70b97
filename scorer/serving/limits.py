"""What a client may make the server hold: the size of a body and of headers, of all bodies together, and for how long.

uvicorn stops reading a body at 64 KiB until the application asks for more, so what is counted here is what there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from longshore.scorer.serving.protocol import RefusedError

MAX_HEAD_BYTES = 65_536
HEAD_TIMEOUT_S = 15.0
"""From the connection, or from a later request's first byte, to the end of its headers: who is silent is let go."""
BODY_TIMEOUT_S = 15.0
ALL_BODIES = 16
"""All bodies held at once may be this many times the largest one allowed."""


class Bodies:
    """Reads bodies of at most `max_bytes`, and of at most `ALL_BODIES` times that together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held = 0

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[bytes]:
        """The body, held until the context ends.

        Raises:
            RefusedError: it is too large (413), too slow (408), encoded (415), or there is no room for it (503).

        """
        self._check(request.headers)
        parts: list[bytes] = []
        held = 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                async for part in request.stream():
                    held += len(part)
                    self._held += len(part)
                    self._check_size(held)
                    parts.append(part)
            yield b"".join(parts)
        except TimeoutError as error:
            raise RefusedError(408, f"the body did not come within {BODY_TIMEOUT_S:.0f} s") from error
        except ClientDisconnect as error:
            raise RefusedError(400, "the client left before its body was there") from error
        finally:
            self._held -= held

    def _check(self, headers: Mapping[str, str]) -> None:
        encoding = headers.get("content-encoding", "identity")
        if encoding.lower() not in ("", "identity"):
            raise RefusedError(415, f"Content-Encoding {encoding!r} is not supported; send the body as it is")
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit():
            self._check_size(int(length))

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise RefusedError(413, f"the body has more than {self._max_bytes} bytes")
        if self._held > self._max_bytes * ALL_BODIES:
            raise RefusedError(503, "too many requests are being read")


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP with bounds on a request's head, in bytes and in time, which it does not have."""

    _head_bytes = 0
    _in_head = True
    _ended_one = False
    _head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head is due from now on."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._cancel_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before the end of the headers."""
        self._ended_one = False
        super().data_received(data)
        # What came with the end of a request belongs to it, whatever of a next one's head is behind it.
        if self._in_head and not self._ended_one:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The request's headers are too large.")
        # Bytes between two requests, or of a body nobody wants any more, end uvicorn's waiting for the next request.
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._head_due is None and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self._expect_head()

    def on_message_begin(self) -> None:
        """A request begins, perhaps on a connection that has had others."""
        if self._head_due is None:
            self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is over; a body follows or the request ends."""
        self._in_head = False
        self._cancel_head()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next request on this connection begins with a head of its own."""
        super().on_message_complete()
        self._in_head = self._ended_one = True
        self._head_bytes = 0

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _cancel_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
        self._head_due = None
