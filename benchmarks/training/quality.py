"""The served model's test RMSE on the handbook's split, against the handbook's tuned forest in the same run.

    python -m benchmarks.training quality [--data housing.csv] [--splits 0] [--only-splits 3,4] [--profiles full quick]

For each split the forest is refitted and the product searches, on the training part alone; both then predict the test
part, which was looked at by nobody before. `--splits 20` adds 20 other splits with the paired difference's interval
(an hour and a half). The product is the trainer's own `make`, its model is loaded from ONNX as a scorer does.

Every result is written down as soon as it is there (`benchmarks.training.splits`): a call that was stopped goes on
where it stopped, and `--only-splits` measures some of the 20, here or on another machine. A change of the code that is
measured, of its settings, the data or the libraries begins anew.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from benchmarks._results import write
from benchmarks.scoring import machine
from benchmarks.training import chapter, splits
from scipy import stats

from longshore.config import Settings, TrainerSettings
from longshore.dataset import locate, read_csv
from longshore.schema import districts
from longshore.served_model import ServedModel
from longshore.trainer.making import make
from longshore.trainer.rows import LabelledRows, from_frame

LIMITS = {"full": {"rmse": 39_500.0, "seconds": 300.0, "gib": 4.0}, "quick": {"rmse": 43_500.0, "seconds": 30.0}}
MUCH_BETTER = 0.05
ASKED = 20
"""Other splits, where some are measured by number."""
COSTS = {"gib": 1, "single_row_ms": 3, "rows_per_s": 0, "mb": 1}
"""What is shown of a profile beside its error, with how many digits."""
RESULTS = Path(__file__).parents[1] / "results"


class Peak:
    """The most memory that this process and its children held together, GiB, looked at ten times a second."""

    def __enter__(self) -> Peak:
        self.gib, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._stop.wait(0.1):
            held = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    held += process.memory_info().rss
                except psutil.Error:
                    continue
            self.gib = max(self.gib, held / 2**30)


def rmse(prediction: Any, target: Any) -> float:
    return float(np.sqrt(np.mean((prediction - target) ** 2)))


def product(train: LabelledRows, test: LabelledRows, profile: str, jobs: int) -> dict[str, Any]:
    """Search, fit and export on `train`; then, and only then, predict `test`."""
    settings = TrainerSettings(search=profile, jobs=jobs)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Peak() as peak:
        made = make(train, None, settings, _told, folder)
    seconds = time.monotonic() - began
    model = ServedModel.load(made.onnx)
    prediction = model.predict(test.columns)
    keep = ("fits", "stopped", "chosen", "why", "learning_curve", "importances")
    return {
        "rmse": rmse(prediction, test.target),
        "interval": _interval(prediction, test.target),
        "cross_validated": made.search["candidates"][0]["rmse"],
        "seconds": seconds,
        "gib": peak.gib,
        "single_row_ms": single_row_ms(model, test),
        "rows_per_s": rows_per_s(model, test),
        "mb": len(made.onnx) / 1e6,
        "search": {name: made.search[name] for name in keep},
        "candidates": [{k: v for k, v in one.items() if k != "design"} for one in made.search["candidates"]],
    }


def forest(train: Any, test: Any) -> dict[str, Any]:
    target = districts().target
    began = time.monotonic()
    fitted = chapter.forest().fit(train.drop(columns=target), train[target])
    seconds = time.monotonic() - began
    prediction = fitted.predict(test.drop(columns=target))
    return {
        "rmse": rmse(prediction, test[target].to_numpy()),
        "interval": _interval(prediction, test[target].to_numpy()),
        "seconds": seconds,
    }


def single_row_ms(model: ServedModel, rows: LabelledRows, calls: int = 500) -> float:
    ones = [rows.columns.take(np.array([i])) for i in range(calls)]
    times = []
    for one in ones:
        began = time.perf_counter()
        model.predict(one)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1_000


def rows_per_s(model: ServedModel, rows: LabelledRows) -> float:
    columns = rows.columns.take(np.arange(2_000) % len(rows))
    times = []
    for _ in range(7):
        began = time.perf_counter()
        model.predict(columns)
        times.append(time.perf_counter() - began)
    return 2_000 / statistics.median(times)


def _interval(prediction: Any, target: Any) -> list[float]:
    squared = (prediction - target) ** 2
    low, high = stats.t.interval(0.95, len(squared) - 1, squared.mean(), stats.sem(squared))
    return [float(np.sqrt(low)), float(np.sqrt(high))]


def _told(stage: str, figures: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{stage} {figures}"[:150], end="", file=sys.stderr)


def of_product(data: Path, profile: str) -> str:
    """The fingerprint of what a profile makes of the data, wherever its fits run and however many at a time."""
    settings = TrainerSettings(search=profile).model_dump(include={"search", "search_fits", "max_trees", "seed"})
    return splits.fingerprint("longshore.trainer.making", "longshore.trainer", data, settings)


def of_forest(data: Path) -> str:
    return splits.fingerprint("benchmarks.training.chapter", "benchmarks.training.chapter", data, {})


@dataclass(frozen=True)
class Measuring:
    """What is measured on every split, and where it is written down as soon as it is there."""

    rows: LabelledRows
    frame: Any
    profiles: list[str]
    jobs: int
    state: Path
    machine: str
    prints: dict[str, str]

    def measure(self, seed: int) -> None:
        """Whatever of a split is not known yet."""
        inside, outside = chapter.split(self.frame, seed)
        for part in ("forest", *self.profiles):
            if self._known(seed, part) is not None:
                continue
            load = os.getloadavg()[0]
            if part == "forest":
                found = forest(self.frame.iloc[inside], self.frame.iloc[outside])
            else:
                found = product(self.rows.take(inside), self.rows.take(outside), part, self.jobs)
            if seed != chapter.SEED:  # of the other splits there are many
                found = {name: value for name, value in found.items() if name not in ("search", "candidates")} | {
                    name: found["search"][name] for name in ("chosen", "fits") if "search" in found
                }
            when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
            told = {"seed": seed, "part": part, "fingerprint": self.prints[part], "machine": self.machine}
            splits.add(self.state, told | {"when": when, "load": round(load, 2), "found": found})
            _tell(seed, part, found)

    def done(self, seed: int) -> dict[str, Any] | None:
        """A split's results by part, None where the forest's or every profile's is missing."""
        lines = {part: self._known(seed, part) for part in ("forest", *self.profiles)}
        there = {part: line["found"] for part, line in lines.items() if line is not None}
        loads = {"load": max(line["load"] for line in lines.values() if line is not None)} if there else {}
        return {"seed": seed, **loads, **there} if "forest" in there and len(there) > 1 else None

    def _known(self, seed: int, part: str) -> dict[str, Any] | None:
        # On the handbook's split time counts, and other machines have other times.
        machine = self.machine if seed == chapter.SEED else None
        return splits.known(splits.read(self.state), seed, part, self.prints[part], machine)


