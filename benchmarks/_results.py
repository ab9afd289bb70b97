"""A benchmark's results to files named after the machine: JSON with everything, Markdown, and a picture of both."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks._environments import environment, python_of
from benchmarks.scoring import machine
from benchmarks.scoring.peers_setup import PEERS
from benchmarks.scoring.world import tell


def write(kind: str, results: dict[str, Any], text: str, folder: Path, plot: Path | None) -> None:
    """All files of a benchmark's `kind`; `plot` is the script that draws the JSON, None: no picture."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{kind}-{machine.name(results['machine'])}"
    data, page, picture = (folder / f"{stem}.{ending}" for ending in ("json", "md", "svg"))
    data.write_text(json.dumps(results, indent=1, default=float) + "\n", encoding="utf-8")
    drawn = plot is not None and _draw(plot, data, picture)
    page.write_text(text + (f"\n![all of it as a picture]({picture.name})\n" if drawn else ""), "utf-8")
    tell(f"written: {data}, {page.name}{', ' + picture.name if drawn else ''}")


def _draw(plot: Path, data: Path, picture: Path) -> bool:
    problem = environment("plot", PEERS / "plot.txt")
    if not problem:
        command = [str(python_of("plot")), str(plot), str(data), str(picture)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        problem = "" if done.returncode == 0 else done.stderr[-300:]
    if problem:
        tell(f"no plot: {problem}")
    return not problem
