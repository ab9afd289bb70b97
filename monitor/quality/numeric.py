"""Faults of a stream of numbers: a wrong unit, values where there never were any, a sensor that stands still."""

from __future__ import annotations

import numpy as np

from longshore.monitor.quality.chance import at_least
from longshore.monitor.quality.faults import Fault, FaultKind
from longshore.monitor.quality.stream import Seen, alike
from longshore.monitor.quality.units import wrong_unit
from longshore.pages.wording import share_text, value_text

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
    """One bin has nearly all values; or far more than it had, while the others are distributed as ever."""
    inside = ~seen.beyond()
    values, reference = np.where(inside, seen.values, 0), np.where(inside, seen.reference, 0)
    n, m = int(seen.values.sum()), int(seen.reference.sum())
    at = int(np.argmax(values / n - reference / m))
    share, expected = float(values[at] / n), float(reference[at] / m)
    whole = share >= WHOLE and expected <= USUAL
    grown = share - expected >= PART and share >= TIMES * expected
    if not whole and not (grown and alike(np.delete(reference, at), np.delete(values, at))):
        return []
    p = min(1.0, len(values) * at_least(int(values[at]), n, int(reference[at]), m))
    if p > limit:
        return []
    value = value_text(float(seen.sums[at]) / seen.profile.scale / int(values[at]), 6)
    text = (
        f"{seen.name} stands still at about {value} in {share_text(share)} of the values; {share_text(expected)} do so"
    )
    bound = WHOLE if whole and not grown else max(expected + PART, TIMES * expected)
    return [Fault(FaultKind.FROZEN, seen.name, share, expected, bound, p, f"{text} in the reference", about=value)]
