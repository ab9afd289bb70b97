"""Whether a window's rows go together as the reference's do: the stream's own test of columns that came unjoined. Pure.

A classifier two-sample test like `longshore.monitor.joint`'s, with the same p-value of learning forwards, but made for
a few hundred sampled rows and a few milliseconds: in place of trees, the ratio of two normal densities (quadratic
discriminant analysis) of normal scores (van der Waerden's), that is of two Gaussian copulas. It sees pairs of columns
whose correlation changed. What it cannot see is a dependence without a correlation of ranks; trees on whole files do.

Values are ranked among both sides, so that whose a row is plays no part and exchangeable rows stay so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from longshore.monitor.joint import AUC_FLOOR, BLOCKS, LEAST_ROWS, RARE, mann_whitney, middle_ranks
from longshore.monitor.sample import Sample
from longshore.monitor.significance import SMALLEST
from longshore.profile import Floats, Ints, Profile
from longshore.reference_rows import ReferenceRows
from longshore.schema import Kind

MOST_FEATURES = 48
"""Columns, indicators of categories and of missing values among them; a profile's further ones are left out."""

MOST_CATEGORIES = 8
"""Of one nominal stream, the most frequent: each is a column of zeros and ones."""

RIDGE = 0.05
"""Added to the variances: near-copies of one another would else decide by their last digits."""

SHOWN = 3
DIGITS = 9
"""Of a score: what comes after them depends on the order in which a library adds up."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two columns and the correlation of their normal scores, in the reference and in the window."""

    one: str
    other: str
    reference: float
    current: float


@dataclass(frozen=True, slots=True)
class Together:
    """A window's columns together.

    Attributes:
        alert: `p_value` at or below `limit`, *and* `auc` at or above `joint.AUC_FLOOR`.
        auc: how well rows it had not seen could be told apart, 0.5…1 (below 0.5: by chance).
        p_value: of this test alone, in this window alone.
        limit: the chance of an alert in a window without drift.
        reference_rows: rows of the profile's sample.
        rows: of the window's.
        pairs: the columns whose correlation changed most, largest change first.
        reason: why nothing was judged; empty when it was.

    """

    alert: bool
    auc: float
    p_value: float
    limit: float
    reference_rows: int
    rows: int
    pairs: list[Pair] = field(default_factory=list)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Features:
    """Columns of both sides' rows, standardised: their labels, and which stream each is of."""

    labels: list[str]
    owners: list[int]
    columns: list[Floats]

    def add(self, label: str, owner: int, values: Floats) -> None:
        """Add a column, unless it is constant or there are enough."""
        spread = float(values.std())
        if spread > 0 and len(self.columns) < MOST_FEATURES:
            self.labels.append(label)
            self.owners.append(owner)
            self.columns.append((values - values.mean()) / spread)


def judge_rows(profile: Profile, window: Sample, *, limit: float, seed: Sequence[int]) -> Together:
    """Test a window's sample against the profile's; alerts by chance in a share `limit` of windows."""
    reference = profile.sample
    if reference is None:
        return _unjudged(limit, 0, len(window), "the model's profile holds no rows: train with monitor.joint on")
    for rows, side in ((len(reference), "reference"), (len(window), "window")):
        if rows < LEAST_ROWS:
            what = f"not enough data: {rows} sampled rows of the {side}, at least {LEAST_ROWS} are needed"
            return _unjudged(limit, len(reference), len(window), what)
    features = _features(profile, reference, window)
    if not features.columns:
        return _unjudged(limit, len(reference), len(window), "not enough data: every column is constant")
    values, labels = np.stack(features.columns, axis=1), np.repeat([0, 1], (len(reference), len(window)))
    auc, z = _learning_forwards(values, labels, np.random.default_rng([*seed]))
    p_value = max(float(special.ndtr(-z)), SMALLEST)
    alert = p_value <= limit and auc >= AUC_FLOOR
    return Together(alert, auc, p_value, limit, len(reference), len(window), _pairs(features, values, labels))


def _unjudged(limit: float, reference_rows: int, rows: int, reason: str) -> Together:
    return Together(False, 0.5, 1.0, limit, reference_rows, rows, reason=reason)


