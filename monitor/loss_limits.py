"""A profile's part on errors: bins at quantiles of held-out errors, their sums, and the loss test's simulated limits.

The held-out rows are a sample: their shares are off by chance, which the test would take for evidence, slowly. So each
simulated stream has a reference of its own, drawn from the held-out errors, and is drawn from them itself. A limit is
never below the run length's logarithm, at which it holds whatever the blocks are, where the shares are known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from longshore.error_profile import ErrorProfile
from longshore.monitor.class_figures import class_counts, of_two_classes
from longshore.monitor.errors import error_bins, held_out_totals, scale_for
from longshore.monitor.loss_test import LEAST_ROWS, grown, log_bets, mixed, weights_for
from longshore.profile import Floats, Ints, Profile

BINS = 64
ROWS_A_BIN = 12
"""Held-out rows that a bin should have: fewer, and it says more of them than of the model."""

REPEATS = 192
"""Simulated streams, each with a reference of its own."""

BLOCKS = 160
SEED = 20_231
RUNS, TRIED = 10, 12
"""Run lengths kept, and limits simulated for them."""

SHORTEST, LONGEST = 1_000.0, 1_000_000.0
"""Run lengths that limits are simulated for, in labels; the longest at most fifty times the held-out rows."""


def error_profile(profile: Profile, predictions: Floats, labels: Floats, segments: Ints) -> ErrorProfile:
    """The part of `profile` on errors; m rows with predictions of a model that was not fitted on them.

    `segments`: int64[m, segmentations], as `errors.segments_of` has them.
    """
    good = np.isfinite(predictions) & np.isfinite(labels)
    predictions, labels, segments = predictions[good], labels[good], segments[good]
    errors = predictions - labels
    edges = bin_edges(errors)
    blank = ErrorProfile(
        edges=edges,
        counts=np.zeros(len(edges) + 1, np.int64),
        scale=scale_for(float(np.std(errors)) if len(errors) else 0.0),
        label_scale=scale_for(float(np.std(labels)) if len(labels) else 0.0),
        label_centre=float(np.mean(labels)) if len(labels) else 0.0,
        totals=np.zeros(7, np.int64),
        segments=np.zeros((0, 4), np.int64),
        runs=np.zeros(0),
        limits=np.zeros(0),
        repeats=0,
        classes=np.zeros(0, np.int64),
    )
    return _filled(profile, blank, predictions, labels, segments)


def _filled(profile: Profile, blank: ErrorProfile, predictions: Floats, labels: Floats, segments: Ints) -> ErrorProfile:
    with_scales = replace(profile, errors=blank)
    totals, by_segment = held_out_totals(with_scales, predictions, labels, segments)
    each = np.zeros(len(labels), np.int64)
    bins = error_bins(with_scales, predictions - labels, each, 1)
    counts = blank.counts if bins is None else bins[0]
    runs, limits = simulated_limits(counts)
    return replace(
        blank, counts=counts, totals=totals, segments=by_segment, runs=runs, limits=limits,
        repeats=REPEATS if len(runs) else 0,
        classes=class_counts(predictions, labels, each, 1)[0] if of_two_classes(labels) else blank.classes,
    )  # fmt: skip


def bin_edges(errors: Floats) -> Floats:
    """Edges of bins with equal numbers of the errors, at most `BINS`, each with some `ROWS_A_BIN` rows."""
    bins = min(BINS, len(errors) // ROWS_A_BIN)
    if bins < 2:
        return np.zeros(0)
    edges = np.unique(np.quantile(errors, np.arange(1, bins) / bins, method="inverted_cdf"))
    return np.asarray(edges[edges < errors.max()], dtype=np.float64)


def simulated_limits(counts: Ints, *, repeats: int = REPEATS, seed: int = SEED) -> tuple[Floats, Floats]:
    """Run lengths in labels and the limits of the log evidence that give them; nothing for too few rows or bins.

    A stream begins anew after every alarm: references that are off by chance alarm again and again, and weigh with it.
    """
    rows = int(counts.sum())
    if rows < LEAST_ROWS or len(counts) < 2:
        return np.zeros(0), np.zeros(0)
    runs = np.geomspace(SHORTEST, max(SHORTEST * 1.01, min(LONGEST, 50.0 * rows)), RUNS)
    step = int(np.clip(2.0 * rows, 5_000, 20_000)) // BLOCKS
    tried = np.linspace(np.log(SHORTEST) - 1.0, np.log(LONGEST) + 3.0, TRIED)
    alarms = _alarms(counts, step, tried, repeats, seed)
    found = np.maximum.accumulate(np.log(repeats * BLOCKS * step / np.maximum(alarms, 0.5)))
    limits = np.interp(np.log(runs), found, tried)
    return runs, np.maximum.accumulate(np.maximum(limits, np.log(runs)))


def _alarms(counts: Ints, step: int, limits: Floats, repeats: int, seed: int) -> Floats:
    """How many alarms all streams together raise at each limit, float64[limits]."""
    random, rows = np.random.default_rng(seed), int(counts.sum())
    shares = counts / rows
    bets = log_bets(random.multinomial(rows, shares, size=repeats))
    weights = weights_for(rows)
    kept = weights > 0
    bets, weights = bets[:, :, kept], weights[kept]
    evidence = np.full((len(limits), repeats, len(weights)), -np.inf)
    alarms = np.zeros(len(limits))
    for _ in range(BLOCKS if len(weights) else 0):
        block = random.multinomial(step, shares, size=repeats).astype(np.float64)
        evidence = grown(evidence, step, np.einsum("rk,rkj->rj", block, bets))
        over = mixed(evidence, weights) >= limits[:, None]
        alarms += over.sum(axis=1)
        evidence[over] = -np.inf
    return alarms
