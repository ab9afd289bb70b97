"""Apache Kafka, one node that is broker and controller in one: its settings, its storage, and when it is ready.

Topics' partitions and retention are left to `topics`; the jars to `jars`, the Java to `java`.
"""

from __future__ import annotations

import base64
import shutil
import struct
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from longshore.errors import ConfigurationError, UnavailableError
from longshore.local.fetch import fetch_with_jgo
from longshore.local.jars import provide
from longshore.local.java import find_java
from longshore.local.process import HOST, Child, Record, claim_port, exchange, free_ports

JVM = ("-Xms512m", "-Xmx512m", "-Xmn320m", "-XX:+UseParallelGC")
"""Measured at 1,000 records a second: the serial collector stops it for 20 ms once a second, this one for 6 ms every
three seconds, which the slowest hundredth of all records feels; G1 takes more memory outside the heap."""
FORMAT_TIMEOUT_S = 60.0

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",  # a misspelt topic is an error here, as in production
    # One node holds every copy; few partitions in the internal topics make the first transaction and group quick.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # A killed member or transaction is noticed in seconds, not in the 45 s and 10 s of the defaults; a rebalance in
    # half a second (docs/operations/recovery.md).
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "4000",
    "group.consumer.min.heartbeat.interval.ms": "200",
    "group.consumer.heartbeat.interval.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # After a crash the controller admits the new broker only once the old one's session is over.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "1000",
    # Sized for a machine that runs everything else too.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": str(16 * 2**20),
}

LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n%throwable{short}
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
"""


class Broker:
    """How the stack starts, asks and names Kafka."""

    name = "kafka"
    grace_s = 20.0

    def __init__(
        self, folder: Path, *, port: int = 0, settings: Mapping[str, str] | None = None, cluster_id: str = ""
    ) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._port = port
        self._cluster_id = cluster_id or new_cluster_id()
        self._own = dict(settings or {})  # over ours and over what follows from `port`: more listeners, say
        self._java: list[str | Path] = []

    def prepare(self) -> None:
        """Find Java, fetch the jars where they are missing, format the storage where there is none."""
        if "," in str(self.folder):
            raise ConfigurationError(
                f"folder {self.folder} has a comma, which Kafka takes for two folders",
                mend="set LONGSHORE_HOME elsewhere",
            )
        logging = self.folder / "log4j2.properties"
        logging.write_text(LOGGING, encoding="utf-8")
        class_path = ":".join(map(str, provide(fetch_with_jgo)))
        self._java = [find_java(), *JVM, f"-Dlog4j2.configurationFile={logging}", "-cp", class_path]
        if not self._data.exists():
            self._format()

    def command(self) -> tuple[list[str | Path], int]:
        """The command line, and the port it will listen on."""
        port = claim_port(self._port, "--kafka-port")
        properties = self.folder / "server.properties"
        self._write_settings(properties, self._data, port=port, controller_port=free_ports(1)[0])
        return [*self._java, "kafka.Kafka", properties], port

    def answers(self, record: Record) -> bool:
        """Whether our own cluster, with its broker admitted by the controller, answers on the port."""
        length = 4
        answer = exchange(record.port, METADATA_REQUEST, lambda got: len(got) >= length + _frame_length(got))
        cluster = cluster_in(answer)
        return cluster is not None and cluster == _property(self._data / "meta.properties", "cluster.id")

    @staticmethod
    def endpoint(port: int) -> str:
        """What goes into `bootstrap_servers`."""
        return f"{HOST}:{port}"

    def _format(self) -> None:
        """Format aside and rename: a killed run leaves no half-formatted storage."""
        part = self.folder / "data.part"
        shutil.rmtree(part, ignore_errors=True)
        properties = self.folder / "format.properties"
        self._write_settings(properties, part, port=1, controller_port=2)  # the tool opens no port
        command = [*self._java, "kafka.tools.StorageTool", "format", "-t", self._cluster_id, "-c", properties]
        child = Child(command, port=0, folder=self.folder, log=self.folder / "format.log")
        try:
            child.go()
            code = child.wait(FORMAT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            child.stop(grace_s=0)
        if code != 0:
            raise UnavailableError(
                f"Kafka's storage could not be formatted: {child.last_lines()}", mend=f"see {child.log}"
            )
        part.rename(self._data)

    def _write_settings(self, path: Path, data: Path, *, port: int, controller_port: int) -> None:
        settings = SETTINGS | {
            "listeners": f"BROKER://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
            "controller.quorum.voters": f"1@{HOST}:{controller_port}",
            "log.dirs": str(data).replace("\\", "\\\\"),
        }
        settings |= self._own
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")


def new_cluster_id() -> str:
    """A cluster's id, which all its nodes are formatted with."""
    made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return f"A{made[1:]}" if made.startswith("-") else made  # the tool would take it for an option


def _property(path: Path, key: str) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() == key:
            return value.strip()
    return None


# Kafka's protocol, just enough to ask who is there: Metadata, version 2, about no topic. The broker opens its port
# before the controller admits it; only then is it in this answer.
_BODY = struct.pack(">hhih9si", 3, 2, 1, 9, b"longshore", 0)
METADATA_REQUEST = struct.pack(">i", len(_BODY)) + _BODY


def cluster_in(answer: bytes) -> str | None:
    """The cluster id of a Metadata answer that names at least one broker and a controller; None otherwise."""
    try:
        brokers = struct.unpack_from(">i", answer, 8)[0]
        position = 12
        for _ in range(brokers):
            _, position = _string(answer, position + 4)  # after the node id: its host
            _, position = _string(answer, position + 4)  # after the port: its rack
        cluster, position = _string(answer, position)
        controller = struct.unpack_from(">i", answer, position)[0]
    except (struct.error, UnicodeDecodeError):
        return None
    return cluster if brokers > 0 and controller >= 0 else None


def _string(answer: bytes, position: int) -> tuple[str | None, int]:
    length = struct.unpack_from(">h", answer, position)[0]
    start = position + 2
    return (None, start) if length < 0 else (answer[start : start + length].decode(), start + length)


def _frame_length(got: bytes) -> int:
    return int(struct.unpack_from(">i", got)[0]) if len(got) >= 4 else 0
