"""Whether whole rows can be told from the reference's: drift that no column shows alone, as when two come unjoined.

A classifier two-sample test (Lopez-Paz & Oquab 2017; the domain classifier of Rabanser, Günnemann & Lipton 2019,
"Failing Loudly"): extremely randomised trees learn which rows are whose, and are judged on rows they have not seen by
the area under the ROC curve (AUC), 0.5 where nothing tells the sides apart.

The p-value is that of learning forwards: each side is cut at random into `BLOCKS`, and block k is scored by a
classifier that learnt from the blocks before it. Without drift a block's labels are exchangeable given all that, so
its Mann-Whitney statistic has mean 0 and a known variance whatever was learnt, and the statistics of the blocks are
uncorrelated: their weighted sum is a z-score (a martingale's, as in the sequential tests of Podkopaev & Ramdas 2023).
K-fold cross-validation lacks that: a pair of rows in two folds counts in both of their scores with the same sign, the
variance of the sum is up to twice that of independent folds, and a normal p-value alarms too often.

Which alarm follows, and what the family of all tests is, is `longshore.monitor.report`'s decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from longshore.monitor.frames import Column
from longshore.monitor.significance import SMALLEST
from longshore.profile import Floats, Ints
from longshore.schema import Kind

MOST_ROWS = 5_000
"""Of each side; more are sampled. At so many an AUC of 0.51 is three standard errors from 0.5."""

LEAST_ROWS = 50
"""Of each side; with fewer a block holds too few rows to learn from or to judge by."""

AUC_FLOOR = 0.52
"""Below, a difference is too small to matter: as if one row in 25 could not have come from the reference at all. What
alarms by chance at 1,000 current rows is about as large: up to there the stated error rate is exact, then lower."""

BLOCKS = 5
TREES = 50
LEAF = 2
RARE = 10
"""Categories with fewer rows, of both sides together, are one: identifiers are not drift."""

CANDIDATES = 20
"""So many columns, those that most splits rest on, are looked at for what told the rows apart."""

NAMED = 5
SHUFFLES = 3


@dataclass(frozen=True, slots=True)
class Used:
    """A column that the classifier needed: `auc_lost` when its values are shuffled among the rows it is judged on."""

    name: str
    auc_lost: float


@dataclass(frozen=True, slots=True)
class Joint:
    """The columns together.

    Attributes:
        alert: `p_value` at or below the report's alpha, *and* `auc` at or above `AUC_FLOOR`.
        auc: how well rows it had not seen could be told apart, 0.5…1 (below 0.5: by chance).
        p_value: adjusted for the report's other tests.
        own_p_value: of this test alone.
        reference_rows: used of the reference, at most `MOST_ROWS`.
        current_rows: used of the current rows, at most as many.
        ranked: what told the rows apart, most needed first; empty without an alert.
        reason: why nothing was judged; empty when it was.

    """

    alert: bool
    auc: float
    p_value: float
    own_p_value: float
    reference_rows: int
    current_rows: int
    ranked: list[Used] = field(default_factory=list)
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Whole rows for the joint test, at most `MOST_ROWS`: their columns, and how many there are."""

    columns: tuple[Column, ...]
    count: int

    @classmethod
    def of(cls, columns: Sequence[Column], seed: int) -> Rows:
        """All rows, or a sample that the seed decides; a copy, so that the rest can be forgotten."""
        count = len(columns[0].values)
        if count <= MOST_ROWS:
            return cls(tuple(columns), count)
        kept = np.sort(np.random.default_rng([seed, count]).choice(count, MOST_ROWS, replace=False))
        return cls(tuple(Column(c.name, c.kind, c.values[kept]) for c in columns), MOST_ROWS)


