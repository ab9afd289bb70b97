"""What decisions cost: staleness and retrainings of the product's decider, beside an oracle, schedules and River.

The stream and its costs are `cost_world`'s. Ours is a closed loop: records are counted into panes by the product's
counter, labels into error sums, the decider's own requests retrain, and the new model's promotion goes back to it as a
message. A version's profile is made of `HELD_OUT` rows of the world as its labels were. Every policy waits
for the same `FRESH` labels.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from benchmarks.drift.peers_setup import prepare, python_of
from benchmarks.scoring.world import tell
from benchmarks.watch.cost_world import (
    FRESH,
    LATE,
    PANE,
    RETRAINING,
    TRAINING,
    Stream,
    inputs,
    oracle,
    scheduled,
    stream,
)
from benchmarks.watch.plan import Plan

from longshore.monitor.binning import encode as encode_column
from longshore.monitor.binning import profile_stream
from longshore.monitor.decide import Decider, DeciderSettings
from longshore.monitor.episodes import Rules
from longshore.monitor.errors import Joined, count_errors
from longshore.monitor.frames import read_columns
from longshore.monitor.harm import HarmSettings
from longshore.monitor.loss_limits import error_profile
from longshore.monitor.messages import Errors, LabelsSeen, ModelMoved, encode
from longshore.monitor.models import Profiles, Watched
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.policy import Policy
from longshore.monitor.reference import build_profile
from longshore.monitor.sequence import Alarm
from longshore.profile import Profile
from longshore.records import ModelEvent, ModelEventKind
from longshore.schema import Field, Kind, Schema

SCHEMA = Schema(
    name="costs", topic="costs", key="key", target="y", fields=(Field("x", Kind.NUMERIC), Field("z", Kind.NUMERIC))
)
WINDOW, COOLDOWN, HELD_OUT, STEP_MS = 500, 3, 5_000, 100
RUN_LENGTH, INPUT_RUN_LENGTH = 100_000, 1_000_000
PERIODS = (1_000, 2_000, 4_000, 8_000, 16_000)
PEER = Path(__file__).with_name("peers") / "river_cost.py"
FIRST = 1.0
"""The first model: it knows the relation with which the stream begins."""


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """Every policy on the same streams; ratios of summed costs to the oracle's."""
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(plan.cost_runs):
        one = stream(seed)
        asked = {"offline oracle": oracle(one, FIRST), "never": []}
        asked |= {f"every {period:,} records": scheduled(one, period) for period in PERIODS}
        asked |= {f"Longshore, `{policy}`": ours(one, policy, seed) for policy in ("harm", "drift")}
        for name, when in asked.items():
            found.setdefault(name, []).append(one.cost(FIRST, when) | {"asked": when})  # type: ignore[dict-item]
        tell(f"  cost: {seed + 1} of {plan.cost_runs}: " + ", ".join(f"{k} {len(v)}" for k, v in asked.items()))
    peers, problem = _river(plan)
    for peer in peers:
        costs = [stream(seed).cost(FIRST, asked) for seed, asked in enumerate(peer["asked"])]
        found[f"{peer['detector']} on {peer['input']} errors"] = costs
    best = np.array([run["total"] for run in found["offline oracle"]])
    results["cost"] = {
        "rows": [_row(name, runs, best) for name, runs in found.items()], "problem": problem, "retraining": RETRAINING,
        "fresh": FRESH, "late": LATE, "training": TRAINING, "run_length": RUN_LENGTH, "runs": found, "peers": peers,
        "changes": [stream(seed).changes for seed in range(plan.cost_runs)],
    }  # fmt: skip


def ours(one: Stream, policy: str, seed: int) -> list[int]:
    """After how many records each of the decider's requests comes."""
    random = np.random.default_rng([seed, 32])
    rules = Rules(2, 3, FRESH, COOLDOWN, Policy(policy))
    settings = DeciderSettings(
        SCHEMA.name, "default", rules, Alarm(2, 3, INPUT_RUN_LENGTH), {}, WINDOW, PANE * STEP_MS, PANE * STEP_MS, False,
        HarmSettings(window_labels=WINDOW, run_length=RUN_LENGTH),
    )  # fmt: skip
    return _Loop(one, Decider(settings, profiles := Profiles(lambda _: None)), profiles, random).run()


