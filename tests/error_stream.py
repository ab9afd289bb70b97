"""Joined labels for the monitor's tests: a profile that knows its held-out errors, and batches of labels by pane."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
from tests.drift_stream import LATENESS_MS, PANE_MS, SCHEMA, STEP_MS, model_event, predictions, profile_bytes, rows

from longshore.monitor.decide import Decider, DeciderSettings
from longshore.monitor.episodes import Rules
from longshore.monitor.errors import Joined, count_errors
from longshore.monitor.harm import HarmSettings
from longshore.monitor.label_bins import target_stream
from longshore.monitor.label_watch import LabelSettings
from longshore.monitor.loss_limits import error_profile
from longshore.monitor.messages import Errors, LabelsSeen, encode
from longshore.monitor.models import Profiles, Watched
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.policy import Policy
from longshore.monitor.segments import places
from longshore.monitor.sequence import Alarm
from longshore.profile import Profile

SD = 0.5
"""Of errors, about 0 (prediction − label)."""

A_PANE = 50


@cache
def watched():
    """The ships' profile with the errors of its own rows."""
    frame, profile = rows(5_000, 7), Profile.from_bytes(profile_bytes())
    prediction = frame["prediction"].to_numpy()
    labels = prediction - np.random.default_rng(8).normal(0, SD, len(frame))
    inside = places(profile, {name: frame[name].to_numpy() for name in frame}, len(frame))
    errors = error_profile(profile, prediction, labels, inside)
    return Watched.of(dataclasses.replace(profile, errors=errors, target=target_stream(labels)).to_bytes())


def profiles():
    found = Profiles(lambda _: None)
    found._held.update(v1=watched(), v2=watched())
    return found


def joined(panes, seed=0, *, shift=0.0, width=1.0, version="v1", a_pane=A_PANE, level=1.0, times=1.0):
    """Labelled predictions, `a_pane` in each of `panes`; errors are N(shift, (width · SD)²).

    `level`: of predictions and labels alike; `times`: what labels are multiplied by, and nothing else.
    """
    random, count = np.random.default_rng([seed, *panes]), a_pane * len(panes)
    predictions = level * (random.lognormal(3, 0.6, count) / 10 + random.normal(0, 0.3, count))
    labels = times * (predictions - random.normal(shift, width * SD, count))
    segments = np.column_stack([random.integers(-1, len(one.labels), count) for one in watched().profile.segmentations])
    nan = np.full(count, np.nan)
    return Joined(version, "champion", np.repeat(panes, a_pane), predictions, labels, nan, nan.copy(), segments)


def batch(panes, seed=0, **given):
    """A message with them."""
    wrong = {"wrong_type": number} if (number := given.pop("unreadable", 0)) else {}
    return encode(Errors(0, 1, 0, 0, count_errors(watched(), joined(panes, seed, **given)), unreadable=wrong))


def labelled_decider(snapshot=None, *, policy="drift", window_labels=500, min_fresh_labels=300, **given):
    """A decider of the ships that takes labels; `given` are the policy's numbers."""
    settings = DeciderSettings(
        SCHEMA.name, "default", Rules(2, 3, min_fresh_labels, 2, Policy(policy, **given)), Alarm(2, 3, 1_000_000), {},
        500, PANE_MS, LATENESS_MS, False, HarmSettings(window_labels=window_labels, run_length=10_000),
        labels=LabelSettings(window_labels, target="delay"),
    )  # fmt: skip
    return Decider(settings, profiles(), snapshot)


@cache
def story(shift=0.5, width=1.6, *, level=1.0, times=1.0, unreadable=0, until=99):
    """3,000 records of v1 in 30 panes, whose errors grow from pane 15 on; labels come five panes after them.

    Likewise from there on (and to `until`) labels move, `level` and `times`, and so many in a pane are `unreadable`.
    """
    values, size = predictions(rows(3_000, 3)), PANE_MS // STEP_MS
    tally, panes = Tally(), PaneCounter(SCHEMA, profiles(), pane_ms=PANE_MS, lateness_ms=LATENESS_MS)
    messages = [model_event("promoted")]
    for pane in range(len(values) // size):
        panes.count(tally, values[pane * size : (pane + 1) * size], range(pane * size, (pane + 1) * size))
        messages.append(encode(tally.message(0, 1)))
        tally = tally.after_commit()
        if pane >= 5:
            moved = {"shift": shift, "width": width, "level": level, "times": times, "unreadable": unreadable}
            moved = moved if 15 <= pane - 5 < until else {}
            messages.append(encode(LabelsSeen(0, [(pane - 5, A_PANE)])))
            messages.append(batch([pane - 5], **moved))
    return tuple(messages)
