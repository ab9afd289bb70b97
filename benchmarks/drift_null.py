"""False alarms and power of the drift alarm at its defaults: 20 seeds x 50 windows of 1,000 records, no Kafka.

    python benchmarks/drift_null.py                       # the generator's districts
    python benchmarks/drift_null.py --data housing.csv    # random halves of a file: one fitted, windows from the other

Records go through the same code as on the topics: JSON, panes, deltas, the decider. The target stands in for the
prediction. Rows of a pool are reused where it has fewer than a run needs, as a looped replay does.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from longshore.config import MonitorSettings
from longshore.monitor.decide import Decider, DeciderSettings
from longshore.monitor.episodes import Rules
from longshore.monitor.messages import ModelMoved, encode
from longshore.monitor.models import Profiles
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.reference import build_profile
from longshore.monitor.sequence import Alarm
from longshore.producers.generator import history_frame
from longshore.records import DriftEvent, ModelEvent, ModelEventKind
from longshore.schema import districts

SCHEMA = districts()
STEP_MS = 10
BATCH = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--windows", type=int, default=50)
    parser.add_argument("--reference-rows", type=int, default=0, help="0: half of the pool")
    parser.add_argument("--income", type=float, default=1.0, help="factor on median_income from the first record on")
    args = parser.parse_args()
    alerts, alarming, judged, delays = 0, 0, 0, []
    for seed in range(args.seeds):
        started = time.perf_counter()
        reference, pool = _halves(args.data, seed, args.reference_rows)
        events = run(reference, pool, seed, windows=args.windows, income=args.income)
        verdicts = [event for event in events if event.kind == "verdict"]
        raised = [event for event in events if event.kind == "alert"]
        alerts += len(raised)
        judged += len(verdicts)
        alarming += sum(event.detail["alert"] for event in verdicts)
        delays += [raised[0].window_index + 1] if raised else []
        print(
            f"seed {seed}: {len(verdicts)} windows, smallest p {min(e.p_value for e in verdicts):.2g},"
            f" {len(raised)} alerts, {time.perf_counter() - started:.1f} s",
            flush=True,
        )
    result = {"windows": judged, "windows_over_threshold": alarming, "alerts": alerts, "windows_to_alert": delays}
    print(json.dumps(result))


def _halves(data: Path | None, seed: int, reference_rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    if data is None:
        return history_frame(reference_rows or 10_000, seed=2 * seed), history_frame(60_000, seed=2 * seed + 1)
    frame = pd.read_csv(data)
    order = np.random.default_rng(seed).permutation(len(frame))
    cut = reference_rows or len(frame) // 2
    return frame.iloc[order[:cut]], frame.iloc[order[cut:]]


def run(reference: pd.DataFrame, pool: pd.DataFrame, seed: int, *, windows: int, income: float) -> list[DriftEvent]:
    features = list(SCHEMA.feature_names)
    fitted = reference[features].assign(prediction=reference[SCHEMA.target].astype(float))
    profile = build_profile(fitted, [field.name for field in SCHEMA.nominal])
    profiles = Profiles(lambda version: profile if version == "v1" else None)
    defaults = MonitorSettings()
    pane_ms, lateness_ms = int(defaults.pane_s * 1_000), int(defaults.allowed_lateness_s * 1_000)
    rules = Rules(*defaults.persistence, defaults.min_fresh_labels, defaults.cooldown_windows)
    decider = Decider(
        DeciderSettings(
            SCHEMA.name,
            "default",
            rules,
            Alarm(*defaults.persistence, defaults.run_length_records),
            {},
            defaults.window_records,
            pane_ms,
            lateness_ms,
        ),
        profiles,
    )
    counter = PaneCounter(SCHEMA, profiles, pane_ms=pane_ms, lateness_ms=lateness_ms)
    promoted = ModelEvent(ModelEventKind.PROMOTED, "default", "v1", 1, "", "", "", 0)
    events = decider.apply(0, encode(ModelMoved(promoted))).events
    tally = Tally()
    random = np.random.default_rng(1_000 + seed)
    records = (windows + 2) * defaults.window_records
    rounds = -(-records // len(pool))
    order = np.concatenate([random.permutation(len(pool)) for _ in range(rounds)])[:records]
    shifted = pool.assign(median_income=pool["median_income"] * income)
    for number, at in enumerate(range(0, records, BATCH)):
        rows = shifted.iloc[order[at : at + BATCH]]
        counter.count(tally, encode_predictions(rows, at), list(range(at, at + len(rows))))
        events += decider.apply(number + 1, encode(tally.message(0, 1))).events
        tally = tally.after_commit()
    return events


def encode_predictions(rows: pd.DataFrame, first: int) -> list[bytes]:
    features = rows[list(SCHEMA.feature_names)]
    plain = features.astype(object).where(features.notna(), None).to_dict("records")
    values = []
    for i, (record, prediction) in enumerate(zip(plain, rows[SCHEMA.target], strict=True)):
        when = (first + i) * STEP_MS
        identity = {"record_id": str(first + i), "district_id": "d", "event_time": when}
        value = {"event_time": when, "scored_at": when, "prediction": float(prediction)}
        values.append(
            msgspec.json.encode(value | {"model_version": "v1", "route": "champion", "record": identity | record})
        )
    return values


if __name__ == "__main__":
    main()
