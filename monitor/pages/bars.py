"""Pictures of one comparison: a stream's shares then and now by bin, and a value against what is usual. SVG text."""

from __future__ import annotations

from longshore.monitor.pages.contents import Reading
from longshore.monitor.pages.moved import WORTH, Bin, Distribution
from longshore.pages.markup import Markup, svg_text, tag
from longshore.pages.scales import Axis, linear_ticks
from longshore.pages.wording import edge_texts, share_text, value_text

WIDTH, HEIGHT = 560, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 12, 40
CATEGORIES = 14
"""Most categories drawn; the others are one bar."""
ROW = 30
NAME_WIDTH, NAME_LENGTH = 150, 20


def drawn(found: Distribution, name: str, *, moved: bool) -> Markup:
    """The stream's distributions: columns in the order of values, or a row for each category.

    Where the stream has `moved`, the bins that make up the drift are marked.
    """
    total = sum(each.term for each in found.bins) if moved else 0.0
    worth = {id(each) for each in found.bins if each.term >= WORTH * total > 0}
    return _columns(found, name, worth) if found.edges else _rows(found, name, worth)


def _columns(found: Distribution, name: str, worth: set[int]) -> Markup:
    bins = [each for at, each in enumerate(found.bins) if at <= len(found.edges) or _filled(each)]
    highest = max(max(each.then, each.now or 0.0) for each in bins)
    y = Axis(0, highest * 1.05, HEIGHT - BOTTOM, TOP)
    slot = (WIDTH - LEFT - RIGHT) / len(bins)
    parts = [tag("title", _summary(found, name))]
    for value, _ in linear_ticks(highest * 1.05, 4):
        parts.append(tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y.at(value), y2=y.at(value)))
        parts.append(svg_text(f"{value * 100:.3g} %", LEFT - 6, y.at(value) + 4, "end"))
    for at, each in enumerate(bins):
        parts.append(_pair(each, LEFT + at * slot, slot, y, worth=id(each) in worth))
    parts += _edge_labels(found, slot)
    low = HEIGHT - BOTTOM + 20 + 13 * (_label_rows(found, slot) - 1)
    if len(bins) > len(found.edges) + 1:
        low = max(low, HEIGHT - BOTTOM + 35)
        parts.append(svg_text("missing", LEFT + (len(bins) - 0.5) * slot, HEIGHT - BOTTOM + 30, "middle"))
    return tag("svg", *parts, class_="bars", viewBox=f"0 0 {WIDTH} {low}", role="img")


def _pair(each: Bin, left: float, slot: float, y: Axis, *, worth: bool) -> Markup:
    """The two bars of a bin; what has a part in the drift is marked."""
    floor, gap = y.start, slot * 0.1
    width = (slot - 2 * gap) / (1 if each.now is None else 2)
    bars = [tag("title", _told(each))]
    bars.append(tag("rect", class_="hover", x=left, y=y.end, width=slot, height=floor - y.end))
    sides = [("then", each.then)] + ([] if each.now is None else [("now moved" if worth else "now", each.now)])
    for at, (kind, share) in enumerate(sides):
        top = y.at(share)
        bars.append(
            tag("rect", class_=kind, x=left + gap + at * width, y=top, width=width * 0.94, height=max(floor - top, 0.6))
        )
    return tag("g", *bars)


def _edge_labels(found: Distribution, slot: float) -> list[Markup]:
    """The edges between columns, in two rows where they are long."""
    texts, rows = edge_texts(found.edges), _label_rows(found, slot)
    return [
        svg_text(text, LEFT + (at + 1) * slot, HEIGHT - BOTTOM + 15 + 13 * (at % rows), "middle")
        for at, text in enumerate(texts)
    ]


def _label_rows(found: Distribution, slot: float) -> int:
    return 2 if max(map(len, edge_texts(found.edges)), default=0) * 6.4 > slot else 1


