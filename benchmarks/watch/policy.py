"""What asks for a retraining: simulated episodes through the real counter, join sums and decider, under both policies.

`benign`: people × 1.3, which the model does not use: inputs move, errors do not. `harmful`: incomes × 1.25 that prices
do not follow. `concept`: prices × 1.2 alone. `nothing`: undrifted. Labels come 1,000 records late.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from benchmarks.scoring.world import tell
from benchmarks.watch.plan import Plan
from scipy import stats
from sklearn.ensemble import HistGradientBoostingRegressor

from longshore.monitor.decide import Decider, DeciderSettings, decide_all
from longshore.monitor.episodes import Rules
from longshore.monitor.errors import Joined, count_errors, segments_of
from longshore.monitor.harm import HarmSettings
from longshore.monitor.messages import Errors, LabelsSeen, ModelMoved, encode
from longshore.monitor.models import Profiles, Watched
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.policy import Policy
from longshore.monitor.reference import build_profile
from longshore.monitor.scored import ScoredDecoder
from longshore.monitor.sequence import Alarm
from longshore.producers.generator import history_frame
from longshore.records import ModelEvent, ModelEventKind
from longshore.schema import districts

SCHEMA = districts()
KINDS = ("nothing", "benign", "harmful", "concept")
PANE_MS, STEP_MS, LATE = 10_000, 100, 1_000
WINDOW, BEFORE, AFTER = 500, 2_000, 4_000
FITTED, HELD_OUT, POOL = 8_000, 10_000, 40_000
UNUSED = "population"


@cache
def world(seed: int) -> tuple[Watched, bytes, Any, pd.DataFrame]:
    """A profile by held-out rows, the model, and rows to draw streams from."""
    frame = history_frame(FITTED + HELD_OUT + POOL, seed=seed + 50)
    fitted, held_out = frame.iloc[:FITTED], frame.iloc[FITTED : FITTED + HELD_OUT]
    model = HistGradientBoostingRegressor(max_iter=80, random_state=seed).fit(_used(fitted), fitted[SCHEMA.target])
    reference = held_out[list(SCHEMA.feature_names)].assign(prediction=model.predict(_used(held_out)))
    nominal, labels = [field.name for field in SCHEMA.nominal], held_out[SCHEMA.target].to_numpy(dtype=np.float64)
    profile = build_profile(reference, nominal, SCHEMA.derived, SCHEMA.place, labels)
    return Watched.of(profile), profile, model, frame.iloc[FITTED + HELD_OUT :]


def _used(frame: pd.DataFrame) -> Any:
    return frame[[field.name for field in SCHEMA.numeric if field.name != UNUSED]].to_numpy(dtype=np.float64)


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """By kind and policy, in how many of the episodes a request went out, and in how many an alert."""
    many = {kind: plan.benign if kind == "benign" else plan.episodes for kind in KINDS}
    counts = {(kind, policy): [0, 0] for kind in KINDS for policy in ("drift", "harm")}
    for kind in KINDS:
        for episode in range(many[kind]):
            made = world(episode % plan.fits)
            told = list(enumerate(messages(made, kind, episode)))
            for policy in ("drift", "harm"):
                outputs = decide_all(decider(made[1], policy), told)
                counts[kind, policy][0] += bool(outputs.requests)
                counts[kind, policy][1] += any(event.kind == "alert" for event in outputs.events)
        tell(f"  policy: {kind}: " + ", ".join(f"{p} {counts[kind, p]}" for p in ("drift", "harm")))
    results["policy"] = {
        "rows": [
            {"kind": kind, "policy": policy, "episodes": many[kind], "requests": requests, "alerts": alerts,
             "interval": list(stats.binomtest(requests, many[kind]).proportion_ci(method="wilson"))}
            for (kind, policy), (requests, alerts) in counts.items()
        ],
        "records": BEFORE + AFTER, "labels_late": LATE,
    }  # fmt: skip


def decider(profile: bytes, policy: str, run_length: float = 1_000_000) -> Decider:
    """The product's decider under a policy; `run_length`: records between false alarms on inputs."""
    rules = Rules(2, 3, 500, 3, Policy(policy))
    settings = DeciderSettings(
        SCHEMA.name, "default", rules, Alarm(2, 3, run_length), {}, WINDOW, PANE_MS, PANE_MS, False,
        HarmSettings(window_labels=WINDOW, run_length=100_000),
    )  # fmt: skip
    return Decider(settings, Profiles(lambda _: profile))


def messages(made: tuple[Watched, bytes, Any, pd.DataFrame], kind: str, seed: int) -> list[bytes]:
    """What stands on `drift.panes`: counts by pane of records, and the labels of the records `LATE` before."""
    watched, profile, model, pool = made
    random = np.random.default_rng([seed, KINDS.index(kind), 21])
    rows = pool.iloc[random.integers(0, len(pool), BEFORE + AFTER)].reset_index(drop=True)
    labels, after = rows[SCHEMA.target].to_numpy(dtype=np.float64), np.arange(len(rows)) >= BEFORE
    factors = {"benign": (UNUSED, 1.3), "harmful": ("median_income", 1.25)}
    if kind in factors:
        name, factor = factors[kind]
        rows = rows.assign(**{name: rows[name] * np.where(after, factor, 1.0)})
    predictions = model.predict(_used(rows))
    labels = labels * np.where(after & (kind == "concept"), 1.2, 1.0)
    values = _values(rows, predictions)
    columns = ScoredDecoder(SCHEMA).decode(values)
    segments = segments_of(watched, SCHEMA, columns, np.arange(len(columns)))
    counter = PaneCounter(SCHEMA, Profiles(lambda _: profile), pane_ms=PANE_MS, lateness_ms=PANE_MS)
    tally, panes, nan = Tally(), columns.times // PANE_MS, np.full(len(rows), np.nan)
    promoted = ModelEvent(ModelEventKind.PROMOTED, "default", "v1", 1, "t", "bench", "", 0)
    found, size = [encode(ModelMoved(promoted))], PANE_MS // STEP_MS
    for at in range(0, len(rows) + LATE, size):
        if at < len(rows):
            counter.count(tally, values[at : at + size], range(at, at + size))
            found.append(encode(tally.message(0, 1)))
            tally = tally.after_commit()
        if at >= LATE:
            part = slice(at - LATE, at - LATE + size)
            joined = Joined(
                "v1", "champion", panes[part], predictions[part], labels[part], nan[part], nan[part], segments[part]
            )
            found.append(encode(LabelsSeen(0, [(int(panes[part][0]), size)])))
            found.append(encode(Errors(0, 1, part.start, part.stop - 1, count_errors(watched, joined))))
    return found


def _values(rows: pd.DataFrame, predictions: Any) -> list[bytes]:
    """Predictions as the scorer writes them."""
    found, records = [], json.loads(rows.to_json(orient="records", double_precision=15))
    for i, (record, prediction) in enumerate(zip(records, predictions.tolist(), strict=True)):
        identity = {"record_id": f"r{i}", SCHEMA.key: str(record.pop(SCHEMA.key)), "event_time": i * STEP_MS}
        record.pop(SCHEMA.target)
        value = identity | {"scored_at": i * STEP_MS + 5, "prediction": prediction, "model_version": "v1"}
        value |= {"route": "champion", "source": {"topic": SCHEMA.topic, "partition": 0, "offset": i}}
        found.append(msgspec.json.encode(value | {"record": identity | record}))
    return found
