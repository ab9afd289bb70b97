"""A sequential test on the loss: whether a model's errors are still those of its held-out rows. Pure.

An e-detector (Shin, Ramdas & Rinaldo 2023): bets against "the error's rank among the held-out errors is as it was",
each a likelihood ratio over the profile's signed-error bins with mean 1 under it, summed up by Shiryaev and Roberts'
recursion, and mixed. Whatever the bets, the mean number of labels until the evidence reaches c is at least c. How far
the held-out rows' own chance adds to that is `longshore.monitor.loss_limits`'s simulation.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from scipy import special

from longshore.error_profile import ErrorProfile
from longshore.profile import Floats, Ints

BETS = (
    *((side * shift, 1.0) for shift in (0.1, 0.25, 0.5, 1.0) for side in (-1, 1)),
    *((0.0, width) for width in (1.05, 1.1, 1.25, 1.6)),
    *((side * shift, width) for shift, width in ((0.2, 1.15), (0.5, 1.3), (1.0, 1.6)) for side in (-1, 1)),
)
"""Alternatives as (shift, width): the error's normal score is N(shift, width²) in place of N(0, 1). Small ones find
what creeps, large ones what breaks, those with both a change in the target's scale. None bets on smaller errors."""

RESOLVED = 8.0
"""A bet whose divergence per label is below this over the held-out rows is left out: it would bet on their noise."""

LEAST_ROWS = 200
"""Held-out rows below which no test is made."""

LOW = 3.0
"""Evidence so far below its limit is low, as it mostly is without a change: what comes later proves one."""

CAP = 6.0
"""The leading bet ends so far above the limit, where it has long alarmed, else it would fade as slowly as it grew;
and all others with it, so that it still leads."""


class LossState(msgspec.Struct):
    """What the test remembers: labels since it began, and each bet's log evidence, empty before the first.

    Since the evidence was last low (`LOW`): `first_pane`, the first one counted, −1 for none, and `since`, the labels.
    """

    labels: int = 0
    since: int = 0
    evidence: list[float] = []
    first_pane: int = -1


@dataclass(frozen=True, slots=True)
class LossEvidence:
    """How the test stands.

    Attributes:
        evidence: logarithm of the mixed evidence.
        limit: what it is compared with.
        alarm: whether it is at or above it.
        shift, width: the alternative that leads, in standard deviations of the held-out errors' normal score.
        reference_limited: whether the stated run length is beyond what the held-out rows can vouch for.

    """

    evidence: float
    limit: float
    alarm: bool
    shift: float
    width: float
    reference_limited: bool


def log_bets(counts: Ints) -> Floats:
    """The bets' logarithms, float64[…, bins, J], of held-out counts, int64[…, bins].

    Bin k's share p is its (count + ½)/(rows + bins/2), its stretch of normal scores Φ⁻¹ of the shares up to it; a bet
    is the alternative's mass there over p, so that its mean over p is 1.
    """
    shares = (counts + 0.5) / (counts.sum(axis=-1, keepdims=True) + counts.shape[-1] / 2)
    upper = np.cumsum(shares, axis=-1)[..., :-1]
    scores = special.ndtri(upper)
    shifts, widths = np.array(BETS).T
    below = special.ndtr((scores[..., None] - shifts) / widths)
    ends = np.zeros((*below.shape[:-2], 1, len(shifts)))
    mass = np.diff(np.concatenate([ends, below, ends + 1.0], axis=-2), axis=-2)
    return np.asarray(np.log(np.maximum(mass, 1e-300)) - np.log(shares)[..., None], dtype=np.float64)


def weights_for(rows: int) -> Floats:
    """The bets' weights, float64[J]: equal, and none for those that the held-out rows cannot resolve."""
    shifts, widths = np.array(BETS).T
    divergence = 0.5 * (shifts**2 + widths**2 - 1.0) - np.log(widths)
    resolved = divergence * rows >= RESOLVED
    return np.asarray(resolved / max(1, np.count_nonzero(resolved)), dtype=np.float64)


