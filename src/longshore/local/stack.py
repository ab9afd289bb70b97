"""The local stack as a whole: up, down, status, and what a crashed run left behind.

Decides which servers are wanted (those the settings do not replace), whether what is recorded still runs, and when all
of it is ready. How one server is started and asked is left to `broker` and `cache_server`, the start of several at once
to `servers`, processes to `process`.

Two ways to run it:
- `LocalStack(home).up()`: data and state under `home/local`; the servers live on until `down`.
- `with LocalStack(home, ephemeral=True) as endpoints:` a folder of its own under `home`, so any number of runs share a
  home; the servers die with this process, however it ends, and the folder goes with them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from longshore.errors import ConfigurationError, UnavailableError
from longshore.local import state as states
from longshore.local.broker import Broker
from longshore.local.cache_server import CacheServer
from longshore.local.process import Child, stop
from longshore.local.servers import Server, start_together
from longshore.local.state import State


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where Kafka and Redis answer, and the pids of those that are ours."""

    bootstrap_servers: str
    redis_url: str
    pids: dict[str, int]


def tell(line: str) -> None:
    """Write to stderr: stdout belongs to a command's answer."""
    sys.stderr.write(f"{line}\n")


def find_running(home: Path, *, bootstrap_servers: str | None = None, redis_url: str | None = None) -> Endpoints | None:
    """The endpoints of the stack that is up in `home` and answers, or None; what is given replaces its part."""
    return LocalStack(home, bootstrap_servers=bootstrap_servers, redis_url=redis_url).status()


