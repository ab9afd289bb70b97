"""Makes what the peers run on, under `.bench/`: a virtual environment each, and Maven's build of the Java one.

A peer that cannot be made is not run, and the table says why: an old pin, no Maven, no network.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.scoring.world import BENCH, tell

PEERS = Path(__file__).parent / "peers"
STREAMS = PEERS / "kafka-streams"
BUILD_TIMEOUT_S = 580


def python_of(peer: str) -> Path:
    """The interpreter of a peer's own environment."""
    return BENCH / f"venv-{peer}" / "bin" / "python"


def java_command() -> list[str]:
    """Java with the built peer on its class path."""
    built = BENCH / "kafka-streams"
    return [
        "java",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        f"{built / 'classes'}:{built / 'jars'}/*",
        "StreamsPeer",
    ]


def prepare(peer: str) -> str:
    """Make it, unless it is there already; why it cannot be had, or nothing."""
    inputs = [STREAMS / "pom.xml", *STREAMS.rglob("*.java")] if peer == "java" else [PEERS / f"{peer}.txt"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    stamp = BENCH / f"{peer}.made"
    if stamp.is_file() and stamp.read_text() == digest:
        return ""
    BENCH.mkdir(exist_ok=True)
    if peer == "java" and not shutil.which("mvn"):
        return "no Maven"
    tell(f"  making {peer} …")
    problem = _build_java() if peer == "java" else _install(peer)
    if not problem:
        stamp.write_text(digest)
    return problem


def _install(peer: str) -> str:
    python = python_of(peer)
    problem = _run([sys.executable, "-m", "venv", "--clear", str(python.parents[1])])
    requirements = str(PEERS / f"{peer}.txt")
    return problem or _run([str(python), "-m", "pip", "install", "--quiet", "--requirement", requirements])


def _build_java() -> str:
    target = BENCH / "kafka-streams"
    shutil.rmtree(target, ignore_errors=True)
    return _run(["mvn", "-q", "-B", "-f", str(STREAMS / "pom.xml"), f"-Dbench.target={target}", "package"])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not installed: {error}"[:300]
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return "" if done.returncode == 0 else f"not installed: {said[-1] if said else done.returncode}"[:300]