def grown(evidence: Floats, labels: Floats | int, increments: Floats) -> Floats:
    """Shiryaev–Roberts' recursion on logarithms: (the block's labels + evidence so far) · its likelihood ratio.

    A block may begin a change with every one of its labels: so evidence − labels is a martingale, and the mean run
    length is counted in labels, however many a block has.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(evidence, np.log(labels)) + increments, dtype=np.float64)


def mixed(evidence: Floats, weights: Floats) -> Floats:
    """The logarithm of the weighted sum over the last axis."""
    highest = np.maximum(evidence.max(axis=-1), -1e300)
    with np.errstate(divide="ignore"):
        total = np.log((weights * np.exp(evidence - highest[..., None])).sum(axis=-1))
    return np.asarray(highest + total, dtype=np.float64)


class LossTest:
    """The test of one version; state goes in and comes out, so that a snapshot can hold it."""

    def __init__(self, errors: ErrorProfile, run_length: float) -> None:
        """`run_length`: mean number of labels between false alarms."""
        self._bets = log_bets(errors.counts)
        self._weights = weights_for(errors.rows)
        self.limit, self.reference_limited = limit_for(errors, run_length)

    @classmethod
    def of(cls, errors: ErrorProfile | None, run_length: float) -> LossTest | None:
        """The test, None where the profile has too little for one (`why_not`)."""
        return None if errors is None or why_not(errors) else cls(errors, run_length)

    def add(self, state: LossState, counts: Ints, pane: int) -> LossEvidence | None:
        """Count a block of labels, int64[bins], of predictions from `pane` on; None for an empty one."""
        labels = int(counts.sum())
        if not labels:
            return None
        before = np.array(state.evidence) if state.evidence else np.full(len(BETS), -np.inf)
        # Not a matrix product, whose order of adding up is the library's: replayed panes must give the same bits.
        increments = (counts[:, None] * self._bets).sum(axis=0)
        after = grown(before, labels, increments)
        after -= max(0.0, float(after.max()) - self.limit - CAP)
        if state.first_pane < 0 or self._mixed(before) < self.limit - LOW:
            state.first_pane, state.since = pane, 0
        state.labels, state.since = state.labels + labels, state.since + labels
        state.evidence = after.tolist()
        return self.stands(state)

    def stands(self, state: LossState) -> LossEvidence | None:
        """How the test stands; None before the first label."""
        if not state.evidence:
            return None
        evidence = np.array(state.evidence)
        total = self._mixed(evidence)
        shift, width = BETS[int(np.argmax(np.where(self._weights > 0, evidence, -np.inf)))]
        return LossEvidence(total, self.limit, total >= self.limit, shift, width, self.reference_limited)

    def _mixed(self, evidence: Floats) -> float:
        return float(mixed(evidence, self._weights))


def why_not(errors: ErrorProfile | None) -> str:
    """Why a version's errors are not tested; empty where they are."""
    if errors is None:
        return "the version's profile holds no held-out errors: it is from before there was that"
    if errors.rows < LEAST_ROWS:
        return f"the profile holds {errors.rows} held-out errors, {LEAST_ROWS} are needed"
    if len(errors.counts) < 2 or not weights_for(errors.rows).any():
        return "the held-out errors are all the same"
    return ""


def limit_for(errors: ErrorProfile, run_length: float) -> tuple[float, bool]:
    """The limit of the log evidence with that mean run length in labels, and whether it is beyond what was simulated.

    Between simulated run lengths in the logarithm; beyond them evidence has to grow as the run length does.
    """
    runs, limits = np.log(errors.runs), errors.limits
    wanted = float(np.log(run_length))
    if not len(runs):
        return wanted, True
    beyond = wanted > runs[-1] + 1e-9
    limit = float(limits[-1] + wanted - runs[-1]) if beyond else float(np.interp(wanted, runs, limits))
    return max(limit, wanted), bool(beyond)