class _Loop:
    """Stream, counter, decider and models, pane by pane."""

    def __init__(self, one: Stream, decider: Decider, profiles: Profiles, random: np.random.Generator) -> None:
        self._one, self._decider, self._profiles, self._random = one, decider, profiles, random
        self._counter = PaneCounter(SCHEMA, profiles, pane_ms=PANE * STEP_MS, lateness_ms=PANE * STEP_MS)
        self._tally, self._offset = Tally(), 0
        self._models: list[float] = []
        self._used = np.zeros(len(one.x), dtype=np.int64)
        self.asked: list[int] = []

    def run(self) -> list[int]:
        self._promote(FIRST, 0)
        due: tuple[int, float] | None = None
        for start in range(0, len(self._one.x) - PANE + 1, PANE):
            if due is not None and start >= due[0]:
                self._promote(due[1], due[0] - TRAINING)
                due = None
            self._count(start)
            if self._labels(start - LATE) and due is None:
                end = start + PANE
                self.asked.append(end)
                due = end + TRAINING, self._one.fitted(end)
        return self.asked

    def _promote(self, model: float, fitted_at: int) -> None:
        self._models.append(model)
        version = f"v{len(self._models)}"
        self._profiles._held[version] = _profile(self._one, model, fitted_at, self._random)
        event = ModelEvent(ModelEventKind.PROMOTED, "default", version, len(self._models), "t", "bench", "", 0)
        self._apply(encode(ModelMoved(event)))

    def _count(self, start: int) -> None:
        part, version = slice(start, start + PANE), len(self._models)
        self._used[part] = version
        x, z = self._one.x[part], self._one.z[part]
        values = []
        for i, (a, b) in enumerate(zip(x.tolist(), z.tolist(), strict=True), start):
            identity = {"record_id": f"r{i}", "key": f"k{i}", "event_time": i * STEP_MS}
            value = identity | {
                "scored_at": i * STEP_MS,
                "prediction": a * self._models[-1],
                "model_version": f"v{version}",
            }
            values.append(msgspec.json.encode(value | {"route": "champion", "record": identity | {"x": a, "z": b}}))
        self._counter.count(self._tally, values, range(start, start + PANE))
        self._requested = self._apply(encode(self._tally.message(0, 1)))
        self._tally = self._tally.after_commit()

    def _labels(self, start: int) -> bool:
        """Join the labels of a pane; whether anything of this step asked for a retraining."""
        requested = self._requested
        if start < 0:
            return requested
        part, number = slice(start, start + PANE), int(self._used[start])
        version, predictions = f"v{number}", self._one.x[start : start + PANE] * self._models[number - 1]
        watched, nan = self._profiles.of(version), np.full(PANE, np.nan)
        assert watched is not None
        pane = np.full(PANE, start // PANE)
        segments = np.full((PANE, len(watched.profile.segmentations)), -1)
        joined = Joined(version, "champion", pane, predictions, self._one.y[part], nan, nan, segments)
        requested |= self._apply(encode(LabelsSeen(0, [(start // PANE, PANE)])))
        return requested | self._apply(encode(Errors(0, 1, start, start + PANE - 1, count_errors(watched, joined))))

    def _apply(self, message: bytes) -> bool:
        outputs = self._decider.apply(self._offset, message)
        self._offset += 1
        return bool(outputs.requests)


@cache
def _base() -> Profile:
    """A profile whose calibration, seconds of arithmetic, serves every version: no test depends on a column's scale."""
    x, z = inputs(np.random.default_rng(33), HELD_OUT)
    return Profile.from_bytes(build_profile(pd.DataFrame({"x": x, "z": z, "prediction": x}), []))


def _profile(one: Stream, model: float, at: int, random: np.random.Generator) -> Watched:
    """Of rows that are as the world was for the labels that the model is fitted to, of all they span."""
    x, z = inputs(random, HELD_OUT)
    last = max(at - LATE, 1)
    places = random.integers(max(last - FRESH, 0), last, HELD_OUT)
    frame = pd.DataFrame({"x": x, "z": z * _factor(one, places), "prediction": model * x})
    labels = one.truth[places] * x + random.normal(0, 1, HELD_OUT)
    streams = tuple(profile_stream(column, encode_column(column)) for column in read_columns(frame))
    profile = replace(_base(), streams=streams, segmentations=())
    segments = np.zeros((HELD_OUT, 0), np.int64)
    predictions = frame["prediction"].to_numpy(dtype=np.float64)
    return Watched.of(replace(profile, errors=error_profile(profile, predictions, labels, segments)).to_bytes())


def _factor(one: Stream, places: Any) -> Any:
    """By how much z has moved, at each place."""
    passed = np.searchsorted(one.benign, places, side="right")
    return np.where(passed % 2 == 1, 1.5, 1.0)


def _river(plan: Plan) -> tuple[list[dict[str, Any]], str]:
    if not plan.peers:
        return [], "left out"
    if problem := prepare("river"):
        return [], problem
    command = [str(python_of("river")), str(PEER), str(plan.cost_runs), str(RUN_LENGTH)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3_600)
    if done.returncode:
        return [], done.stderr[-300:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found, ""


def _row(name: str, runs: list[dict[str, float]], best: Any) -> dict[str, Any]:
    """Mean costs by stream, and the ratio of sums to the oracle's with a bootstrap interval over streams."""
    total = np.array([run["total"] for run in runs])
    drawn = np.random.default_rng(34).integers(0, len(total), (4_000, len(total)))
    low, high = np.quantile(total[drawn].sum(axis=1) / best[drawn].sum(axis=1), (0.025, 0.975))
    return {
        "policy": name,
        "streams": len(runs),
        "retrainings": float(np.mean([run["retrainings"] for run in runs])),
        "staleness": float(np.mean([run["staleness"] for run in runs])),
        "total": float(total.mean()),
        "ratio": float(total.sum() / best.sum()),
        "interval": [float(low), float(high)],
    }
