"""Draws a result file: `plot.py RESULTS.json PICTURE.svg`, run in an environment that has matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

OURS, LIMIT, PEER = "#0b6e99", "#8a8f98", "#d08b39"


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    panels = [(name, draw) for name, draw in PANELS.items() if results.get(name)]
    figure, axes = plt.subplots(len(panels), 1, figsize=(9, 3.2 * len(panels)), squeeze=False, layout="constrained")
    for axis, (name, draw) in zip(axes[:, 0], panels, strict=True):
        draw(axis, results[name])
    machine = results["machine"]
    figure.suptitle(f"{machine['cores']} cores, {machine['processor']}, {results['began']}", fontsize=9)
    figure.savefig(sys.argv[2], metadata={"Date": None})


def colour(name: str) -> str:
    if name.startswith("limit"):
        return LIMIT
    return OURS if name.startswith("longshore") else PEER


def throughput(axis: Any, results: dict[str, Any]) -> None:
    rows = [(name, one["rate"]) for name, one in results.items() if one.get("rate")][::-1]
    middle = [rate["median"] for _, rate in rows]
    lengths = [[m - r["low"] for m, (_, r) in zip(middle, rows, strict=True)]]
    lengths += [[r["high"] - m for m, (_, r) in zip(middle, rows, strict=True)]]
    axis.barh([name for name, _ in rows], middle, xerr=lengths, color=[colour(name) for name, _ in rows], capsize=2)
    axis.set_xlabel("records/s (median, smallest and largest round)")


def latency(axis: Any, results: list[dict[str, Any]]) -> None:
    rows = [row for row in results if "p99" in row][::-1]
    for place, row in enumerate(rows):
        values = [row[name]["median"] for name in ("p50", "p99", "p999")]
        axis.plot(values, [place] * 3, color=colour(row["name"]), linewidth=1)
        for value, marker in zip(values, "o|x", strict=True):
            axis.plot(value, place, marker=marker, color=colour(row["name"]))
    axis.set_yticks(range(len(rows)), [f"{row['name']} at {row['rate']:,}/s" for row in rows])
    axis.set_xscale("log")
    axis.set_xlabel("ms from due to visible: o p50, | p99, x p99.9")


def intervals(axis: Any, results: list[dict[str, Any]]) -> None:
    for name in ("limit", "longshore"):
        rows = [row for row in results if row[name]]
        axis.plot([r["interval_ms"] for r in rows], [r[name] for r in rows], "o-", color=colour(name), label=name)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("transaction every … ms")
    axis.set_ylabel("records/s")
    axis.legend()


def scaling(axis: Any, results: list[dict[str, Any]]) -> None:
    rows = [row for row in results if row["rate"]]
    names = [f"{row['partitions']} partitions\n{row['processes']} processes" for row in rows]
    axis.bar(names, [row["rate"] for row in rows], color=OURS)
    axis.set_ylabel("records/s")
    axis.tick_params(axis="x", labelsize=7)


def memory(axis: Any, result: dict[str, Any]) -> None:
    for found in result.get("rounds", []):
        samples = found["samples"]
        axis.plot([when / 1_000 for when, _ in samples], [megabytes for _, megabytes in samples], color=OURS)
    axis.set_ylim(bottom=0)
    axis.set_xlabel(f"s, {result.get('records', 0):,} records")
    axis.set_ylabel("resident MB")


PANELS = {
    "throughput": throughput,
    "latency": latency,
    "intervals": intervals,
    "scaling": scaling,
    "memory": memory,
}

if __name__ == "__main__":
    main()
