"""Results to files and to the terminal: JSON with everything, Markdown with a table for each part, one SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import _results
from benchmarks.drift import tables

SECTIONS: tuple[_results.Section, ...] = (
    ("false-alarms", "False alarms: undrifted windows in which anything alarms", tables.false_alarms),
    ("run-length", "Run length between alerts", tables.run_length),
    ("power", "Power at matched false alarms (5 % of undrifted windows)", tables.power),
    ("delay", "Delay of an abrupt shift at one alert in 10,000 records", tables.delay),
    ("attribution", "Attribution: one of ten streams shifted", tables.attribution),
    ("metrics", "Metrics against scipy", tables.metrics),
    ("speed", "Speed", tables.speed),
    ("memory", "Memory", tables.memory),
)


def text(results: dict[str, Any]) -> str:
    """The whole as Markdown."""
    about = (
        f"{results['began']}, {results['machine']['kernel']}, load average {results['load'][0]} at the beginning and"
        f" {results['load'][1]} at the end (the benchmark's own work in it). Command: `{results['command']}`."
        " Intervals are 95 %, by reference."
    )
    return _results.page("Drift", about, SECTIONS, results)


def write(results: dict[str, Any], folder: Path, *, plot: bool) -> None:
    """All files, named after the machine."""
    picture = Path(__file__).with_name("plot.py") if plot else None
    _results.write("drift", results, text(results), folder, picture)
