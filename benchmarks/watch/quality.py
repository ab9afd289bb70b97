"""Faults of the data in housing streams: named rightly, never asked for, and not told where there is none.

    python -m benchmarks.watch --only quality     # a quarter of an hour on one busy core

References are 9,800 rows of the housing data drawn anew each time, windows 1,000 of the rows that are left.

- named: a fault in a whole column, or in 30 % of the records; right is a window with exactly that kind told of
  exactly that stream (beside it nothing). Columns are taken in turn, for a typo the categories with 2 % or more.
- false alarms: undrifted windows in which anything is told, at the default run length (one window in 1,000 at most)
  and at the level at which one in 20 might be. The floors make it fewer.
- drift: windows of an undisturbed but changed world in which a fault is told that holds retraining.
- requests: whole streams through the pane counter and the decider, with labels for all of it: calm, faulty, calm again.
  Without the quarantine the same streams say what it is worth.

Intervals are Wilson's, 95 %; windows of one reference share its noise, which they leave out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.drift import data
from benchmarks.scoring.tables import markdown
from benchmarks.scoring.world import tell
from benchmarks.watch.plan import Plan
from scipy.stats import binomtest

from longshore.config import Settings
from longshore.monitor.binning import count_columns, encode, profile_stream
from longshore.monitor.calibration import calibrate
from longshore.monitor.decide import Decider, decide_all
from longshore.monitor.derived import with_ratios
from longshore.monitor.frames import read_columns
from longshore.monitor.identities import IdSketch, hashed
from longshore.monitor.layout import FineLayout
from longshore.monitor.messages import LabelsSeen, ModelMoved
from longshore.monitor.messages import encode as as_message
from longshore.monitor.models import PREDICTION, Profiles, Watched
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.quality.faults import ALL, FaultKind
from longshore.monitor.quality.judge import Contents, QualityRules, faults_of
from longshore.monitor.quarantine import HOLDING
from longshore.monitor.reference import build_profile
from longshore.monitor.service_decide import decider_settings
from longshore.profile import Profile
from longshore.records import ModelEvent, ModelEventKind
from longshore.schema import districts

SCHEMA = districts()
DERIVED = {each.name: (each.numerator, each.denominator) for each in SCHEMA.derived}
RULES = QualityRules(sources=DERIVED)
NOMINAL = data.NOMINAL
WINDOW = 1_000
START_MS, STEP_MS = 1_790_000_000_000, 100
CALM, FAULTY = 3_000, 4_000
SHARES = (1.0, 0.3)

Mask = npt.NDArray[np.bool_]
Change = Callable[[pd.DataFrame, str, Mask], None]
Case = tuple[FaultKind, str, float]
"""A fault, its column (or category), its share of the records."""


def unit(frame: pd.DataFrame, column: str, hit: Mask) -> None:
    frame.loc[hit, column] *= 1_000


def null(frame: pd.DataFrame, column: str, hit: Mask) -> None:
    frame.loc[hit, column] = None if column == NOMINAL else np.nan


def frozen(frame: pd.DataFrame, column: str, hit: Mask) -> None:
    frame.loc[hit, column] = frame[column].dropna().iloc[0]


def typo(frame: pd.DataFrame, column: str, hit: Mask) -> None:
    frame.loc[hit & (frame[NOMINAL] == column), NOMINAL] = column.lower()


def nothing(frame: pd.DataFrame, column: str, hit: Mask) -> None:
    del frame, column, hit


NUMERIC = [field.name for field in SCHEMA.numeric]
SCALED = [field.name for field in SCHEMA.numeric if field.minimum is None]
"""A place out of bounds is a dead letter and never counted."""

FAULTS: dict[FaultKind, tuple[Change, list[str]]] = {
    FaultKind.UNIT: (unit, SCALED),
    FaultKind.MISSING: (null, [*NUMERIC, NOMINAL]),
    FaultKind.FROZEN: (frozen, NUMERIC),
    FaultKind.DUPLICATES: (nothing, [ALL]),
    FaultKind.TYPO: (typo, ["<1H OCEAN", "INLAND", "NEAR OCEAN", "NEAR BAY"]),
}

DRIFTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "income × 1.25": lambda frame: frame.assign(median_income=frame["median_income"] * 1.25),
    "income × 1.5": lambda frame: frame.assign(median_income=frame["median_income"] * 1.5),
    "income × 2": lambda frame: frame.assign(median_income=frame["median_income"] * 2),
    "prices × 1.2": lambda frame: frame.assign(prediction=frame[PREDICTION] * 1.2),
    "houses 10 years older": lambda frame: frame.assign(housing_median_age=frame["housing_median_age"] + 10),
    "half of the coast to inland": lambda frame: frame[(frame[NOMINAL] == "INLAND") | (frame.index % 2 == 0)],
    "inland only": lambda frame: frame[frame[NOMINAL] == "INLAND"],
    "north only": lambda frame: frame[frame["latitude"] > 37],
    "large districts only": lambda frame: frame[frame["population"] > 1_500],
}


def stream_of(kind: FaultKind, column: str) -> str:
    return NOMINAL if kind is FaultKind.TYPO else column


def rows() -> pd.DataFrame:
    columns = {SCHEMA.target: PREDICTION}
    return data.housing().rename(columns=columns)[[*SCHEMA.feature_names, PREDICTION]]


def watched(frame: pd.DataFrame, calibration: Any) -> Watched:
    """The reference's bins; what is calibrated has no part in quality."""
    columns = with_ratios(read_columns(frame), DERIVED)
    streams = tuple(profile_stream(column, encode(column)) for column in columns)
    profile = Profile(len(frame), streams, calibration)
    return Watched(profile, FineLayout.of_profile(profile), "quality")


