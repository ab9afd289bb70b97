"""One HTTP POST that ends in time, whatever the other side does. The only place where an alert leaves the process.

The standard library's client: no redirect is followed (what is signed is for one receiver), no proxy is asked, HTTPS is
verified against the system's certificates (`SSL_CERT_FILE` names others).
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from urllib.parse import SplitResult, unquote, urlsplit

from longshore.errors import ConfigurationError, UnavailableError
from longshore.monitor.alerts.targets import Request
from longshore.monitor.alerts.tries import Answer

SAID_BYTES = 300
"""Of what a receiver says, so much is told."""


def check_url(url: str, setting: str) -> None:
    """Raises ConfigurationError where `url` is no http(s) address with a host; the address is not quoted."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isascii() or any(character.isspace() for character in url):
        raise ConfigurationError(f"{setting} is no address of the form https://host/path", mend="correct it")


def post(request: Request, timeout_s: float) -> Answer:
    """Send it, and what was answered; status 0 where there was no answer within `timeout_s`."""
    parts = urlsplit(request.url)
    try:
        with _connected(parts, timeout_s) as connection:
            connection.request("POST", _target(parts), request.body, request.headers | _login(parts))
            return _answer(connection.getresponse())
    except TimeoutError:
        return Answer(0, f"no answer within {timeout_s:g} s")
    except (OSError, http.client.HTTPException, ValueError) as error:  # the last: a name that cannot be looked up
        return Answer(0, f"{type(error).__name__}: {error}"[:SAID_BYTES])


def check_reachable(url: str, timeout_s: float) -> None:
    """Connect, and for HTTPS shake hands; nothing is sent.

    Raises:
        UnavailableError: nobody is there, or not the one the certificate names.

    """
    parts = urlsplit(url)
    try:
        with _connected(parts, timeout_s):
            pass
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"{parts.hostname}: {error}", mend="see that it is up and the address is right"
        ) from error


@contextlib.contextmanager
def _connected(parts: SplitResult, timeout_s: float) -> Iterator[http.client.HTTPConnection]:
    """An open connection that is cut after `timeout_s`.

    The socket's own time-out begins anew with every byte: a receiver that drips would hold the sender for ever.

    Raises:
        OSError: a TimeoutError where it was cut.

    """
    secure, host = parts.scheme == "https", parts.hostname or ""
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, parts.port)
    cut = threading.Event()
    sock = socket.create_connection((host, connection.port), timeout_s)
    if secure:
        sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)

    def shut() -> None:
        cut.set()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout_s, shut)
    timer.daemon = True
    timer.start()
    try:
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        connection.sock = sock
        yield connection
    except (OSError, http.client.HTTPException) as error:
        if cut.is_set():
            raise TimeoutError(f"cut after {timeout_s:g} s") from error
        raise
    finally:
        timer.cancel()
        connection.close()
        sock.close()


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _login(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"authorization": "Basic " + base64.b64encode(login.encode()).decode()}


def _answer(response: http.client.HTTPResponse) -> Answer:
    said = b""
    with contextlib.suppress(OSError, http.client.HTTPException):
        said = response.read(SAID_BYTES)  # whatever comes of it, the status is the answer
    asked = response.headers.get("retry-after", "")
    return Answer(response.status, said.decode(errors="replace").strip(), float(asked) if asked.isdecimal() else 0.0)
