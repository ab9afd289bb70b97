"""A benchmark's results to files named after the machine: JSON with everything, Markdown, and a picture of both."""

from __future__ import annotations

import json
import subprocess
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks._environments import environment, python_of
from benchmarks.scoring import machine
from benchmarks.scoring.peers_setup import PEERS
from benchmarks.scoring.world import tell

Section = tuple[str, str, Callable[[Any], str]]
"""A part's key in the results, its heading, and what makes its table."""


def measure(part: str, work: Callable[[], None], results: dict[str, Any]) -> None:
    """One part, and how long it took; one that fails leaves the reason, and the others run."""
    tell(f"== {part}")
    started = time.perf_counter()
    try:
        work()
    except Exception as error:
        traceback.print_exc()
        results["failed"][part] = f"{type(error).__name__}: {error}"
    results["seconds"][part] = time.perf_counter() - started
    tell(f"  {results['seconds'][part]:.0f} s")


def page(title: str, about: str, sections: Iterable[Section], results: dict[str, Any]) -> str:
    """The whole as Markdown: the machine, what the figures are, a table for each part that was measured."""
    host = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in host["versions"].items())
    head = [f"# {title} on {host['cores']} cores, {host['memory_gib']} GiB, {host['processor']}", ""]
    head += [about, "", f"Versions: {versions}."]
    for key, heading, table in sections:
        if results.get(key):
            head += ["", f"## {heading}", "", f"{table(results[key])}\n\n{results['seconds'].get(key, 0):.0f} s."]
    head += [f"\n{part} failed: {why}" for part, why in results["failed"].items()]
    return "\n".join(head) + "\n"


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