def contents(reference: Watched, frame: pd.DataFrame, ids: IdSketch | None = None) -> Contents:
    columns = with_ratios(read_columns(frame, [NOMINAL]), DERIVED)
    _, counts, sums = count_columns(reference.profile.streams, [column.values for column in columns])
    return Contents(reference, len(frame), counts, sums, ids)


def repeated(share: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Positions of a window's records, of which a share comes again: all of them twice for 1."""
    distinct = round(WINDOW / 2) if share == 1 else round(WINDOW * (1 - share))
    return np.r_[np.arange(distinct), random.integers(0, distinct, WINDOW - distinct)]


def references(many: int) -> Iterator[tuple[int, Watched, pd.DataFrame]]:
    frame = rows()
    columns = with_ratios(read_columns(frame[:2_000]), DERIVED)
    calibration = calibrate([encode(column) for column in columns], 2_000)
    for seed in range(many):
        reference, rest = data.split(frame, seed)
        yield seed, watched(reference, calibration), rest


def named(many: int, windows: int) -> list[dict[str, Any]]:
    """By fault and share: windows rightly named, of all; and those in which nothing was."""
    found: dict[tuple[FaultKind, float], list[tuple[bool, bool]]] = {}
    wrong: dict[tuple[FaultKind, float], dict[str, int]] = {}
    for seed, reference, rest in references(many):
        random = np.random.default_rng([seed, 5])
        for kind, (_, columns) in FAULTS.items():
            for share in SHARES:
                for at in range(windows):
                    column = columns[(seed * windows + at) % len(columns)]
                    names = _one(reference, rest, (kind, column, share), random)
                    right = names == {(kind.value, stream_of(kind, column))}
                    found.setdefault((kind, share), []).append((right, not names))
                    if not right:
                        told = f"{column}: " + (", ".join("/".join(name) for name in sorted(names)) or "nothing")
                        counts = wrong.setdefault((kind, share), {})
                        counts[told] = counts.get(told, 0) + 1
    return [
        {"fault": kind.value, "share": share, **estimate(sum(r for r, _ in of), len(of)),
         "silent": sum(silent for _, silent in of), "wrong": wrong.get((kind, share), {})}
        for (kind, share), of in found.items()
    ]  # fmt: skip


def _one(reference: Watched, rest: pd.DataFrame, case: Case, random: Any) -> set[tuple[str, str]]:
    kind, column, share = case
    frame = rest.iloc[random.choice(len(rest), WINDOW, replace=False)].reset_index(drop=True)
    ids = np.arange(WINDOW)
    if kind is FaultKind.DUPLICATES:
        ids = repeated(share, random)
        frame = frame.iloc[ids].reset_index(drop=True)
    else:
        FAULTS[kind][0](frame, column, random.random(WINDOW) < share)
    window = random.integers(10**9)
    sketch = IdSketch.of(hashed([f"{window}-{i}" for i in ids]))
    return {fault.name for fault in faults_of(contents(reference, frame, sketch), RULES)}


def false_alarms(many: int, windows: int) -> list[dict[str, Any]]:
    """Undrifted windows in which anything is told."""
    levels = {"default: one in 1,000": RULES, "one in 20": replace(RULES, run_length=20.0 * WINDOW)}
    told = dict.fromkeys(levels, 0)
    for seed, reference, rest in references(many):
        random = np.random.default_rng([seed, 6])
        for at in range(windows):
            frame = rest.iloc[random.choice(len(rest), WINDOW, replace=False)].reset_index(drop=True)
            held = contents(reference, frame, IdSketch.of(hashed([f"{seed}-{at}-{i}" for i in range(WINDOW)])))
            for name, rules in levels.items():
                told[name] += bool(faults_of(held, rules))
    return [{"level": name, **estimate(number, many * windows)} for name, number in told.items()]


def drifts(many: int, windows: int) -> list[dict[str, Any]]:
    """Windows of drift in which a fault is told that holds."""
    told: dict[str, list[bool]] = {}
    wrong: dict[str, dict[str, int]] = {}
    for seed, reference, rest in references(many):
        random = np.random.default_rng([seed, 7])
        for name, change in DRIFTS.items():
            moved = change(rest)
            for _ in range(windows):
                frame = moved.iloc[random.integers(0, len(moved), WINDOW)].reset_index(drop=True)
                found = [f for f in faults_of(contents(reference, frame), RULES) if f.kind in HOLDING]
                told.setdefault(name, []).append(bool(found))
                for fault in found:
                    counts = wrong.setdefault(name, {})
                    counts["/".join(fault.name)] = counts.get("/".join(fault.name), 0) + 1
    return [{"drift": name, **estimate(sum(of), len(of)), "told": wrong.get(name, {})} for name, of in told.items()]


def requests(many: int) -> list[dict[str, Any]]:
    """Whole streams through counter and decider: those in which a request went out, with the quarantine and without."""
    frame = rows()
    results: dict[tuple[FaultKind, float], list[tuple[bool, bool, bool]]] = {}
    for seed in range(many):
        reference, rest = data.split(frame, seed)
        profile = build_profile(reference, [NOMINAL], SCHEMA.derived, SCHEMA.place)
        random = np.random.default_rng([seed, 8])
        for number, (kind, (_, columns)) in enumerate(FAULTS.items()):
            for share in SHARES:
                column = columns[(seed + number) % len(columns)]
                messages = _stream(profile, rest, (kind, column, share), random)
                guarded, open_ = (_decided(profile, messages, ignored) for ignored in ((), tuple(FaultKind)))
                told = {tuple(name) for event in guarded.events for name in event.detail.get("faults", [])
                        if event.kind == "verdict"}  # fmt: skip
                results.setdefault((kind, share), []).append(
                    (bool(guarded.requests), bool(open_.requests), (kind.value, stream_of(kind, column)) in told)
                )
        tell(f"  reference {seed}")
    return [
        {"fault": kind.value, "share": share, **estimate(sum(asked for asked, _, _ in of), len(of)),
         "without": sum(asked for _, asked, _ in of), "told": sum(told for _, _, told in of)}
        for (kind, share), of in results.items()
    ]  # fmt: skip


def _stream(profile: bytes, rest: pd.DataFrame, case: Case, random: Any) -> list[bytes]:
    """Pane messages of a calm stretch, a faulty and a calm one again; labels for all of it come first."""
    kind, column, share = case
    total = 2 * CALM + FAULTY
    frame = rest.iloc[random.integers(0, len(rest), total)].reset_index(drop=True)
    hit = np.zeros(total, dtype=np.bool_)
    hit[CALM : CALM + FAULTY] = random.random(FAULTY) < share
    FAULTS[kind][0](frame, column, hit)
    values = predictions(frame)
    if kind is FaultKind.DUPLICATES:
        again = share / (1 - share) if share < 1 else 1.0
        hit[CALM : CALM + FAULTY] = random.random(FAULTY) < again
        values = [value for value, twice in zip(values, hit, strict=True) for value in [value] * (1 + bool(twice))]
    monitor = Settings().monitor
    pane_ms, lateness_ms = int(monitor.pane_s * 1_000), int(monitor.allowed_lateness_s * 1_000)
    counter = PaneCounter(SCHEMA, Profiles(lambda _: profile), pane_ms=pane_ms, lateness_ms=lateness_ms)
    event = ModelEvent(ModelEventKind.PROMOTED, "default", "v1", 1, "", "bench", "", 0)
    panes = range(START_MS // pane_ms, (START_MS + total * STEP_MS) // pane_ms)
    messages = [as_message(ModelMoved(event)), as_message(LabelsSeen(0, [(pane, 1_000) for pane in panes]))]
    tally = Tally()
    for start in range(0, len(values), 500):
        piece = values[start : start + 500]
        counter.count(tally, piece, range(start, start + len(piece)))
        messages.append(as_message(tally.message(0, 1)))
        tally = tally.after_commit()
    return messages


def predictions(frame: pd.DataFrame) -> list[bytes]:
    made = []
    for i, row in enumerate(frame.astype(object).where(frame.notna(), None).to_dict("records")):
        when = START_MS + i * STEP_MS
        identity = {"record_id": f"r{i}", SCHEMA.key: f"d{i}", "event_time": when}
        value = identity | {"scored_at": when + 5, "prediction": row.pop(PREDICTION), "model_version": "v1"}
        made.append(msgspec.json.encode(value | {"route": "champion", "record": identity | row}))
    return made


def _decided(profile: bytes, messages: Sequence[bytes], ignored: tuple[str, ...]) -> Any:
    settings = decider_settings(Settings(monitor={"quality_ignore": ignored}), SCHEMA)
    return decide_all(Decider(settings, Profiles(lambda _: profile)), enumerate(messages))


def estimate(number: int, of: int) -> dict[str, Any]:
    low, high = binomtest(number, of).proportion_ci(method="wilson")
    return {"number": number, "of": of, "value": number / of, "low": float(low), "high": float(high)}


def tables(results: dict[str, Any]) -> str:
    """All four as Markdown."""
    parts = [f"Windows of {WINDOW:,} records of the housing data; 95 % intervals (Wilson)."]
    lines = [
        (r["fault"], f"{r['share']:.0%}", percent(r), str(r["silent"]), said(r["wrong"])) for r in results["named"]
    ]
    head = ("fault", "of the records", "kind and stream right", "nothing told", "told instead")
    parts += ["", "### Named rightly (promised: 95 %)", "", markdown(head, lines)]
    lines = [(r["level"], percent(r)) for r in results["false-alarms"]]
    parts += ["", "### Undrifted windows in which a fault is told", "", markdown(("stated, at most", "seen"), lines)]
    lines = [(r["drift"], percent(r), said(r["told"])) for r in results["drifts"]]
    parts += ["", "### Drift taken for a fault", "", markdown(("drift", "windows", "as"), lines)]
    lines = [
        (r["fault"], f"{r['share']:.0%}", percent(r), f"{r['without']} of {r['of']}", f"{r['told']} of {r['of']}")
        for r in results["requests"]
    ]
    head = ("fault", "of the records", "streams with a request", "without the quarantine", "fault told")
    return "\n".join([*parts, "", "### Requests", "", markdown(head, lines)]) + "\n"


def percent(one: dict[str, Any]) -> str:
    return f"{one['number']} of {one['of']:,}: {one['value']:.2%} ({one['low']:.2%}–{one['high']:.2%})"


def said(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: -item[1])[:4]
    return "; ".join(f"{name} × {number}" for name, number in most) or "–"


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """Everything, `plan.quality` of each count."""

    def many(count: int) -> int:
        return max(1, round(count * plan.quality))

    found: dict[str, Any] = {}
    for name, work in (
        ("named", lambda: named(many(20), 40)),
        ("false-alarms", lambda: false_alarms(many(20), 500)),
        ("drifts", lambda: drifts(many(10), 20)),
        ("requests", lambda: requests(many(10))),
    ):
        tell(f"  quality: {name}")
        found[name] = work()
    results["quality"] = found