class LocalStack:
    """Kafka and Redis under one folder of `home`. A given `bootstrap_servers` or `redis_url` replaces that server.

    `ephemeral` runs in a new folder that is removed at the end. `supervised` ties the servers' lives to this process;
    an ephemeral stack always is.
    """

    def __init__(
        self,
        home: Path,
        *,
        ephemeral: bool = False,
        supervised: bool = False,
        bootstrap_servers: str | None = None,
        redis_url: str | None = None,
        kafka_port: int = 0,
        redis_port: int = 0,
        say: Callable[[str], None] = tell,
    ) -> None:
        self.home = home.absolute()
        self._ephemeral = ephemeral
        self._supervised = supervised or ephemeral
        self._given = {
            name: address for name, address in (("kafka", bootstrap_servers), ("redis", redis_url)) if address
        }
        self._ports = {"kafka": kafka_port, "redis": redis_port}
        self._say = say
        self._children: dict[str, Child] = {}
        self._folder = self.home / "local"
        self._held = ExitStack()  # an ephemeral folder's lock, which says that its run is alive

    def __enter__(self) -> Endpoints:
        """Bring it up; nothing is left if that fails."""
        try:
            if self._ephemeral:
                self._take_own_folder()
            return self.up()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what this object started."""
        self.close()

    def up(self) -> Endpoints:
        """Start what is wanted and does not run yet; return once everything answers.

        Raises:
            ConfigurationError: a folder cannot be written, a port is taken, a program is missing.
            UnavailableError: a download failed, or a server ended or stayed silent.

        """
        wanted = [server for server in self._servers() if server.name not in self._given]
        if wanted:
            with self._writable(), self._locked():
                state = self._whole_state()
                self._check_ports(state)
                missing = [server for server in wanted if server.name not in state.servers]
                self._start(missing, state)
        found = self.status()
        if found is None:
            raise UnavailableError(
                "the local stack stopped answering right after its start", mend=f"see {self._folder}"
            )
        return found

    def status(self) -> Endpoints | None:
        """The endpoints, if every part is given or answers; changes nothing."""
        state = states.read(self._folder)
        addresses = dict(self._given)
        for server in self._servers():
            record = state.servers.get(server.name)
            if server.name not in addresses and record and record.process() and server.answers(record):
                addresses[server.name] = server.endpoint(record.port)
        if not {"kafka", "redis"} <= set(addresses):
            return None
        pids = {name: record.pid for name, record in state.servers.items() if record.process()}
        return Endpoints(addresses["kafka"], addresses["redis"], pids)

    def left_overs(self) -> list[str]:
        """One line for each recorded server that a crash ended, or left without its neighbour; changes nothing."""
        if states.is_locked(self._folder):  # somebody is bringing it up or down right now
            return []
        return self._left_overs(states.read(self._folder))

    def _left_overs(self, state: State) -> list[str]:
        if self._runs(state):
            return []
        return [
            f"left-over of a crashed run: {name} (pid {record.pid}) "
            f"{'still runs' if record.process() else 'is gone'}, log {self._folder / name / f'{name}.log'}"
            for name, record in state.servers.items()
        ]

    def down(self, *, purge: bool = False) -> list[str]:
        """Stop what is recorded, and with `purge` remove its data; the names of what was stopped."""
        if not self._folder.is_dir():
            return []
        with self._writable(), self._locked():
            state = states.read(self._folder)
            stopped = [name for name, record in state.servers.items() if record.process()]
            self._clear(state)
            if purge:
                for server in self._servers():
                    shutil.rmtree(server.folder, ignore_errors=True)
        return stopped

    def close(self) -> None:
        """Stop what this object started, and remove an ephemeral folder."""
        grace_s = {server.name: 0 if self._ephemeral else server.grace_s for server in self._servers()}
        for name, child in self._children.items():
            child.stop(grace_s[name])
        if self._children and not self._ephemeral:
            with self._locked():
                state = states.read(self._folder)
                for name in self._children:
                    state.servers.pop(name, None)
                states.write(self._folder, state)
        self._children.clear()
        self._held.close()
        if self._ephemeral and self._folder.name.startswith("run-"):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _servers(self) -> list[Server]:
        return [
            CacheServer(self._folder / "redis", port=self._ports["redis"]),
            Broker(self._folder / "kafka", port=self._ports["kafka"]),
        ]

    def _whole_state(self) -> State:
        """The recorded state if all of it runs; else an empty one, after the left-overs are told and stopped."""
        state = states.read(self._folder)
        left_overs = self._left_overs(state)
        if not left_overs:
            return state
        for line in left_overs:
            self._say(f"{line}.1; cleaning up")  # the line ends with the log's name, which the next start changes
        self._clear(state)
        return State()

    def _runs(self, state: State) -> bool:
        servers = {server.name: server for server in self._servers()}
        return state.ready and all(
            record.process() and servers[name].answers(record) for name, record in state.servers.items()
        )

    def _clear(self, state: State) -> None:
        for server in self._servers():
            if record := state.servers.get(server.name):
                stop(record, server.grace_s)
        states.write(self._folder, State())

    def _check_ports(self, state: State) -> None:
        for name, record in state.servers.items():
            if self._ports[name] not in (0, record.port):
                raise ConfigurationError(
                    f"{name} is already up on port {record.port}, not {self._ports[name]}",
                    mend="stop it first: longshore local down",
                )

    def _start(self, servers: list[Server], state: State) -> None:
        for server in servers:
            server.folder.mkdir(parents=True, exist_ok=True)
            server.prepare()
        self._children |= start_together(servers, state, folder=self._folder, mend=self._mend)
        states.write(self._folder, State(state.servers, ready=True))
        if not self._supervised:
            for child in self._children.values():
                child.release()
            self._children.clear()

    def _mend(self, server: Server) -> str:
        if self._ephemeral:
            return "longshore local up keeps its whole log"
        return f"see {server.folder / f'{server.name}.log'}"

    def _take_own_folder(self) -> None:
        with self._writable():
            self.home.mkdir(parents=True, exist_ok=True)
            with states.locked(self.home, lambda: None):  # or a neighbour takes our unlocked new folder for a left-over
                for stale in self.home.glob("run-*"):
                    if not states.is_locked(stale):
                        self._say(f"left-over of a crashed run: {stale}; removing it")
                        shutil.rmtree(stale, ignore_errors=True)
                self._folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.home))
                self._held.enter_context(states.locked(self._folder, lambda: None))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Change this folder alone. An ephemeral folder is ours for life."""
        if self._ephemeral:
            yield
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with states.locked(self._folder, lambda: self._say(f"waiting for another run to leave {self._folder}")):
            yield

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"folder {self.home} cannot be used: {error.strerror or error}",
                mend="set LONGSHORE_HOME to a writable folder with free space",
            ) from error
