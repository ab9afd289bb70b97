"""Downloads the public archive of California housing and keeps housing.csv, whose sum must be the known one.

Nothing is written before the sum is right, and what is written appears whole. Where it is kept, and who finds it there,
is `longshore.dataset`'s decision.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from longshore.errors import ConfigurationError, IntegrityError, UnavailableError

URL = "https://github.com/ageron/data/raw/main/housing.tgz"
SHA256 = "8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e"
MEMBER = "housing.csv"
LARGEST_ARCHIVE = 50_000_000
LARGEST_CONTENT = 200_000_000
TIMEOUT_S = 20.0
CHUNK = 64 * 1024
MEND = "name a file with --data PATH, or go without: the generator needs no file"


def present(path: Path, sha256: str) -> bool:
    """Whether `path` is there with the right sum."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def fetch(url: str, path: Path, sha256: str, advance: Callable[[int], None]) -> None:
    """Download the archive at `url`, check its housing.csv against `sha256` and keep it at `path`.

    `advance` hears of each stretch of bytes. A file that is there stays as it is until the new one is whole.

    Raises:
        ConfigurationError: the address is not http(s), or the folder cannot be written.
        UnavailableError: the download failed.
        IntegrityError: what came is not the archive, or has another sum.

    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ConfigurationError(f"--url {url} is not an http or https address", mend="correct it")
    content = extract(_download(url, advance), url)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise IntegrityError(f"{MEMBER} from {url} has the sha256 {found}, not {sha256}; nothing was kept", mend=MEND)
    write_whole(path, content)


def _download(url: str, advance: Callable[[int], None]) -> bytes:
    received = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  # the scheme was checked
            while chunk := answer.read(CHUNK):
                received += chunk
                advance(len(chunk))
                if len(received) > LARGEST_ARCHIVE:
                    raise IntegrityError(f"{url} is larger than {LARGEST_ARCHIVE:,} bytes", mend=MEND)
            _check_length(answer, len(received), url)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        code = f"HTTP {error.code} " if isinstance(error, urllib.error.HTTPError) else ""
        raise UnavailableError(f"download of {url} failed ({code}{reason})", mend=MEND) from error
    return bytes(received)


def _check_length(answer: Any, received: int, url: str) -> None:
    """A connection that ended early reads like the end of the file."""
    promised = answer.headers.get("Content-Length")
    if promised and promised.isdigit() and int(promised) != received:
        raise UnavailableError(f"download of {url} broke off after {received:,} of {promised} bytes", mend=MEND)


def extract(archive: bytes, name: str) -> bytes:
    """The bytes of housing.csv in a tar.gz; nothing else of it is touched and nothing is written.

    Raises:
        IntegrityError: it is no tar.gz, grows beyond `LARGEST_CONTENT`, or holds no such file.

    """
    try:
        unpacker = zlib.decompressobj(wbits=31)
        plain = unpacker.decompress(archive, LARGEST_CONTENT)
        if unpacker.unconsumed_tail:
            raise IntegrityError(f"{name} holds more than {LARGEST_CONTENT:,} bytes", mend=MEND)
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                if file is not None and PurePosixPath(member.name).name == MEMBER:
                    return file.read()
    except (zlib.error, tarfile.TarError, EOFError, ValueError) as error:
        raise IntegrityError(f"{name} is not a tar.gz archive ({error})", mend=MEND) from error
    raise IntegrityError(f"{name} holds no {MEMBER}", mend=MEND)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either there as a whole or not at all.

    Raises:
        ConfigurationError: the folder cannot be made or written.

    """
    part: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(part).chmod(0o644)
        Path(part).replace(path)
    except OSError as error:
        if part is not None:
            Path(part).unlink(missing_ok=True)
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}", mend="choose another folder") from error
