"""Results to files and to the terminal: JSON with every round, Markdown with the tables, an SVG of both."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scoring import machine, tables
from benchmarks.scoring.peers_setup import prepare, python_of
from benchmarks.scoring.world import tell

SECTIONS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("throughput", "Throughput", tables.throughput),
    ("comparisons", "Against the targets", tables.comparisons),
    ("latency", "Latency, end to end", tables.latency),
    ("intervals", "Cost of a transaction", tables.intervals),
    ("scaling", "Scaling", tables.scaling),
    ("memory", "Memory over a long run", tables.memory),
)


def text(results: dict[str, Any]) -> str:
    """The whole as Markdown."""
    host, model = results["machine"], results.get("model", {})
    versions = ", ".join(f"{name} {version}" for name, version in host["versions"].items())
    head = [
        f"# Scoring on {host['cores']} cores, {host['memory_gib']} GiB, {host['processor']}",
        "",
        f"{results['began']}, {host['kernel']}, load average {results['load'][0]} at the beginning and"
        f" {results['load'][1]} at the end (the benchmark's own work in it). Command: `{results['command']}`.",
        f"Model: {model.get('trees', '?')} trees of {model.get('leaves', '?')} leaves, {model.get('onnx_bytes', 0):,}"
        " bytes of ONNX, the same file for all. How to read it: docs/benchmarks.md.",
        "",
        f"Versions: {versions}.",
    ]
    for key, title, table in SECTIONS:
        if results.get(key):
            head += ["", f"## {title}", "", table(results[key])]
    head += [f"\n{part} failed: {why}" for part, why in results["failed"].items()]
    return "\n".join(head) + "\n"


def write(results: dict[str, Any], folder: Path, *, plot: bool) -> None:
    """All files, named after the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"scoring-{machine.name(results['machine'])}"
    data, page, picture = (stem.parent / f"{stem.name}.{ending}" for ending in ("json", "md", "svg"))
    data.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    drawn = plot and _draw(data, picture)
    page.write_text(text(results) + (f"\n![all of it as a picture]({picture.name})\n" if drawn else ""), "utf-8")
    tell(f"written: {data}, {page.name}{', ' + picture.name if drawn else ''}")


def _draw(data: Path, picture: Path) -> bool:
    problem = prepare("plot")
    if not problem:
        command = [str(python_of("plot")), str(Path(__file__).with_name("plot.py")), str(data), str(picture)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        problem = "" if done.returncode == 0 else done.stderr[-300:]
    if problem:
        tell(f"no plot: {problem}")
    return not problem
