"""The machine and the versions a result belongs to."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import confluent_kafka
import psutil
from benchmarks._environments import python_of
from benchmarks.scoring.world import BENCH

from longshore.local.jars import read_lock

OURS = ("longshore", "confluent-kafka", "onnxruntime", "msgspec", "numpy", "scikit-learn")
PEERS = {"quix": "quixstreams", "faust": "faust-streaming", "bytewax": "bytewax"}


def describe() -> dict[str, Any]:
    """Cores, memory, processor, kernel and the versions of everything that is measured."""
    broker = [jar.coordinate.split(":")[2] for jar in read_lock() if ":kafka-clients:" in jar.coordinate]
    versions = {name: importlib.metadata.version(name) for name in OURS}
    versions |= {"python": platform.python_version(), "librdkafka": confluent_kafka.libversion()[0]}
    versions |= {"broker": broker[0] if broker else "unknown", "java": _java()}
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": versions | versions_of({python_of(peer): package for peer, package in PEERS.items()}) | _jars(),
    }


def name(machine: dict[str, Any]) -> str:
    """For file names: what a reader recognises, and nothing of the host's own name."""
    words = f"{machine['cores']}-cores-{machine['memory_gib']:.0f}-gib-{machine['processor']}"
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", words.lower())).strip("-")[:60]


def load() -> float:
    """Processes that wanted a core, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123  (no file, a view of the kernel)
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _java() -> str:
    if not shutil.which("java"):
        return "none"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    return said.splitlines()[0] if said else "unknown"


def versions_of(packages: Mapping[Path, str]) -> dict[str, str]:
    """The versions of packages in other environments, by these' interpreters; of those that are there."""
    found = {}
    for python, package in packages.items():
        wanted = f"*/site-packages/{package.replace('-', '_')}-*.dist-info"
        for place in (python.parents[1] / "lib").glob(wanted):
            found[package] = place.name.removesuffix(".dist-info").rsplit("-", 1)[1]
    return found


def _jars() -> dict[str, str]:
    names = [path.stem for path in (BENCH / "kafka-streams" / "jars").glob("*.jar")]
    wanted = ("kafka-streams", "onnxruntime")
    return {f"{one} (java)": stem.removeprefix(f"{one}-") for one in wanted for stem in names if stem.startswith(one)}
