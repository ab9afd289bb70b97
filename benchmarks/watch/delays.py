"""How many labels a change of the errors takes to be seen, ours and River's, all at one false alarm in 10,000 labels.

Concept: prices × 1.2 from one label to the next, inputs and predictions as before. Decline: errors grow by 0.1 % of the
RMSE in 100 labels. Runs that alarm before the change are left out, ours and theirs; a slow decline has no before.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.drift.intervals import median
from benchmarks.drift.peers_setup import prepare, python_of
from benchmarks.scoring.world import BENCH, tell
from benchmarks.watch.losses import (
    BLOCK,
    Floats,
    Rows,
    alarms,
    first_alarm,
    generated,
    housing_world,
    profile_of,
)
from benchmarks.watch.plan import Plan

RUN_LENGTH, DEFAULT_RUN_LENGTH = 10_000, 1_000_000
OURS_DEFAULT = "Longshore loss test at its default, one false alarm in 1,000,000"
BEFORE, AFTER = 1_000, 2_000
FACTOR = 1.2
GROWTH = 0.001 / 100
"""Of the RMSE, by label."""

PEER = Path(__file__).with_name("peers") / "river_losses.py"


def concept(plan: Plan, results: dict[str, Any]) -> None:
    """Housing: labels from the change to the alarm."""
    clean, shifted, ours, default = [], [], [], []
    for seed in range(plan.runs):
        held_out, stream, watched = housing_world(seed)
        change = BEFORE + int(np.random.default_rng([seed, 13]).integers(0, BLOCK))
        moved = _after(stream, change)
        at = first_alarm(watched, moved, RUN_LENGTH)
        ours.append(at - change if at > change else np.nan)
        seldom = first_alarm(watched, moved, DEFAULT_RUN_LENGTH)
        default.append(seldom - change if seldom > change else np.nan)
        shifted.append(_losses(held_out, moved, change - BEFORE))
        clean.append(_losses(held_out, stream, 0))
        if seed % 10 == 9:
            tell(f"  concept: {seed + 1} of {plan.runs}")
    reached = _ours_clean(plan)
    rows = [_row("Longshore loss test", np.array(ours)) | {"run_length": reached["run_length"]}]
    rows.append(_row(OURS_DEFAULT, np.array(default)))
    peers, problem = _river(plan, "concept", clean, {"shifted": shifted})
    for peer in peers:
        first = np.array([np.inf if at is None else at for at in peer["first"]["shifted"]])
        delays = np.where(first > BEFORE, first - BEFORE, np.nan)
        rows.append(_row(_title(peer), delays) | {"run_length": peer["run_length"], "setting": peer["setting"]})
    results["concept"] = {
        "rows": rows, "problem": problem, "factor": FACTOR, "run_length": RUN_LENGTH, "block": BLOCK,
        "ours_run_length": reached,
    }  # fmt: skip


def decline(plan: Plan, results: dict[str, Any]) -> None:
    """Generated rows: labels from the beginning of the decline to the alarm, and how far the RMSE had grown by then."""
    found: dict[str, list[float]] = {"scale": [], "level": []}
    default: dict[str, list[float]] = {"scale": [], "level": []}
    streams: dict[str, list[dict[str, Floats]]] = {"scale": [], "level": []}
    clean = []
    for seed in range(plan.slow_runs):
        held_out, stream = generated(seed % plan.fits)
        watched, random = profile_of(held_out), np.random.default_rng([seed, 14])
        part = stream.take(random.integers(0, len(stream.labels), plan.slow_labels))
        clean.append(_losses(held_out, part, 0, length=8_000))
        for kind, alarmed in found.items():
            declining = _declining(part, kind)
            alarmed.append(first_alarm(watched, declining, RUN_LENGTH))
            default[kind].append(first_alarm(watched, declining, DEFAULT_RUN_LENGTH))
            streams[kind].append(_losses(held_out, declining, 0, length=plan.slow_labels))
        tell(f"  decline: {seed + 1} of {plan.slow_runs}")
    peers, problem = _river(plan, "decline", clean, streams)
    rows = []
    for kind, values in found.items():
        rows.append(_grown("Longshore loss test", kind, np.array(values)))
        rows.append(_grown(OURS_DEFAULT, kind, np.array(default[kind])))
        for peer in peers:
            first = np.array([np.inf if at is None else at for at in peer["first"][kind]])
            rows.append(_grown(_title(peer), kind, first) | {"run_length": peer["run_length"]})
    results["decline"] = {"rows": rows, "problem": problem, "growth": GROWTH, "run_length": RUN_LENGTH}


def run_lengths(plan: Plan, results: dict[str, Any]) -> None:
    """Undrifted streams: labels over alarms, beside the stated run length."""
    rows = []
    for stated in (1_000, 10_000):
        for block in (10, 100):
            counts, labels = [], []
            for seed in range(plan.fits):
                held_out, stream = generated(seed)
                length = min(len(stream.labels), plan.clean_labels)
                part = stream.take(slice(0, length))
                counts.append(len(list(alarms(profile_of(held_out), part, stated, block))))
                labels.append(length)
            total = sum(counts)
            rows.append({"stated": stated, "block": block, "labels": sum(labels), "alarms": total,
                         "run_length": sum(labels) / total if total else None, "by_fit": counts})  # fmt: skip
            tell(f"  run length {stated}, blocks of {block}: {total} alarms in {sum(labels):,} labels")
    results["run-length"] = {"rows": rows}


def _ours_clean(plan: Plan) -> dict[str, float | None]:
    """Our own run length on the clean housing streams that the peers were tuned on."""
    total = labels = 0
    for seed in range(plan.runs):
        _, stream, watched = housing_world(seed)
        total += len(list(alarms(watched, stream, RUN_LENGTH)))
        labels += len(stream.labels)
    return {"labels": labels, "alarms": total, "run_length": labels / total if total else None}


def _after(stream: Rows, change: int) -> Rows:
    part = stream.take(slice(0, change + AFTER))
    return Rows(part.predictions, np.where(np.arange(len(part.labels)) >= change, FACTOR, 1.0) * part.labels)


def _declining(part: Rows, kind: str) -> Rows:
    """Errors whose RMSE grows evenly: all of them by a factor, or by a growing level beside them."""
    grown = 1.0 + GROWTH * np.arange(len(part.labels))
    errors, rmse = part.errors, float(np.sqrt(np.mean(part.errors**2)))
    errors = errors * grown if kind == "scale" else errors - rmse * np.sqrt(grown**2 - 1.0)
    return Rows(part.predictions, part.predictions - errors)


def _losses(held_out: Rows, stream: Rows, start: int, length: int | None = None) -> dict[str, Floats]:
    """A stream's errors as the peers get them: absolute and signed, in standard deviations of the held-out ones."""
    known, errors = held_out.errors, stream.errors[start : None if length is None else start + length]
    sides = {"absolute": (np.abs(known), np.abs(errors)), "signed": (known, errors)}
    return {name: (now - then.mean()) / then.std() for name, (then, now) in sides.items()}


