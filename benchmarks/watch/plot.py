"""Draws the estimates of a result file: `plot.py RESULTS.json PICTURE.svg`, in an environment that has matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

OURS, PEER, TRUTH, OUT = "#0b6e99", "#d08b39", "#333333", "#f0e4d8"


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    found = results["estimate"]
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 8.5), layout="constrained", height_ratios=[1, 1.3])
    seed, chunks = next(iter(found["chunks"].items()))
    _series(above, chunks)
    above.set_title(
        f"One stream (seed {seed}): mean |error| by chunk of 500, in the file's order", loc="left", fontsize=9
    )
    _scatter(below, [chunk for of in found["chunks"].values() for chunk in of])
    below.set_title(f"All {len(found['chunks'])} streams: estimated against realised", loc="left", fontsize=9)
    for axis in (above, below):
        axis.tick_params(labelsize=7)
    machine = results["machine"]
    figure.suptitle(f"{machine['cores']} cores, {machine['processor']}, {results['began']}", fontsize=9)
    figure.savefig(sys.argv[2], metadata={"Date": None})


def _series(axis: Any, chunks: list[dict[str, Any]]) -> None:
    places = range(len(chunks))
    for i, chunk in enumerate(chunks):
        if chunk["share"] >= 0.5:
            axis.axvspan(
                i - 0.5, i + 0.5, color=OUT, lw=0, label="out of support" if "held" not in axis.__dict__ else None
            )
            axis.__dict__["held"] = True
    told = [chunk["ours"] for chunk in chunks]
    axis.fill_between(places, [c["low"] for c in chunks], [c["high"] for c in chunks], color=OURS, alpha=0.15, lw=0)
    axis.plot(places, [chunk["realised"] for chunk in chunks], color=TRUTH, label="realised")
    axis.plot(places, told, color=OURS, label="Longshore, with its 95 % interval")
    flagged = [i for i in places if chunks[i]["unreliable"]]
    axis.plot(flagged, [told[i] for i in flagged], "o", ms=4, mfc="none", color=OURS, label="… flagged unreliable")
    if "dle" in chunks[0]:
        axis.plot(places, [chunk["dle"] for chunk in chunks], color=PEER, label="NannyML DLE")
    axis.legend(fontsize=7)


def _scatter(axis: Any, chunks: list[dict[str, Any]]) -> None:
    for who, colour, name in (("dle", PEER, "NannyML DLE"), ("ours", OURS, "Longshore")):
        for out, shape in ((False, "o"), (True, "^")):
            kept = [chunk for chunk in chunks if (chunk["share"] >= 0.5) is out and who in chunk]
            where = "out of support" if out else "the others"
            axis.plot([c["realised"] for c in kept], [c[who] for c in kept], shape, ms=3, alpha=0.5, color=colour,
                      label=f"{name}, {where}")  # fmt: skip
    ends = [min(c["realised"] for c in chunks), max(c["realised"] for c in chunks)]
    axis.plot(ends, ends, color=TRUTH, lw=0.8)
    axis.set_xlabel("realised mean |error|", fontsize=8)
    axis.set_ylabel("estimated", fontsize=8)
    axis.legend(fontsize=7)


if __name__ == "__main__":
    main()
