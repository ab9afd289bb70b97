"""The error as it is expected, without labels: what a version's loss regressor says of a window's records. Pure.

Of a share of the records, chosen by a hash of their ids, the expected |error| is asked for when they are counted; panes
carry four integers of them, which add up the same in any order and any pieces. This is no measurement: it is told apart
from the realised error (`performance`), with how sure it is, and whether the version has any support for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np
from scipy import special

from longshore.loss_model import LossModel, LossSpec, Texts
from longshore.monitor.identities import Hashes
from longshore.monitor.scored import ScoredColumns
from longshore.profile import Floats, Ints
from longshore.support import Marks

Totals = tuple[int, int, int, int]
"""Records that were asked about, Σ of the expected |error| and of its square in fixed point, records outside."""

NOTHING: Totals = (0, 0, 0, 0)
LARGEST_VALUE = 2**20
"""Of a fixed-point value: the mean |error| has some 2¹² steps, and 2²² squares must fit into 62 bits."""
MOST = 2**62

UNRELIABLE_FROM = 0.45
"""From this share of records outside of the support on, an estimate is mostly guessed: told of windows with at least
half of their records so, by the benchmark's seeds 0 to 9, on which all of this was made."""

GROWN_BY = 1.1
"""An expected error is above validation's only from this ratio on: an estimate is no measurement."""
GROWN_P = 0.001
LEAST_ROWS = 30
"""Fewer records say too little of a window."""

Z95 = 1.959964


def chosen(ids: Hashes, share: float) -> Ints:
    """The positions of the records that are asked about: a share of all ids, the same whoever counts them."""
    if share >= 1:
        return np.arange(len(ids))
    return np.flatnonzero(ids < np.uint32(share * 2**32))


def totals_of(expected: Floats, outside: Marks, scale: float) -> Totals:
    """Of records, as a pane has them."""
    whole = _fixed(expected, scale).astype(np.int64)
    return len(whole), int(whole.sum()), int((whole**2).sum()), int(outside.sum())


class Asked:
    """Records of a partition whose errors are to be expected, until they all are at once, before a commit.

    Many together take half of what they would take while each poll is counted: the trees are still in the cache.
    """

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], list[tuple[LossModel, Ints, Floats, Texts]]] = {}

    def put(self, named: tuple[str, str], loss: LossModel, panes: Ints, columns: ScoredColumns, at: Ints) -> None:
        """The records at positions `at`, of these `panes`, of one version and route."""
        places = at.tolist()
        texts = [[column[i] for i in places] for column in columns.texts]
        self._parts.setdefault(named, []).append((loss, panes, columns.values[:, at], texts))

    def totals(self) -> dict[tuple[int, str, str], Totals]:
        """What they add to each pane of a version and route."""
        found = {}
        for named, parts in self._parts.items():
            losses, panes, values, texts = zip(*parts, strict=True)
            joined = [list(chain.from_iterable(of_field)) for of_field in zip(*texts, strict=True)]
            for pane, totals in _by_pane(losses[0], np.concatenate(panes), np.concatenate(values, axis=1), joined):
                found[pane, *named] = totals
        return found


def _by_pane(loss: LossModel, panes: Ints, values: Floats, texts: Texts) -> Iterator[tuple[int, Totals]]:
    expected, outside = loss.expected(values, texts)
    whole = _fixed(expected, loss.spec.scale).astype(np.int64)
    order = np.argsort(panes, kind="stable")
    keys, starts = np.unique(panes[order], return_index=True)
    parts = np.column_stack([np.ones_like(whole), whole, whole**2, outside])[order]
    for key, totals in zip(keys.tolist(), np.add.reduceat(parts, starts, axis=0).tolist(), strict=True):
        yield key, (totals[0], totals[1], totals[2], totals[3])


def _fixed(expected: Floats, scale: float) -> Floats:
    return np.rint(np.clip(expected * scale, 0, LARGEST_VALUE))


def added(one: Sequence[int], other: Sequence[int]) -> Totals:
    """Both together; what has no estimate (an older counter's pane) adds nothing."""
    a, b, c, d = (min(x + y, MOST) for x, y in zip(one or NOTHING, other or NOTHING, strict=True))
    return a, b, c, d


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is expected of a window's realised mean |error|.

    Attributes:
        mae: the expectation, in the target's unit; `low` to `high` hold the realised one with 95 %.
        standard_error: of that, with the records' own chance and how far regions were off in cross-validation.
        out_of_support: the share of records outside of the support, 0 … 1, corrected by how often that is marked
            rightly and wrongly (Rogan & Gladen 1978).
        unreliable: it is so large that the estimate is mostly guessed.
        rows: records that were asked about; `validation`: the mean |error| of held-out rows; `ratio`: over that.
        p_value: of an expectation so far above validation's by chance, one-sided.
        grew: reliably, noticeably and significantly above validation's.

    """

    mae: float
    low: float
    high: float
    standard_error: float
    out_of_support: float
    unreliable: bool
    rows: int
    validation: float
    ratio: float
    p_value: float
    grew: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for an event."""
        return asdict(self)


def estimate_of(totals: Sequence[int], spec: LossSpec, records: int) -> Estimate | None:
    """Of a window of `records`; None where too few of them were asked about."""
    rows, first, second, marked = totals or NOTHING
    if rows < LEAST_ROWS or not spec.mae > 0:
        return None
    mae, square = first / rows / spec.scale, second / rows / spec.scale**2
    outside = _corrected(marked / rows, spec)
    misfit = (1 - outside) * spec.misfit**2 + outside * spec.misfit_outside**2
    sampled = max(square - mae**2, 0.0) / rows
    unsure = float(np.sqrt(sampled + misfit * mae**2))
    error = float(np.sqrt(unsure**2 + spec.spread**2 * square / max(records, 1)))
    then = spec.spread * spec.mae / np.sqrt(spec.rows)
    p = float(special.ndtr(-(mae - spec.mae) / max(float(np.hypot(unsure, then)), 1e-300)))
    ratio, unreliable = mae / spec.mae, outside >= UNRELIABLE_FROM
    grew = not unreliable and ratio > GROWN_BY and p < GROWN_P
    low, high = max(mae - Z95 * error, 0.0), mae + Z95 * error
    return Estimate(mae, low, high, error, outside, unreliable, rows, spec.mae, ratio, p, grew)


def _corrected(marked: float, spec: LossSpec) -> float:
    """The share that is outside, from the share that is marked."""
    between = spec.caught_share - spec.false_share
    if between <= 0:
        return marked
    return float(np.clip((marked - spec.false_share) / between, 0.0, 1.0))