def _rows(found: Distribution, name: str, worth: set[int]) -> Markup:
    bins = _largest([each for each in found.bins if _filled(each)])
    highest = max([max(each.then, each.now or 0.0) for each in bins], default=1.0)
    x = Axis(0, highest, NAME_WIDTH, WIDTH - 64)
    parts = [tag("title", _summary(found, name))]
    for at, each in enumerate(bins):
        top = 4 + at * ROW
        shown = each.name if len(each.name) <= NAME_LENGTH else each.name[: NAME_LENGTH - 1] + "…"
        moved = "now moved" if id(each) in worth else "now"
        sides = [("then", each.then), *([] if each.now is None else [(moved, each.now)])]
        height = (ROW - 8) / len(sides)
        row = [tag("title", _told(each)), svg_text(shown, NAME_WIDTH - 8, top + (ROW - 8) / 2 + 4, "end")]
        for side, (kind, share) in enumerate(sides):
            y, width = top + side * height, max(x.at(share) - x.start, 0.8)
            row.append(tag("rect", class_=kind, x=x.start, y=y, width=width, height=height - 1))
            row.append(svg_text(share_text(share), x.start + width + 5, y + height - 1.5, "start", "small"))
        parts.append(tag("g", *row))
    return tag("svg", *parts, class_="bars", viewBox=f"0 0 {WIDTH} {len(bins) * ROW + 4}", role="img")


def _largest(bins: list[Bin]) -> list[Bin]:
    """The categories with the largest shares on either side, the others as one."""
    if len(bins) <= CATEGORIES:
        return bins
    ranked = sorted(bins, key=lambda each: -max(each.then, each.now or 0.0))
    kept = {id(each) for each in ranked[: CATEGORIES - 1]}
    rest = ranked[CATEGORIES - 1 :]
    now = None if rest[0].now is None else sum(each.now or 0.0 for each in rest)
    others = Bin(f"{len(rest)} others", sum(b.then for b in rest), now, sum(b.term for b in rest))
    return [*(each for each in bins if id(each) in kept), others]


def _filled(each: Bin) -> bool:
    return bool(each.then or each.now)


def _told(each: Bin) -> str:
    now = "" if each.now is None else f", {share_text(each.now)} now; {value_text(each.term)} of the PSI"
    return f"{each.name}: {share_text(each.then)} then{now}"


def _summary(found: Distribution, name: str) -> str:
    sides = "in the reference and now" if found.known else "in the reference"
    return f"{name}: shares of {len(found.bins)} bins {sides}"


def bullet(reading: Reading) -> Markup:
    """A value on a scale that shades what is usual: up to the median, 95 % and 99 %."""
    width, height = 190.0, 20.0
    value = reading.value or 0.0
    usual = reading.usual or (0.0, 0.0, 0.0)
    x = Axis(0, max(value, usual[2], reading.floor or 0.0, reading.fixed or 0.0, 1e-12) * 1.06, 0, width)
    parts = [tag("title", _usual_text(reading)), tag("rect", class_="track", width=width, height=height, rx=3)]
    for kind, upper in zip(("q99", "q95", "q50"), reversed(usual), strict=True):
        parts.append(tag("rect", class_=kind, width=x.at(upper), height=height, rx=3))
    for kind, at in (("floor", reading.floor), ("limit", reading.fixed)):
        if at is not None:
            parts.append(tag("line", class_=kind, x1=x.at(at), x2=x.at(at), y1=0, y2=height))
    kind = "value over" if reading.unusual else "value"
    parts.append(tag("rect", class_=kind, y=height / 2 - 3, width=max(x.at(value), 1.5), height=6, rx=2))
    return tag("svg", *parts, class_="bullet", viewBox=f"0 0 {width:.0f} {height:.0f}", role="img")


def _usual_text(reading: Reading) -> str:
    told = f"{reading.title} {value_text(reading.value)}"
    if reading.usual is None:
        return told
    median, high, higher = (value_text(each) for each in reading.usual)
    return f"{told}; without drift: median {median}, 95 % below {high}, 99 % below {higher}"
