"""The local stack with real servers: its contract, and that nothing of it is left behind or shared by accident."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.waiting import eventually

from longshore.local.stack import LocalStack, find_running

pytestmark = pytest.mark.integration

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LONGSHORE_")}
    return kept | {"LONGSHORE_HOME": str(home)} | more


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "longshore.cli.main", "local", *args]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs `longshore local …` with a home of the test's own; what it left up is stopped."""
    home = tmp_path / "home"

    def call(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*args), env=environment(home, **more), cwd=tmp_path, capture_output=True, text=True, check=False
        )

    yield call
    if home.is_dir():
        LocalStack(home).down(purge=True)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def mentioning(folder: Path) -> list[int]:
    """The processes that have `folder` in their command line or as working directory: servers and their watchers."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.cmdline()) or process.cwd().startswith(str(folder)):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_up_status_and_down_keep_their_contract(run: Run, tmp_path: Path) -> None:
    """JSON alone on stdout; `up` twice is one stack; `down` leaves no process; `status` tells the difference."""
    before = run("status", "--output", "json")
    assert before.returncode == 1
    assert json.loads(before.stdout) == {"bootstrap_servers": None, "redis_url": None, "pids": {}}

    first = run("up", "--output", "json")
    assert first.returncode == 0, first.stderr
    endpoints = json.loads(first.stdout)
    assert set(endpoints) == {"bootstrap_servers", "redis_url", "pids"}
    assert set(endpoints["pids"]) == {"kafka", "redis"}
    assert all(alive(pid) for pid in endpoints["pids"].values())

    assert json.loads(run("up", "--output", "json").stdout) == endpoints
    assert json.loads(run("status", "--output", "json").stdout) == endpoints
    assert endpoints["bootstrap_servers"] in run("status").stdout
    found = find_running(tmp_path / "home")
    assert found is not None
    assert found.pids == endpoints["pids"]

    wrong = run("up", "--kafka-port", "1")
    assert wrong.returncode == 2
    assert "already up on port" in wrong.stderr

    assert run("down").returncode == 0
    assert not any(alive(pid) for pid in endpoints["pids"].values())
    eventually(lambda: not mentioning(tmp_path / "home"), what="no process of this home")
    after = run("status")
    assert (after.returncode, after.stdout) == (1, "")
    assert "longshore local up" in after.stderr


def test_a_crashed_broker_is_told_and_its_data_survives(run: Run, tmp_path: Path) -> None:
    """kill -9 the broker: `status` and `up` tell of it, the lone Redis is replaced, the cluster stays the same one."""
    first = json.loads(run("up", "--output", "json").stdout)
    meta = tmp_path / "home" / "local" / "kafka" / "data" / "meta.properties"
    identity = meta.read_text()
    os.kill(first["pids"]["kafka"], signal.SIGKILL)
    eventually(lambda: not alive(first["pids"]["kafka"]))

    status = run("status")
    assert status.returncode == 1
    assert f"left-over of a crashed run: kafka (pid {first['pids']['kafka']}) is gone" in status.stderr

    second = run("up", "--output", "json")
    assert second.returncode == 0, second.stderr
    assert f"kafka (pid {first['pids']['kafka']}) is gone" in second.stderr
    assert f"redis (pid {first['pids']['redis']}) still runs" in second.stderr
    assert set(json.loads(second.stdout)["pids"].values()).isdisjoint(first["pids"].values())
    assert not alive(first["pids"]["redis"])
    assert meta.read_text() == identity


def test_concurrent_runs_do_not_collide(run: Run, tmp_path: Path) -> None:
    """Two `up` in one home are one stack; another home at the same time is another."""
    homes = [tmp_path / "home", tmp_path / "home", tmp_path / "other"]
    running = [
        subprocess.Popen(
            command("up", "--output", "json"), env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for home in homes
    ]
    try:
        results = [process.communicate(timeout=120) for process in running]
        assert [process.returncode for process in running] == [0, 0, 0], results
        first, same, other = (json.loads(out) for out, _ in results)
        assert first == same
        assert first["bootstrap_servers"] != other["bootstrap_servers"]
        assert first["redis_url"] != other["redis_url"]
        assert set(first["pids"].values()).isdisjoint(other["pids"].values())
    finally:
        LocalStack(tmp_path / "other").down(purge=True)


def test_given_addresses_replace_the_servers(run: Run) -> None:
    """Only what is not given is started; with both given nothing is."""
    given = {"LONGSHORE_BOOTSTRAP_SERVERS": "kafka.invalid:9092"}
    half: dict[str, Any] = json.loads(run("up", "--output", "json", **given).stdout)
    assert half["bootstrap_servers"] == "kafka.invalid:9092"
    assert set(half["pids"]) == {"redis"}
    run("down")
    both = run("up", "--output", "json", **given, LONGSHORE_REDIS_URL="redis://redis.invalid:1/0")
    assert json.loads(both.stdout) == {
        "bootstrap_servers": "kafka.invalid:9092",
        "redis_url": "redis://redis.invalid:1/0",
        "pids": {},
    }


SUPERVISED = """
import sys, time, threading
from pathlib import Path
from longshore.local.stack import LocalStack
box = []
def start():  # in a thread that ends: the servers' lives hang on the process, not on the thread
    box.append(LocalStack(Path(sys.argv[1]), ephemeral=True))
    print(*box[0].__enter__().pids.values(), flush=True)
