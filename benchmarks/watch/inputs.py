"""Input alarms while only the concept changes: as many as on an undrifted stream, and no more than stated.

The streams of `policy`, prices × 1.2 from record 2,000 on and undrifted, judged for inputs and predictions at one false
alarm in 10,000 records, so that there is something to count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.scoring.world import tell
from benchmarks.watch import policy
from benchmarks.watch.plan import Plan
from scipy import stats

from longshore.monitor.decide import decide_all
from longshore.records import DriftEvent

RUN_LENGTH = 10_000
KINDS = {"nothing changes": "nothing", "prices × 1.2": "concept"}


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """By kind: windows after the change, and input alerts in them."""
    rows = []
    for title, kind in KINDS.items():
        windows = alarming = alerts = 0
        for episode in range(plan.episodes):
            world = policy.world(episode % plan.fits)
            messages = enumerate(policy.messages(world, kind, 1_000 + episode))
            events = decide_all(policy.decider(world[1], "drift", RUN_LENGTH), messages).events
            judged = _after(events, "verdict")
            windows += len(judged)
            alarming += sum(bool(event.detail["alert"]) for event in judged)
            alerts += sum(event.cause != "concept" for event in _after(events, "alert"))
        low, high = stats.binomtest(alarming, windows).proportion_ci(method="wilson")
        rows.append({"kind": title, "windows": windows, "alarming": alarming, "alerts": alerts,
                     "episodes": plan.episodes, "interval": [low, high]})  # fmt: skip
        tell(f"  inputs: {title}: {alarming} of {windows} windows")
    results["inputs"] = {"rows": rows, "run_length": RUN_LENGTH, "window": policy.WINDOW}


def _after(events: Sequence[DriftEvent], kind: str) -> list[DriftEvent]:
    start = policy.BEFORE * policy.STEP_MS
    return [event for event in events if event.kind == kind and event.window.end > start]