def judge_together(reference: Rows, current: Rows, *, alpha: float, tests: int, seed: int = 0) -> Joint:
    """Test the rows of both sides, whose columns are the same; one of `tests` that share alpha (Bonferroni)."""
    sizes = (reference.count, current.count)
    names, features = _features(reference.columns, current.columns)
    if reason := _not_enough(sizes, names):
        return Joint(False, 0.5, 1.0, 1.0, *sizes, reason=reason)
    random = np.random.default_rng([seed, *sizes])
    labels = np.repeat([0, 1], sizes)
    block = np.concatenate([random.permutation(np.arange(count) * BLOCKS // count) for count in sizes])
    auc, z, last = 0.0, 0.0, None
    weights = np.sqrt(np.arange(1, BLOCKS))  # a block counts as what was learnt before it allows
    for k, weight in enumerate(weights, start=1):
        last = _learnt(features[block < k], labels[block < k], seed + k)
        found, deviation = mann_whitney(_scores(last, features[block == k]), labels[block == k])
        auc += found * weight / weights.sum()
        z += deviation * weight / np.sqrt(np.sum(weights**2))
    own = max(float(special.ndtr(-z)), SMALLEST)
    p_value = min(1.0, tests * own)
    alert = bool(p_value <= alpha and auc >= AUC_FLOOR)
    held_out = block == BLOCKS - 1
    ranked = _ranked(last, names, features[held_out], labels[held_out], random) if alert else []
    return Joint(alert, float(auc), p_value, own, *sizes, ranked)


def mann_whitney(scores: Floats, labels: Ints) -> tuple[float, float]:
    """The AUC of `scores` for labels 1 against 0, and its deviation from 0.5 in standard errors when labels are random.

    Ties count half, and the variance is that of the permuted labels, ties and all (0 deviation where all are tied).
    """
    ranks, counts = middle_ranks(scores)
    n = len(scores)
    ones = int(labels.sum())
    pairs = ones * (n - ones)
    wins = float(ranks[labels == 1].sum()) - ones * (ones + 1) / 2
    ties = float(np.sum(counts.astype(np.float64) ** 3 - counts)) / (n * (n - 1))
    variance = pairs / 12 * (n + 1 - ties)
    deviation = (wins - pairs / 2) / np.sqrt(variance) if variance > 1e-9 * pairs else 0.0
    return wins / pairs, float(deviation)


def _not_enough(sizes: tuple[int, int], names: Sequence[str]) -> str:
    for rows, side in zip(sizes, ("reference", "current"), strict=True):
        if rows < LEAST_ROWS:
            return f"not enough data: {rows} {side} row{'s' * (rows != 1)}, at least {LEAST_ROWS} are needed"
    return "" if names else "not enough data: every column is constant"


def _features(reference: Sequence[Column], current: Sequence[Column]) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The columns that are not constant, and their values of both sides one above the other, float32[rows, columns].

    Values are ranks among both sides, which neither outliers nor the unit can move; whose a row is plays no part, so
    that exchangeable rows stay so.
    """
    names, columns = [], []
    for old, new in zip(reference, current, strict=True):
        both = Column(old.name, old.kind, np.concatenate([old.values, new.values]))
        feature = _ranked_values(both)
        if np.ptp(feature) > 0:
            names.append(both.name)
            columns.append(feature)
    return names, np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((0, 0), dtype=np.float32)


def _ranked_values(column: Column) -> Floats:
    """Ranks of numbers, and of categories by how frequent they are; missing ones lie apart, below all others."""
    missing = column.missing()
    known = column.values[~missing]
    found = np.full(len(missing), -0.1 * len(missing))
    if len(known):
        found[~missing] = middle_ranks(known if column.kind is Kind.NUMERIC else _by_frequency(known))[0]
    return found


def _by_frequency(texts: npt.NDArray[Any]) -> Ints:
    """Each category's place by its count, then its name; rare ones share one."""
    names, codes, counts = np.unique(texts.astype(str), return_inverse=True, return_counts=True)
    order = np.lexsort((names, -counts))
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return np.where(counts < RARE, len(names), place)[codes]


def middle_ranks(values: npt.NDArray[Any]) -> tuple[Floats, Ints]:
    """Ranks from 1, ties sharing their middle, float64[n]; and how many values each tie has, int64[distinct]."""
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[at], np.asarray(counts, dtype=np.int64)


def _learnt(features: npt.NDArray[np.float32], labels: Ints, seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier  # noqa: PLC0415  (half a second that only this test needs)

    trees = ExtraTreesClassifier(
        TREES, min_samples_leaf=LEAF, max_features=None, class_weight="balanced", random_state=seed
    )
    return trees.fit(features, labels)


def _scores(model: Any, features: npt.NDArray[np.float32]) -> Floats:
    scores: Floats = model.predict_proba(features)[:, 1]
    return np.round(scores, 12)  # sums of the same votes in another order are ties


def _ranked(
    model: Any, names: list[str], features: npt.NDArray[np.float32], labels: Ints, random: np.random.Generator
) -> list[Used]:
    """What is lost when a column is shuffled (permutation importance, Breiman 2001), of rows not learnt from."""
    whole, _ = mann_whitney(_scores(model, features), labels)
    used = []
    for at in np.argsort(-model.feature_importances_, kind="stable")[:CANDIDATES]:
        shuffled = np.tile(features, (SHUFFLES, 1))
        shuffled[:, at] = np.concatenate([random.permutation(features[:, at]) for _ in range(SHUFFLES)])
        parts = np.split(_scores(model, shuffled), SHUFFLES)
        lost = whole - float(np.mean([mann_whitney(part, labels)[0] for part in parts]))
        used.append(Used(names[at], lost))
    return sorted((each for each in used if each.auc_lost > 0), key=lambda each: -each.auc_lost)[:NAMED]
