"""Numbers, times and names as a person writes them; pages and the terminal share them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TINY = 1e-100
"""p-values below are said to be so: no test is exact that far out."""


def p_text(p: float) -> str:
    """A p-value: 0.53, 0.0021, 3.1×10⁻⁷."""
    if p < TINY:
        return "< 10⁻¹⁰⁰"
    return f"{p:.2g}" if p >= 0.001 else power_text(p)


def p_is(p: float) -> str:
    """A p-value in a sentence: p = 0.53, p < 10⁻¹⁰⁰."""
    return f"p {p_text(p)}" if p < TINY else f"p = {p_text(p)}"


def power_text(value: float) -> str:
    """A number of any size as mantissa and power of ten."""
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(SUPERSCRIPTS)
    return f"10{raised}" if mantissa == "1.0" else f"{mantissa}×10{raised}"


def value_text(value: float | None, digits: int = 3) -> str:
    """A distance or a value of a stream: the digits that matter, thousands apart; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 0.0005 or size >= 1e15:
        return power_text(value)
    return f"{value:,.0f}" if size >= 1_000 else f"{value:.{digits}g}"


def edge_texts(edges: Sequence[float]) -> list[str]:
    """Ascending edges with as many decimals as tell each from its neighbours."""
    texts = []
    for i, edge in enumerate(edges):
        gaps = [abs(edge - other) for other in (*edges[max(i - 1, 0) : i], *edges[i + 1 : i + 2])]
        gap = min((gap for gap in gaps if gap > 1e-9 * abs(edge)), default=0.0)
        decimals = math.ceil(-math.log10(gap)) + 1 if gap else 7
        if not 0 < decimals < 7:
            texts.append(value_text(edge) if decimals > 0 else f"{edge:,.0f}")
            continue
        text = f"{edge:,.{decimals}f}".rstrip("0").rstrip(".")
        texts.append(text if text != "-0" else "0")
    return texts


def short_text(value: float) -> str:
    """A number for an axis: at most about six characters, k, M and G for thousands."""
    size = abs(value)
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if limit <= size < 1e15:
            scale = {"G": 1e9, "M": 1e6, "k": 1e3}[unit]
            return f"{value / scale:.3g}{unit}"
    return f"{value:,.0f}" if 1_000 <= size < 1e4 else power_text(value) if 0 < size < 1e-4 else f"{value:.3g}"


def share_text(share: float) -> str:
    """A share in per cent: 12.3 %, 0.04 %."""
    if share == 0:
        return "0 %"
    return f"{share * 100:.1f} %" if share >= 0.001 else f"{share * 100:.2g} %"


def count_text(number: float, one: str = "", many: str = "") -> str:
    """A whole number with its thousands apart, and what it counts."""
    text = f"{round(number):,}"
    return f"{text} {one if round(number) == 1 else many or one + 's'}" if one else text


def time_text(at_ms: int | None) -> str:
    """UTC: 2026-11-23 03:14:15 UTC; the number itself where it is no time a calendar has."""
    if at_ms is None:
        return "–"
    try:
        at = EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        return f"{at_ms} ms"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def span_text(milliseconds: float) -> str:
    """A length of time: 12 ms, 3.4 s, 5 min, 2 h 5 min, 3 d 4 h."""
    rest = max(0, round(milliseconds))
    if rest < 1_000:
        return f"{rest} ms"
    if rest < 60_000:
        return f"{rest / 1_000:.3g} s"
    minutes, hours = rest // 60_000, rest // 3_600_000
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def listed(names: list[str], limit: int = 3) -> str:
    """Names in a sentence, the first `limit` of them."""
    shown, rest = names[:limit], len(names) - limit
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
