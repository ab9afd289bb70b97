"""Faults that are a share of a stream's records: missing values, categories never seen, and one spelled wrong."""

from __future__ import annotations

import numpy as np

from longshore.monitor.quality.chance import at_least, least_unlikely
from longshore.monitor.quality.faults import Fault, FaultKind
from longshore.monitor.quality.stream import Seen
from longshore.pages.wording import share_text
from longshore.profile import Ints

MISSING_FLOOR = 0.05
"""A share of missing values that is not larger than the reference's by this does not matter, however certain."""

UNSEEN_FLOOR = 0.01
"""The same of categories that the reference does not have."""

TYPO_EVIDENCE = 0.0
"""Log-likelihood by which "one category is spelled otherwise" has to beat "a new one was added to all": retraining is
held where both are as likely. One window may be wrong; all that had the unknown category decide together."""


def missing(seen: Seen, limit: float) -> list[Fault]:
    """More missing values than chance and the floor allow."""
    k, n, k0, m = int(seen.counts[-1]), int(seen.counts.sum()), int(seen.profile.counts[-1]), _rows(seen)
    share, expected = k / n, k0 / m
    p = at_least(k, n, k0, m)
    if p > limit or share - expected < MISSING_FLOOR:
        return []
    bound = max(expected + MISSING_FLOOR, least_unlikely(limit, n, k0, m) / n)
    text = f"{seen.name} is missing in {_now_and_then(share, expected)}"
    return [Fault(FaultKind.MISSING, seen.name, share, expected, bound, p, text)]


def unseen(seen: Seen, limit: float, before: Ints | None = None) -> list[Fault]:
    """More values of no known category than chance and the floor allow; a typo where one category lost as many.

    The reference's categories with a single row say how often a row is of a category that it does not have (Good 1953);
    one more than those is taken as its share, to be on the safe side.
    `before`: the counts without *missing* of the windows before that had such values, too; they help to tell which.
    """
    k, n, m = int(seen.counts[-2]), int(seen.counts.sum()), _rows(seen)
    k0 = int(seen.profile.counts[-2]) + int((seen.profile.counts[:-2] == 1).sum()) + 1
    share, expected = k / n, k0 / m
    p = at_least(k, n, k0, m)
    if p > limit or share - expected < UNSEEN_FLOOR:
        return []
    bound = max(expected + UNSEEN_FLOOR, least_unlikely(limit, n, k0, m) / n)
    known = seen.counts[:-1] if before is None else seen.counts[:-1] + before
    lost = _renamed(seen.profile.counts[:-2], known[:-1], int(known[-1]))
    if lost is None:
        text = f"{seen.name} has a category that the reference does not have in {share_text(share)} of the records"
        return [Fault(FaultKind.UNSEEN, seen.name, share, expected, bound, p, text)]
    name = seen.profile.categories[lost]
    text = (
        f"{seen.name} has an unknown category in {share_text(share)} of the records, and {name!r} lost as many: "
        "it seems to be spelled otherwise"
    )
    return [Fault(FaultKind.TYPO, seen.name, share, expected, bound, p, text, about=name)]


def constant(seen: Seen, limit: float, whole: float, usual: float) -> list[Fault]:
    """One category takes at least `whole` of the values, which in the reference has `usual` of them at most."""
    current, reference = seen.counts[:-1], seen.profile.counts[:-1]
    n, m = int(current.sum()), int(reference.sum())
    if not n or not m:
        return []
    at = int(np.argmax(current))
    share, expected = float(current[at] / n), float(reference[at] / m)
    p = min(1.0, len(current) * at_least(int(current[at]), n, int(reference[at]), m))
    if at >= len(seen.profile.categories) or share < whole or expected > usual or p > limit:
        return []
    name = seen.profile.categories[at]
    text = f"{seen.name} is {name!r} in {_now_and_then(share, expected)}"
    return [Fault(FaultKind.FROZEN, seen.name, share, expected, whole, p, text, about=name)]


def _renamed(reference: Ints, current: Ints, new: int) -> int | None:
    """The category of which `new` records now have another name, None where a new one explains them as well.

    Of two multinomials with the reference's shares p: with u = new/n, the category's share is p − u and the others'
    are as they were; or all are (1 − u)·p.
    """
    n, m = int(current.sum()) + new, int(reference.sum())
    if not m:
        return None
    p, u = reference / m, new / n
    left = np.maximum(p - u, 0.5 / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = -(current.sum() - current) * np.log1p(-min(u, 1 - 0.5 / n))
        gain = gain + current * np.log(left / np.maximum(p * (1 - u), 0.5 / n))
    # What is left of it must be there, too: a small category cannot have lost so many.
    gain = np.where((p > 0) & (p >= u * 0.7), gain, -np.inf)
    best = int(np.argmax(gain)) if len(gain) else -1
    return best if best >= 0 and gain[best] >= TYPO_EVIDENCE else None


def _rows(seen: Seen) -> int:
    return int(seen.profile.counts.sum())


def _now_and_then(share: float, expected: float) -> str:
    return f"{share_text(share)} of the records, in {share_text(expected)} of the reference's"