def _river(
    plan: Plan, name: str, clean: list[dict[str, Floats]], others: dict[str, list[dict[str, Floats]]]
) -> tuple[list[dict[str, Any]], str]:
    """What River's detectors found; or why they could not be run."""
    if not plan.peers:
        return [], "left out"
    if problem := prepare("river"):
        return [], problem
    place = BENCH / f"watch-{name}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for file, runs in {"clean": clean, **others}.items():
        least = min(len(run["signed"]) for run in runs)
        np.savez(place / f"{file}.npz", **{key: np.stack([run[key][:least] for run in runs]) for key in runs[0]})
    command = [str(python_of("river")), str(PEER), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=6 * 3_600)
    if done.returncode:
        return [], done.stderr[-300:]
    found: list[dict[str, Any]] = json.loads((place / "out.json").read_text())
    shutil.rmtree(place)
    return found, ""


def _title(peer: dict[str, Any]) -> str:
    return f"{peer['detector']} on {'|error|' if peer['input'] == 'absolute' else 'signed errors'}"


def _row(rule: str, delays: Floats) -> dict[str, Any]:
    """Median delay with its interval, of runs without an alarm before the change (NaN)."""
    kept = delays[~np.isnan(delays)]
    return {"rule": rule, "runs": len(delays), **median([kept]).to_dict()}


def _grown(rule: str, kind: str, first: Floats) -> dict[str, Any]:
    """The RMSE's growth at the alarm, from the labels until then."""
    return {"rule": rule, "kind": kind, "labels": float(np.median(first)), **median([first * GROWTH]).to_dict()}
