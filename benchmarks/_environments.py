"""What benchmarks need beyond `.venv`, made once under `.bench/`: virtual environments, and whatever else is built.

What cannot be made is not run, and the tables say why: an old pin, no Maven, no network.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.scoring.world import BENCH, tell

TIMEOUT_S = 900


def python_of(name: str) -> Path:
    """The interpreter of an environment."""
    return BENCH / f"venv-{name}" / "bin" / "python"


def make_once(name: str, inputs: Iterable[Path], make: Callable[[], str]) -> str:
    """Make it, unless it is there, made of these very inputs; why it cannot be had, or nothing."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    stamp = BENCH / f"{name}.made"
    if stamp.is_file() and stamp.read_text() == digest:
        return ""
    BENCH.mkdir(exist_ok=True)
    tell(f"  making {name} …")
    problem = make()
    if not problem:
        stamp.write_text(digest)
    return problem


def environment(name: str, requirements: Path) -> str:
    """A virtual environment with the requirements, made once; why it cannot be had, or nothing."""

    def make() -> str:
        python = python_of(name)
        problem = attempt([sys.executable, "-m", "venv", "--clear", str(python.parents[1])])
        install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)]
        return problem or attempt(install)

    return make_once(name, [requirements], make)


def attempt(command: list[str]) -> str:
    """Run it; the last line of what it said where it failed, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not installed: {error}"[:300]
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return "" if done.returncode == 0 else f"not installed: {said[-1] if said else done.returncode}"[:300]
