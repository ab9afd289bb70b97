"""Whether labels are broken: unreadable, in another unit, far out of range, standing still. Pure.

The tests are those of a numeric stream (`longshore.monitor.quality`), on the labels' counts and sums; each gets an
equal part of what a window may err. A factor near 1 is no unit here: prices may well double. What lasts, and that no
retraining is asked for on such labels, is `longshore.monitor.quarantine`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from longshore.monitor.label_drift import LARGEST_LEVEL
from longshore.monitor.layout import FineLayout
from longshore.monitor.quality.chance import at_least, least_unlikely
from longshore.monitor.quality.faults import Fault, FaultKind
from longshore.monitor.quality.judge import QualityRules
from longshore.monitor.quality.numeric import WHOLE, numeric_faults, pile
from longshore.monitor.quality.stream import Seen, alike
from longshore.monitor.quality.units import FACTORS, GROSS, factor_text
from longshore.monitor.significance import LEAST_REFERENCE, outside_p
from longshore.pages.wording import share_text
from longshore.profile import Ints, Profile

TESTS = 4
"""Unreadable, and a number's three: unit, range, standing still."""

UNREADABLE_FLOOR = 0.05
"""The share of labels that cannot be read from which on it matters. None of the reference's was."""

UNITS = frozenset(factor_text(float(factor)) for factor in FACTORS if abs(np.log(factor)) >= np.log(GROSS))
"""The factors that are told of labels, as a fault's `about` has them."""

WORDS = {
    "not_json": "no JSON",
    "missing_field": "a field is missing",
    "wrong_type": "a field is of another type",
    "not_finite": "not a finite number",
}


def label_faults(
    profile: Profile, name: str, window: tuple[Ints, Ints], unreadable: Mapping[str, int], rules: QualityRules
) -> list[Fault]:
    """The faults of a window of labels: its fine counts and sums, int64[bins] each, and those that could not be read.

    `name`: the target's. `unreadable`: by what is wrong with them (`label_reader.Wrong`).
    """
    target = profile.target
    if target is None or target.counts[:-1].sum() < LEAST_REFERENCE:
        return []
    counts, sums = window
    rows = int(counts.sum()) + sum(unreadable.values())
    limit = min(LARGEST_LEVEL, rows / rules.run_length) / TESTS
    layout = FineLayout.of_profile(replace(profile, streams=(target,)))
    p = float(outside_p(layout.tests, layout.for_tests(target.counts), layout.for_tests(counts))[0])
    seen = Seen(replace(target, name=name), counts, sums)
    found = [
        *_unreadable(name, rows, int(target.counts.sum()), unreadable, limit),
        *(_constant(seen, limit) or numeric_faults(seen, limit, p)),
    ]
    return [
        fault
        for fault in found
        if not {fault.kind.value, f"{name}.{fault.kind.value}"} & rules.ignored
        and not (fault.kind is FaultKind.UNIT and fault.about not in UNITS)
    ]


def _unreadable(name: str, rows: int, reference: int, unreadable: Mapping[str, int], limit: float) -> Iterator[Fault]:
    number = sum(unreadable.values())
    p = at_least(number, rows, 0, reference)
    if not number or number < UNREADABLE_FLOOR * rows or p > limit:
        return
    most = max(sorted(unreadable), key=lambda wrong: unreadable[wrong])
    bound = max(UNREADABLE_FLOOR, least_unlikely(limit, rows, 0, reference) / rows)
    text = f"{name}: {share_text(number / rows)} of the labels cannot be read, mostly: {WORDS.get(most, most)}"
    yield Fault(FaultKind.UNREADABLE, name, number / rows, 0.0, bound, p, text, about=most)


def _constant(seen: Seen, limit: float) -> list[Fault]:
    """All labels, or many more, are one number in the reference's range. Asked first: 0 is all in a tiny unit, too."""
    values, reference = np.where(seen.beyond(), 0, seen.values), seen.reference
    at = int(np.argmax(values))
    if not seen.values.sum() or not seen.single(np.arange(len(values)) == at):
        return []
    found = pile(seen, at, values, reference)
    if not found.whole and not (found.grown and alike(np.delete(reference, at), np.delete(seen.values, at))):
        return []
    if found.p > limit:
        return []
    share, expected, value = found.share, found.expected, found.value
    text = (
        f"{seen.name}: {share_text(share)} of the labels are {value}; {share_text(expected)} are about that in training"
    )
    return [Fault(FaultKind.FROZEN, seen.name, share, expected, WHOLE, found.p, text, about=value)]