def _tell(seed: int, part: str, found: dict[str, Any]) -> None:
    line = f"split {seed:>3}  {part:<6} {found['rmse']:>9,.0f}  {found['seconds']:>5.0f} s"
    if "gib" in found:
        line += (
            f"  {found['gib']:.1f} GiB  {found['single_row_ms']:.3f} ms a row  {found['rows_per_s']:>9,.0f} rows/s  "
            f"{found['mb']:.1f} MB  {found.get('chosen') or found['search']['chosen']}"
        )
    print(line, flush=True)


def paired(found: list[dict[str, Any]], profile: str) -> dict[str, Any]:
    """Our RMSE as a part of the forest's, and the paired t-interval of the difference over the splits."""
    ours, theirs = (np.array([split[name]["rmse"] for split in found]) for name in (profile, "forest"))
    difference = ours - theirs
    low, high = stats.t.interval(0.95, len(found) - 1, difference.mean(), stats.sem(difference))
    return {
        "splits": len(found),
        "mean": float(ours.mean()),
        "forest": float(theirs.mean()),
        "lower_by": float(1 - ours.mean() / theirs.mean()),
        "difference_interval": [float(low), float(high)],
    }


def verdicts(results: dict[str, Any]) -> list[str]:
    """What missed its limit, in words."""
    missed = []
    for profile, limits in LIMITS.items():
        ours = results["chapter"].get(profile, {})
        over = [name for name, most in limits.items() if ours.get(name, 0.0) > most]
        missed += [f"{profile}: {name} {ours[name]:,.1f} > {limits[name]:,.1f}" for name in over]
    for profile, found in results["others"].items():
        if profile == "full" and (found["lower_by"] < MUCH_BETTER or found["difference_interval"][1] >= 0):
            missed.append(f"over {found['splits']} other splits only {found['lower_by']:.1%} below the forest")
    return missed


