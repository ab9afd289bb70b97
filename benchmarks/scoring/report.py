"""Results to files and to the terminal: JSON with every round, Markdown with the tables, an SVG of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import _results
from benchmarks.scoring import tables

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
    picture = Path(__file__).with_name("plot.py") if plot else None
    _results.write("scoring", results, text(results), folder, picture)
