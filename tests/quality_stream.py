"""A scored stream with a fault of its data in the midst, as pane messages."""

from __future__ import annotations

from functools import cache

import numpy as np
from tests.drift_stream import PANE_MS, STEP_MS, counted, model_event, predictions, rows

from longshore.monitor.messages import LabelsSeen, encode
from longshore.monitor.quality.faults import ALL

TOTAL, FROM, UPTO = 6_500, 2_000, 4_000
LABELS = encode(LabelsSeen(0, [(pane, 60) for pane in range(TOTAL * STEP_MS // PANE_MS)]))


def cargo_unit(frame):
    frame.loc[FROM : UPTO - 1, ["cargo", "prediction"]] *= 1_000


def crew_null(frame):
    frame.loc[FROM : UPTO - 1, "crew"] = np.nan


def cargo_frozen(frame):
    frame.loc[FROM : UPTO - 1, "cargo"] = frame.loc[FROM, "cargo"]


def flag_typo(frame):
    frame.loc[FROM : UPTO - 1, "flag"] = frame.loc[FROM : UPTO - 1, "flag"].replace("PA", "Pa")


def nothing(frame):
    del frame


FAULTS = {
    ("unit", "cargo"): cargo_unit,
    ("missing", "crew"): crew_null,
    ("frozen", "cargo"): cargo_frozen,
    ("typo", "flag"): flag_typo,
    ("duplicates", ALL): nothing,
}


def values(name, drift_at=None):
    """Predictions: a fault from record FROM to UPTO, and drift of the crew from a record on."""
    frame = rows(TOTAL, 11)
    FAULTS.get(name, nothing)(frame)
    if drift_at is not None:
        frame.loc[drift_at:, "crew"] = frame.loc[drift_at:, "crew"] * 1.2
    made = predictions(frame)
    if name[0] != "duplicates":
        return made
    return [*made[:FROM], *(value for value in made[FROM:UPTO] for _ in range(2)), *made[UPTO:]]


@cache
def story(name, drift_at=None):
    """Promotion, labels for all of it, and the stream."""
    return [model_event("promoted"), LABELS, *counted(values(name, drift_at), 250)]
