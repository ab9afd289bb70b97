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
    return scoring.describe() | {"versions": versions | _peers()}


def _peers() -> dict[str, str]:
    found = {}
    for peer, package in PEERS.items():
        pattern = f"*/site-packages/{package.replace('-', '_')}-*.dist-info"
        for place in (python_of(peer).parents[1] / "lib").glob(pattern):
            found[package] = place.name.removesuffix(".dist-info").rsplit("-", 1)[1]
    return found
