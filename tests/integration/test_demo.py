"""The demo as its user starts it: every check holds, and no way of ending it leaves a process or a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "longshore.cli.main", "--home", str(home), "demo", *arguments],
        env=clean, cwd=home.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def processes_of(home: Path) -> list[psutil.Process]:
    """Whatever runs with this home in its command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            told = " ".join(process.cmdline()) + process.environ().get("LONGSHORE_HOME", "")
            if str(home) in told and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.fault
@pytest.mark.timeout(400)
def test_every_check_holds_and_nothing_is_left(tmp_path: Path) -> None:
    home = tmp_path / "home"
    # Settings of where the user stands are not the demo's: with these no window would ever be judged.
    (tmp_path / "longshore.toml").write_text("[monitor]\nwindow_records = 10000000\n")
    # The stream ends at 150,000 records: at 1,000 a second a machine that is busy with other tests as well has been
    # seen not to have trained by then.
    with start(home, "--records", "10000", "--rate", "600", "--seed", "7") as demo:
        text, _ = demo.communicate(timeout=380)
    assert demo.returncode == 0, text
    assert "every check held" in text
    assert text.count("  ok  ") == 6, text
    eventually(lambda: not processes_of(home), 20, what="no process is left")
    assert not list(home.iterdir())


@pytest.mark.fault
@pytest.mark.parametrize(
    ("number", "heard"),
    [
        pytest.param(signal.SIGTERM, "starting Kafka", id="SIGTERM while servers start", marks=pytest.mark.long),
        pytest.param(signal.SIGINT, "trainer:", id="SIGINT while training", marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, "trainer:", id="SIGKILL while training"),
    ],
)
def test_killing_it_leaves_no_process(number: signal.Signals, heard: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with start(home) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if heard in line:
                break
        demo.send_signal(number)
        demo.communicate(timeout=60)
    assert demo.returncode != 0
    eventually(lambda: not processes_of(home), 20, what="no process is left")
