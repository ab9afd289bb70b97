"""A small scored stream for the monitor's tests: a schema of its own, predictions as bytes, a profile to judge by."""

from __future__ import annotations

from functools import cache

import msgspec
import numpy as np
import pandas as pd

from longshore.monitor.decide import Decider, DeciderSettings
from longshore.monitor.episodes import Rules
from longshore.monitor.messages import ModelMoved, encode
from longshore.monitor.models import Profiles
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.reference import build_profile
from longshore.monitor.sequence import Alarm
from longshore.records import ModelEvent, ModelEventKind
from longshore.schema import Field, Kind, Schema

PANE_MS = LATENESS_MS = 1_000
STEP_MS = 10

SCHEMA = Schema(
    name="ships",
    topic="ships",
    key="ship",
    target="delay",
    fields=(Field("cargo", Kind.NUMERIC), Field("crew", Kind.NUMERIC), Field("flag", Kind.NOMINAL)),
)

SCHEMA_TOML = """
name = "ships"
key = "ship"
target = "delay"
fields = [
  { name = "cargo", kind = "numeric" },
  { name = "crew", kind = "numeric" },
  { name = "flag", kind = "nominal" },
]
"""
"""The same as its users write it."""


def rows(count, seed, factor=1.0):
    random = np.random.default_rng(seed)
    cargo = random.lognormal(3, 0.6, count) * factor
    crew = np.where(random.random(count) < 0.05, np.nan, random.integers(5, 40, count))
    flag = random.choice(["PA", "LR", "NO"], count, p=[0.5, 0.3, 0.2])
    prediction = np.round(cargo / 10 + random.normal(0, 0.3, count), 4)
    return pd.DataFrame({"cargo": cargo, "crew": crew, "flag": flag, "prediction": prediction})


@cache
def profile_bytes():
    return build_profile(rows(5_000, 7), ["flag"])


PROFILES = Profiles(lambda version: profile_bytes() if version in ("v1", "v2") else None)


def predictions(frame, first_ms=0, version="v1", step_ms=STEP_MS, first_id=0):
    """One prediction value per row, `step_ms` apart in event time from `first_ms`; ids from `first_id` on."""
    values = []
    for i, row in enumerate(frame.itertuples(index=False)):
        when = first_ms + i * step_ms
        crew = None if np.isnan(row.crew) else row.crew
        identity = {"record_id": f"r{first_id + i}", "ship": "s", "event_time": when}
        record = identity | {"cargo": row.cargo, "crew": crew}
        value = identity | {"scored_at": when + 5}
        value |= {"prediction": row.prediction, "model_version": version, "route": "champion"}
        value |= {"source": {"topic": "ships", "partition": 0, "offset": i}, "record": record | {"flag": row.flag}}
        values.append(msgspec.json.encode(value))
    return values


def counter():
    return PaneCounter(SCHEMA, PROFILES, pane_ms=PANE_MS, lateness_ms=LATENESS_MS)


def counted(values, size=50):
    """One partition's values as pane messages, counted `size` at a time."""
    tally, pane_counter, told = Tally(), counter(), []
    for start in range(0, len(values), size):
        piece = values[start : start + size]
        pane_counter.count(tally, piece, list(range(start, start + len(piece))))
        told.append(encode(tally.message(0, 1)))
        tally = tally.after_commit()
    return told


def decider(snapshot=None, *, min_fresh_labels=300, cooldown_windows=2, thresholds=None, provisional=False, **given):
    rules, alarm = Rules(2, 3, min_fresh_labels, cooldown_windows), Alarm(2, 3, 1_000_000)
    settings = DeciderSettings(
        SCHEMA.name, "default", rules, alarm, thresholds or {}, 500, PANE_MS, LATENESS_MS, provisional, **given
    )
    return Decider(settings, PROFILES, snapshot)


def model_event(kind, version="v1", generation=1, trigger_id=""):
    event = ModelEvent(ModelEventKind(kind), "default", version, generation, trigger_id, "t", "because", 0)
    return encode(ModelMoved(event))
