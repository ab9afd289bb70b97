"""Faults of a stream of numbers: a wrong unit, values where there never were any, a sensor that stands still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longshore.monitor.quality.chance import at_least
from longshore.monitor.quality.faults import Fault, FaultKind
from longshore.monitor.quality.stream import Seen, alike, nearness
from longshore.monitor.quality.units import wrong_unit
from longshore.pages.wording import share_text, value_text
from longshore.profile import Ints

WHOLE = 0.98
"""A value with this share of all is the only one there is, but for a few that were on their way."""

USUAL = 0.9
"""A value that has more than this in the reference cannot be told to stand still."""

PART = 0.1
"""The share by which one value must have grown for some of the sensors to stand still …"""

TIMES = 5.0
"""… and how many times as frequent as in the reference it must be."""

OUTSIDE_FLOOR = 0.02
"""The share of values outside the reference's range from which on it matters, where they are far outside …"""

NEAR_FLOOR = 0.05
"""… and where they are not: then they must be one number, a code for "unknown", and the others distributed as ever."""


def numeric_faults(seen: Seen, limit: float, outside_p: float) -> list[Fault]:
    """What is wrong with the values that are there; `outside_p`: of those outside the range (`significance`)."""
    if len(seen.profile.edges) < 2 or not seen.values.sum():
        return []
    return wrong_unit(seen, limit) or _out_of_range(seen, limit, outside_p) or _frozen(seen, limit)


def _out_of_range(seen: Seen, limit: float, p: float) -> list[Fault]:
    beyond = seen.beyond()
    n, k = int(seen.values.sum()), int(seen.values[beyond].sum())
    share = k / n
    if p > limit or share < OUTSIDE_FLOOR:
        return []
    low, high = float(seen.profile.edges[0]), float(seen.profile.edges[-1])
    mean = float(seen.sums[:-1][beyond].sum()) / seen.profile.scale / k
    far = mean > high + (high - low) or mean < low - (high - low)
    code = share >= NEAR_FLOOR and seen.single(beyond) and alike(seen.reference[~beyond], seen.values[~beyond])
    if not far and not code:
        return []
    text = (
        f"{seen.name}: {share_text(share)} of the values lie outside {value_text(low)} … {value_text(high)}, "
        f"all that the reference held; their mean is {value_text(mean)}"
    )
    return [Fault(FaultKind.OUT_OF_RANGE, seen.name, share, 0.0, OUTSIDE_FLOOR, p, text)]


def _frozen(seen: Seen, limit: float) -> list[Fault]:
    """One bin has nearly all values; or far more than it had, while the others are distributed as ever.

    Of few values that is hard to say: then more must stand still than may have moved unseen, or it may well be drift.
    """
    inside = ~seen.beyond()
    values, reference = np.where(inside, seen.values, 0), np.where(inside, seen.reference, 0)
    found = pile(seen, int(np.argmax(values / seen.values.sum() - reference / seen.reference.sum())), values, reference)
    unseen = nearness(max(1, int(values.sum())), int(reference.sum()))
    part = found.grown and found.share - found.expected > unseen
    if not found.whole and not (part and alike(np.delete(reference, found.at), np.delete(values, found.at))):
        return []
    if found.p > limit:
        return []
    share, expected, value = found.share, found.expected, found.value
    text = (
        f"{seen.name} stands still at about {value} in {share_text(share)} of the values; {share_text(expected)} do so"
    )
    bound = WHOLE if found.whole and not part else max(expected + max(PART, unseen), TIMES * expected)
    return [
        Fault(FaultKind.FROZEN, seen.name, share, expected, bound, found.p, f"{text} in the reference", about=value)
    ]


@dataclass(frozen=True, slots=True)
class Pile:
    """A value bin `at` which more values may lie than did: its share of a window's values and of the reference's.

    `p`: of so many by chance, whichever bin it were; `value`: their mean, in words; empty where there are none.
    """

    at: int
    share: float
    expected: float
    p: float
    value: str

    @property
    def whole(self) -> bool:
        """Whether it is nearly all there is, and was not in the reference."""
        return self.share >= WHOLE and self.expected <= USUAL

    @property
    def grown(self) -> bool:
        """Whether it has far more than it had."""
        return self.share - self.expected >= PART and self.share >= TIMES * self.expected


def pile(seen: Seen, at: int, values: Ints, reference: Ints) -> Pile:
    """Bin `at` of these counts, int64[value bins], as shares of all that the window and the reference have."""
    n, m, here = int(seen.values.sum()), int(seen.reference.sum()), int(values[at])
    p = min(1.0, len(values) * at_least(here, n, int(reference[at]), m))
    value = value_text(float(seen.sums[at]) / seen.profile.scale / here, 6) if here else ""
    return Pile(at, float(here / n), float(reference[at] / m), p, value)
