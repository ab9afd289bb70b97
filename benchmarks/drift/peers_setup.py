"""Makes the peers' virtual environments under `.bench/`, one each: their pins contradict one another.

A peer that cannot be made is not run, and the tables say why.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from benchmarks.scoring.world import BENCH, tell

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

INSTALL_TIMEOUT_S = 900


def python_of(peer: str) -> Path:
    """The interpreter of a peer's own environment; scipy's is ours."""
    return Path(sys.executable) if peer == "scipy" else BENCH / f"venv-drift-{peer}" / "bin" / "python"


def prepare(peer: str) -> str:
    """Make it, unless it is there already; why it cannot be had, or nothing."""
    if peer == "scipy":
        return ""
    wanted = FOLDER / f"{peer}.txt"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    stamp = BENCH / f"drift-{peer}.made"
    if stamp.is_file() and stamp.read_text() == digest:
        return ""
    BENCH.mkdir(exist_ok=True)
    tell(f"  making {peer} …")
    python = python_of(peer)
    problem = _run([sys.executable, "-m", "venv", "--clear", str(python.parents[1])])
    problem = problem or _run([str(python), "-m", "pip", "install", "--quiet", "--requirement", str(wanted)])
    if not problem:
        stamp.write_text(digest)
    return problem


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not installed: {error}"[:300]
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return "" if done.returncode == 0 else f"not installed: {said[-1] if said else done.returncode}"[:300]
