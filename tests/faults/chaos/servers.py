"""Kafka and Redis of the run's own, which are killed and started again on the same ports, Kafka with the same data.

Kafka has a second listener whose advertised port is the proxy's: who bootstraps there, stays there.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from longshore.errors import UnavailableError
from longshore.local.broker import Broker, new_cluster_id
from longshore.local.cache_server import CacheServer
from longshore.local.process import HOST, Child, Record, free_ports
from longshore.local.servers import Server, start_together
from longshore.local.state import State

ATTEMPTS = 3


class Restartable:
    """A server on fixed ports. It dies with this process."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._starts = 0
        self._child: Child | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._child is not None

    def start(self) -> None:
        """Start it and wait until it answers; the log of the start before is kept."""
        log = self.server.folder / f"{self.server.name}.log"
        if log.exists():
            log.rename(log.with_name(f"{self.server.name}.{self._starts}.log"))
        self._starts += 1
        for left in reversed(range(ATTEMPTS)):
            try:
                started = start_together([self.server], State(), folder=self.server.folder, mend=lambda _: f"see {log}")
            except UnavailableError:  # too slow on a machine that does other things as well
                if not left:
                    raise
            else:
                self._child = started[self.server.name]
                return

    def stop(self, *, kill: bool) -> None:
        """SIGKILL, or a clean end."""
        if self._child is not None:
            self._child.stop(0 if kill else self.server.grace_s)
            self._child = None

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT."""
        assert self._child is not None
        os.kill(self._child.record.pid, number)


class Controller(Broker):
    """The controller's node: it holds no records."""

    name = "controller"

    def answers(self, record: Record) -> bool:
        """Whether it listens."""
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((HOST, record.port)) == 0


class Kafka(Restartable):
    """The broker: `bootstrap` directly, and a second listener on port `behind_proxy`, advertised as `proxy_port`.

    Where a partition has no leader for a moment, Kafka 4.3.1 takes it for deleted and drops the markers of the
    transactions that are ending ("Couldn't find leader endpoint"): their readers wait for ever, or the producer's next
    marker commits what was aborted, and no client can mend that. Where partitions have a second replica there is always
    a leader. Here it must not run without one: it does not hand over its partitions before a clean end (there is
    nobody to take them), the controller is a process of its own, as in production, and is not killed, and the broker
    comes back only once the controller has noticed that it was gone (else it loads the picture from before its end).
    """

    def __init__(self, folder: Path, *, behind_proxy: int, proxy_port: int) -> None:
        folder.mkdir(parents=True)
        port, controller = free_ports(2)
        self.bootstrap = f"{HOST}:{port}"
        self.data = folder / "data"
        shared = {
            "listener.security.protocol.map": "BROKER:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }
        own = {
            "process.roles": "controller",
            "listeners": f"CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"CONTROLLER://{HOST}:{controller}",
        }
        brokers = {
            "process.roles": "broker",
            "node.id": "2",
            "controlled.shutdown.enable": "false",
            "listeners": f"BROKER://{HOST}:{port},PROXIED://{HOST}:{behind_proxy}",
            "advertised.listeners": f"BROKER://{HOST}:{port},PROXIED://{HOST}:{proxy_port}",
        }
        beside = folder / "controller"
        beside.mkdir()
        cluster = new_cluster_id()
        self._controller = Restartable(Controller(beside, port=controller, settings=shared | own, cluster_id=cluster))
        self._controller.server.prepare()
        self._fencings = 0
        super().__init__(Broker(folder, port=port, settings=shared | brokers, cluster_id=cluster))
        self.server.prepare()

    def start(self) -> None:
        """The controller first, once."""
        if not self._controller.running:
            self._controller.start()
        super().start()

    def stop(self, *, kill: bool) -> None:
        """The broker alone."""
        self._fencings = self._count_fencings()
        super().stop(kill=kill)

    def is_fenced(self) -> bool:
        """Whether the controller has noticed the last stop."""
        return self._count_fencings() > self._fencings

    def _count_fencings(self) -> int:
        log = self._controller.server.folder / "controller.log"
        return log.read_text(errors="replace").count("handleBrokerFenced") if log.exists() else 0

    def end(self) -> None:
        """Both, for good."""
        self.stop(kill=True)
        self._controller.stop(kill=True)


class Redis(Restartable):
    """The cache, at `url`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        port = free_ports(1)[0]
        self.url = CacheServer.endpoint(port)
        super().__init__(CacheServer(folder, port=port))
        self.server.prepare()
