"""Where ticks go, and how values become coordinates: linear, logarithmic for p-values, and time in UTC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from longshore.pages.wording import EPOCH, SUPERSCRIPTS, short_text

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
STEPS = [
    *(k * SECOND for k in (1, 2, 5, 10, 30)), *(k * MINUTE for k in (1, 2, 5, 10, 30)),
    *(k * HOUR for k in (1, 2, 3, 6, 12)), *(k * DAY for k in (1, 2, 7, 14, 30, 90, 365)),
]  # fmt: skip

UNITS = (("G", 1e9, 1e9), ("M", 1e6, 1e6), ("k", 1e3, 1e4))
"""Letters for large numbers, what they stand for, and from where on they are used."""

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
        span = self.high / 2 - self.low / 2  # halves: the whole may be beyond float64
        part = (value / 2 - self.low / 2) / span if span > 0 else 0.5
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)


def linear_ticks(high: float, wanted: int = 3) -> list[Tick]:
    """Round values from 0 up to `high` and not beyond it."""
    if not math.isfinite(high) or high <= 0:
        return [(0.0, "0")]
    step = _round_step(high, wanted)
    return [(k * step, short_text(k * step)) for k in range(int(high / step * 1.0001) + 1)]


def ticks_between(low: float, high: float, wanted: int = 4) -> list[Tick]:
    """Round values from `low` to `high`; the low one alone where there is nothing between."""
    span = high - low
    if not math.isfinite(span) or span <= max(1e-9 * max(abs(low), abs(high)), 1e-300):
        return [(low, short_text(low))] if math.isfinite(low) else []
    step = _round_step(span, wanted)
    first, last = math.ceil(low / step - 1e-4), math.floor(high / step + 1e-4)
    return [(k * step, _tick_text(k * step, step)) for k in range(first, last + 1)]


def _round_step(span: float, wanted: int) -> float:
    rough = span / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    return next((k * power for k in (1, 2, 2.5, 5, 10) if k * power >= rough * 0.999), rough)


def _tick_text(value: float, step: float) -> str:
    """A value with as many decimals as its step has."""
    size = abs(value)
    if size == 0 or size >= 1e15 or size < 1e-4:
        return short_text(value)
    unit, scale = next(((u, s) for u, s, at in UNITS if size >= at), ("", 1.0))
    decimals = next((d for d in range(7) if abs(round(step / scale, d) * scale / step - 1) < 1e-6), 7)
    return f"{value / scale:,.{decimals}f}{unit}"


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