thread = threading.Thread(target=start); thread.start(); thread.join()
time.sleep(600)
"""


@pytest.mark.fault
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_an_ephemeral_stack_dies_with_its_owner(tmp_path: Path, how: signal.Signals) -> None:
    """However the owner ends, no server and no watcher stays; the next run removes the folder and says so."""
    owner = subprocess.Popen(
        [sys.executable, "-c", SUPERVISED, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    owner.send_signal(how)
    owner.communicate(timeout=30)
    eventually(lambda: not any(alive(pid) for pid in pids), 10, what="the servers' end")
    eventually(lambda: not mentioning(tmp_path), 10, what="the watchers' end")
    said: list[str] = []
    with LocalStack(tmp_path, ephemeral=True, say=said.append, bootstrap_servers="given:1"):
        assert any("left-over of a crashed run" in line for line in said)
    assert not list(tmp_path.glob("run-*"))


@pytest.mark.fault
@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("kafka/format.log", marks=pytest.mark.long),
        "state.json",
        pytest.param("kafka/kafka.log", marks=pytest.mark.long),
    ],
)
def test_a_killed_up_leaves_no_process(run: Run, tmp_path: Path, stage: str) -> None:
    """SIGKILL while storage is formatted, after the first record, or while Kafka starts; `up` then works."""
    starting = subprocess.Popen(command("up"), env=environment(tmp_path / "home"), stderr=subprocess.DEVNULL)
    eventually((tmp_path / "home" / "local" / stage).exists, what=stage)
    starting.kill()
    starting.wait()
    eventually(lambda: not mentioning(tmp_path / "home"), 10, what="no process of this home")
    again = run("up", "--output", "json")
    assert again.returncode == 0, again.stderr


@pytest.mark.fault
def test_an_interrupted_up_cleans_up(tmp_path: Path) -> None:
    """Ctrl-C while Kafka starts: no process, no record, exit 130."""
    home = tmp_path / "home"
    starting = subprocess.Popen(command("up"), env=environment(home), stderr=subprocess.PIPE)
    eventually((home / "local" / "kafka" / "kafka.log").exists)
    starting.send_signal(signal.SIGINT)
    _, errors = starting.communicate(timeout=30)
    assert starting.returncode == 130, errors
    assert b"Traceback" not in errors
    eventually(lambda: not mentioning(home), 10)
    assert not (home / "local" / "state.json").exists()


def test_bad_input_is_one_line_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    """A home that cannot be a folder, and a taken port: the thing, the mend, exit 2."""
    (tmp_path / "file").write_text("")
    unwritable = run("up", LONGSHORE_HOME=str(tmp_path / "file" / "home"))
    assert unwritable.returncode == 2
    assert len(unwritable.stderr.splitlines()) == 1
    assert str(tmp_path / "file") in unwritable.stderr
    assert "LONGSHORE_HOME" in unwritable.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("up", "--redis-port", str(port))
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert f"port {port}" in refused.stderr
    assert "--redis-port" in refused.stderr
    assert not (tmp_path / "home" / "local" / "state.json").exists()
    assert not mentioning(tmp_path / "home")


def test_the_session_stack_answers(kafka: str, redis_url: str) -> None:
    """The fixtures the other tests build on."""
    for address in (kafka, redis_url.removeprefix("redis://").removesuffix("/0")):
        host, port = address.split(":")
        socket.create_connection((host, int(port)), timeout=5).close()