def page(results: dict[str, Any]) -> str:
    lines = ["# Quality of training", ""]
    if results["chapter"]:
        lines += [
            f"{results['when']}, load average at most {results['chapter']['load']:.1f} before. The handbook's tuned "
            f"forest, as it is printed: {chapter.REPORTED_RMSE:,.0f}.",
            "",
            "| on the handbook's split | test RMSE | 95 % interval | seconds | GiB | one row, ms | rows/s | MB |",
            "|---|---|---|---|---|---|---|---|",
        ]
    for name, found in results["chapter"].items():
        if name in ("seed", "load"):
            continue
        low, high = found["interval"]
        cells = [name, f"{found['rmse']:,.0f}", f"{low:,.0f} … {high:,.0f}", f"{found['seconds']:,.0f}"]
        cells += [f"{found[key]:,.{digits}f}" if key in found else "" for key, digits in COSTS.items()]
        lines.append(f"| {' | '.join(cells)} |")
    for profile, found in results["others"].items():
        low, high = found["difference_interval"]
        lines += [
            "",
            f"Over {found['splits']} other splits of {results['wanted']} asked for, {profile}: mean RMSE "
            f"{found['mean']:,.0f} against {found['forest']:,.0f}, {found['lower_by']:.1%} lower; the paired "
            f"difference's 95 % interval is {low:,.0f} … {high:,.0f}.",
        ]
    if results["wanted"]:
        done = len(results["splits"])
        lines += ["", f"{done} of {results['wanted']} other splits are done.", ""]
        lines += splits.table(results["splits"], results["profiles"]) if done else []
    lines += ["", "; ".join(results["missed"]) or "Every limit was kept.", ""]
    return "\n".join(lines)


def results_of(measuring: Measuring, wanted: int) -> dict[str, Any]:
    """Everything that is known by now."""
    others = [one for one in map(measuring.done, range(1, wanted + 1)) if one is not None]
    pairs = {name: [one for one in others if name in one] for name in measuring.profiles}
    results: dict[str, Any] = {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": machine.describe(),
        "profiles": measuring.profiles,
        "fingerprints": measuring.prints,
        "chapter": measuring.done(chapter.SEED) or {},
        "wanted": wanted,
        "splits": others,
        "others": {name: paired(found, name) for name, found in pairs.items() if len(found) > 1},
    }
    return results | {"missed": verdicts(results)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--splits", type=int, default=0, help="other splits, seeds 1 to that [0]")
    parser.add_argument("--only-splits", type=splits.numbers, help="measure these alone now, as 3,4,9-11")
    parser.add_argument("--profiles", nargs="+", choices=tuple(LIMITS), default=list(LIMITS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--state", type=Path, help="what is known [training-quality-splits.jsonl beside them]")
    given = parser.parse_args(arguments)
    path = locate(given.data, Settings())
    if path is None:
        sys.exit("no housing.csv: give --data, or `longshore data fetch` first")
    read = read_csv(path, districts(), require_target=True)
    measuring = Measuring(
        from_frame(read, districts()),
        read.drop(columns=districts().key),
        given.profiles,
        given.jobs,
        given.state or given.results / "training-quality-splits.jsonl",
        machine.name(machine.describe()),
        {"forest": of_forest(path)} | {profile: of_product(path, profile) for profile in given.profiles},
    )
    wanted = given.splits or (ASKED if given.only_splits else 0)
    for seed in given.only_splits or (chapter.SEED, *range(1, wanted + 1)):
        measuring.measure(seed)
    results = results_of(measuring, wanted)
    if results["chapter"]:
        write("training-quality", results, page(results), given.results, None)
    else:
        print(page(results))
    print(json.dumps(results["others"], indent=1) if results["splits"] else "", *results["missed"], sep="\n")
    sys.exit(bool(results["missed"]))


if __name__ == "__main__":
    main()