def _learning_forwards(values: Floats, labels: Ints, random: np.random.Generator) -> tuple[float, float]:
    """The AUC and z-score of rows judged by what was learnt from the blocks before theirs (see `joint`)."""
    sizes = np.bincount(labels).tolist()
    block = np.concatenate([random.permutation(np.arange(size) * BLOCKS // size) for size in sizes])
    weights = np.sqrt(np.arange(1, BLOCKS))
    auc, z = 0.0, 0.0
    for k, weight in enumerate(weights, start=1):
        before, now = block < k, block == k
        form = _density_ratio(values[before & (labels == 0)], values[before & (labels == 1)])
        scores = np.round(np.einsum("ij,ij->i", values[now] @ form, values[now]), DIGITS)
        found, deviation = mann_whitney(scores, labels[now])
        auc += found * float(weight / weights.sum())
        z += deviation * float(weight / np.sqrt(np.sum(weights**2)))
    return auc, z


def _density_ratio(old: Floats, new: Floats) -> Floats:
    """The quadratic form that is larger for rows like the new ones: Σ_old⁻¹ − Σ_new⁻¹, float64[columns, columns].

    The few new rows' second moments are drawn towards the old ones', as if so many more rows as there are columns
    had been like those.
    """
    width = old.shape[1]
    before = old.T @ old / len(old) + RIDGE * np.eye(width)
    after = (new.T @ new + len(new) * RIDGE * np.eye(width) + width * before) / (len(new) + width)
    return np.asarray(np.linalg.inv(before) - np.linalg.inv(after))


def _features(profile: Profile, reference: ReferenceRows, window: Sample) -> _Features:
    found = _Features([], [], [])
    numbers = np.concatenate([reference.numbers, window.numbers]).astype(np.float64)
    codes = np.concatenate([reference.codes, window.codes]).astype(np.int64)
    numeric, nominal = iter(numbers.T), iter(codes.T)
    for owner, stream in enumerate(profile.streams):
        if stream.kind is Kind.NUMERIC:
            _add_numbers(found, stream.name, owner, next(numeric))
        else:
            names = [*stream.categories, "(unseen)", "(missing)"]
            _add_categories(found, stream.name, owner, next(nominal), names)
    return found


def _add_numbers(found: _Features, name: str, owner: int, values: Floats) -> None:
    """Normal scores, 0 where a value is missing; and whether it is, where that is not rare."""
    missing = np.isnan(values)
    here = int(np.count_nonzero(~missing))
    if here:
        scores = np.zeros(len(values))
        scores[~missing] = special.ndtri(middle_ranks(values[~missing])[0] / (here + 1))
        found.add(name, owner, scores)
    if RARE <= here <= len(values) - RARE:
        found.add(f"{name} missing", owner, missing.astype(np.float64))


def _add_categories(found: _Features, name: str, owner: int, codes: Ints, names: list[str]) -> None:
    counts = np.bincount(codes, minlength=len(names))
    for code in np.argsort(-counts, kind="stable")[:MOST_CATEGORIES].tolist():
        if RARE <= counts[code] <= len(codes) - RARE:
            found.add(f"{name} = {names[code]}", owner, (codes == code).astype(np.float64))


def _pairs(features: _Features, values: Floats, labels: Ints) -> list[Pair]:
    """The pairs of different streams' columns whose correlation changed most."""
    then, now = (_correlations(values[labels == side]) for side in (0, 1))
    owners = np.array(features.owners)
    change = np.where(owners[:, None] < owners[None, :], np.abs(np.round(now - then, DIGITS)), -1.0)
    found = []
    for at in np.argsort(-change.ravel(), kind="stable")[:SHOWN]:
        i, j = divmod(int(at), len(owners))
        if change[i, j] >= 0:
            found.append(Pair(features.labels[i], features.labels[j], *(round(float(c[i, j]), 4) for c in (then, now))))
    return found


def _correlations(values: Floats) -> Floats:
    """0 where a column is constant."""
    centred = values - values.mean(axis=0)
    spread = np.sqrt(np.sum(centred**2, axis=0))
    scale = np.where(spread > 0, spread, np.inf)
    return np.asarray(centred.T @ centred / np.outer(scale, scale))
