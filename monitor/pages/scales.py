"""Where ticks go, and how values become coordinates: linear, logarithmic for p-values, and time in UTC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from longshore.monitor.pages.wording import EPOCH, SUPERSCRIPTS, short_text

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
STEPS = [
    *(k * SECOND for k in (1, 2, 5, 10, 30)), *(k * MINUTE for k in (1, 2, 5, 10, 30)),
    *(k * HOUR for k in (1, 2, 3, 6, 12)), *(k * DAY for k in (1, 2, 7, 14, 30, 90, 365)),
]  # fmt: skip

Tick = tuple[float, str]
"""A value on an axis and its label."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` on coordinates from `start` to `end`; values outside are drawn at its ends."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The coordinate of a value."""
        span = self.high - self.low
        part = (value - self.low) / span if span > 0 else 0.5
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)


def linear_ticks(high: float, wanted: int = 3) -> list[Tick]:
    """Round values from 0 up to `high` and not beyond it."""
    if not math.isfinite(high) or high <= 0:
        return [(0.0, "0")]
    rough = high / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(k * power for k in (1, 2, 2.5, 5, 10) if k * power >= rough * 0.999)
    return [(k * step, short_text(k * step)) for k in range(int(high / step * 1.0001) + 1)]


def evidence(p: float) -> float:
    """−log₁₀ of a p-value: how far up it is drawn."""
    return -math.log10(min(max(p, 1e-300), 1.0))


def evidence_ticks(high: float) -> list[Tick]:
    """Powers of ten from 1 upwards, as p-values, on an axis of `evidence`."""
    step = next(k for k in (1, 2, 3, 4, 5, 10, 20, 50, 100, 300) if high / k <= 7)
    return [
        (float(k), "1" if k == 0 else f"10{str(-k).translate(SUPERSCRIPTS)}") for k in range(0, int(high) + 1, step)
    ]


def time_ticks(low: int, high: int, wanted: int = 7) -> list[Tick]:
    """Round moments between two times (ms), in UTC."""
    span = max(high - low, 1)
    step = next((step for step in STEPS if span / step <= wanted), STEPS[-1])
    first = -(-low // step) * step
    form = "%H:%M:%S" if step < MINUTE else "%H:%M" if step < DAY else "%Y-%m-%d"
    ticks = []
    day = ""
    for at in range(first, high + 1, step):
        try:
            moment = EPOCH + timedelta(milliseconds=at)
        except OverflowError:
            return []
        label, today = f"{moment:{form}}", f"{moment:%m-%d}"
        if step < DAY and today != day and (day or span > DAY):
            label = f"{today} {label}"
        day = today
        ticks.append((float(at), label))
    return ticks
