"""Makes the peers' virtual environments under `.bench/`, one each: their pins contradict one another.

A peer that cannot be made is not run, and the tables say why.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import _environments

FOLDER = Path(__file__).parent / "peers"
PEERS = {
    "evidently": "evidently",
    "nannyml": "nannyml",
    "river": "river",
    "frouros": "frouros",
    "scouter": "scouter-ml",
    "alibi": "alibi-detect",
}
"""Environment to package; scipy's own tests run in ours."""


def python_of(peer: str) -> Path:
    """The interpreter of a peer's own environment; scipy's is ours."""
    return Path(sys.executable) if peer == "scipy" else _environments.python_of(f"drift-{peer}")


def prepare(peer: str) -> str:
    """Make it, unless it is there already; why it cannot be had, or nothing."""
    return "" if peer == "scipy" else _environments.environment(f"drift-{peer}", FOLDER / f"{peer}.txt")
