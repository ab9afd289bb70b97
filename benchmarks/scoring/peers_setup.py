"""Makes what the peers run on, under `.bench/`: a virtual environment each, and Maven's build of the Java one.

A peer that cannot be made is not run, and the table says why: an old pin, no Maven, no network.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks._environments import attempt, environment, make_once
from benchmarks.scoring.world import BENCH

PEERS = Path(__file__).parent / "peers"
STREAMS = PEERS / "kafka-streams"


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
    if peer != "java":
        return environment(peer, PEERS / f"{peer}.txt")
    return make_once(peer, [STREAMS / "pom.xml", *STREAMS.rglob("*.java")], _build_java)


def _build_java() -> str:
    if not shutil.which("mvn"):
        return "no Maven"
    target = BENCH / "kafka-streams"
    shutil.rmtree(target, ignore_errors=True)
    return attempt(["mvn", "-q", "-B", "-f", str(STREAMS / "pom.xml"), f"-Dbench.target={target}", "package"])
