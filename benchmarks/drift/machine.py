"""The machine, and the versions of what is measured."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

from benchmarks.drift.peers_setup import PEERS, python_of
from benchmarks.scoring import machine as scoring

OURS = ("longshore", "numpy", "scipy", "pandas")


def describe() -> dict[str, Any]:
    """Cores, memory, processor, kernel and versions."""
    versions = {name: importlib.metadata.version(name) for name in OURS} | {"python": platform.python_version()}
    peers = scoring.versions_of({python_of(peer): package for peer, package in PEERS.items()})
    return scoring.describe() | {"versions": versions | peers}
