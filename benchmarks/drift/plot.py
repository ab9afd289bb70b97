"""Draws a result file: `plot.py RESULTS.json PICTURE.svg`, run in an environment that has matplotlib."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

OURS, PEER, GOAL = "#0b6e99", "#d08b39", "#8a8f98"


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    panels = [(name, draw, tall) for name, (draw, tall) in PANELS.items() if results.get(name)]
    heights = [tall(results[name]) for name, _, tall in panels]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(9, sum(heights) + 0.5),
        squeeze=False,
        layout="constrained",
        gridspec_kw={"height_ratios": heights},
    )
    for axis, (name, draw, _) in zip(axes[:, 0], panels, strict=True):
        draw(axis, results[name])
        axis.set_title(name, loc="left", fontsize=9)
        axis.tick_params(labelsize=7)
    machine = results["machine"]
    figure.suptitle(f"{machine['cores']} cores, {machine['processor']}, {results['began']}", fontsize=9)
    figure.savefig(sys.argv[2], metadata={"Date": None})


def colour(name: str) -> str:
    return OURS if name.startswith("Longshore") else PEER


def false_alarms(axis: Any, result: dict[str, Any]) -> None:
    rows = [row for row in result["rows"] if row["source"] in {"housing", "generator"}]
    for rule, source in dict.fromkeys((row["rule"], row["source"]) for row in rows):
        chosen = (row for row in rows if (row["rule"], row["source"]) == (rule, source))
        part = sorted(chosen, key=lambda row: row["n"])
        middle = [row["value"] for row in part]
        lengths = [[m - row["low"] for m, row in zip(middle, part, strict=True)]]
        lengths += [[row["high"] - m for m, row in zip(middle, part, strict=True)]]
        ours = rule == "Longshore"
        axis.errorbar(
            [row["n"] for row in part],
            middle,
            yerr=lengths,
            marker="o" if ours else ".",
            linewidth=2 if ours else 0.8,
            color=OURS if ours else None,
            label=rule if source == "housing" else f"{rule}, {source}",
            capsize=2,
        )
    axis.axhline(result["alpha"], color=GOAL, linestyle=":")
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=0.1)
    axis.set_ylim(0, 1.05)
    axis.set_xlabel("records in a window", fontsize=8)
    axis.set_ylabel("share of undrifted windows that alarm", fontsize=8)
    axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))


def run_length(axis: Any, result: dict[str, Any]) -> None:
    rows = result["rows"]
    for place, row in enumerate(rows):
        axis.plot([row["low"], row["high"]], [place] * 2, color=OURS)
        axis.plot(row["value"], place, "o", color=OURS)
    axis.axvspan(0.9, 1.3, color=GOAL, alpha=0.2)
    axis.set_yticks(range(len(rows)), [f"{row['source']}, {row['stated']:,}" for row in rows])
    axis.set_xlabel("observed run length / stated", fontsize=8)


def power(axis: Any, result: dict[str, Any]) -> None:
    rows = result["rows"][::-1]
    names = [f"{row['cell']}, n={row['n']:,}" for row in rows]
    for place, row in enumerate(rows):
        for rule, value in row["powers"].items():
            ours = rule == "Longshore"
            axis.plot(value, place, "o" if ours else ".", color=colour(rule), markersize=5 if ours else 3)
    axis.set_yticks(range(len(rows)), names)
    axis.set_xlabel("power at 5 % false alarms: Longshore large, peers small", fontsize=8)
    axis.set_ylim(-1, len(rows))


def delay(axis: Any, result: dict[str, Any]) -> None:
    rows = [row for row in result["rows"] if math.isfinite(row["value"])][::-1]
    for place, row in enumerate(rows):
        axis.plot([row["low"], min(row["high"], 1e5)], [place] * 2, color=colour(row["rule"]))
        axis.plot(row["value"], place, "o", color=colour(row["rule"]))
    axis.set_yticks(range(len(rows)), [row["rule"] for row in rows])
    axis.set_xscale("log")
    axis.set_xlabel(f"records to the alert, {result['shift']}", fontsize=8)


def speed(axis: Any, result: dict[str, Any]) -> None:
    rows = result["rows"][::-1]
    for place, row in enumerate(rows):
        axis.plot([row["p50_ms"], row["p99_ms"]], [place] * 2, "o-", color=colour(row["rule"]), markersize=3)
    axis.set_yticks(range(len(rows)), [row["rule"] for row in rows])
    axis.set_xscale("log")
    axis.set_xlabel(f"ms, p50 and p99, {result['records']:,} records", fontsize=8)


PANELS = {
    "false-alarms": (false_alarms, lambda result: 4.5),
    "run-length": (run_length, lambda result: 0.6 + 0.25 * len(result["rows"])),
    "power": (power, lambda result: 0.6 + 0.16 * len(result["rows"])),
    "delay": (delay, lambda result: 0.8 + 0.25 * len(result["rows"])),
    "speed": (speed, lambda result: 0.8 + 0.25 * len(result["rows"])),
}

if __name__ == "__main__":
    main()
