"""What a report says as plain values, and the same as Markdown or HTML (the latter with its pictures)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from longshore.pages.document import scrolling, table
from longshore.pages.markup import Markup, joined, tag
from longshore.pages.wording import value_text

SPECIAL = re.compile(r"([\\`*{}\[\]<>|~#&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""What means something in Markdown; an underscore within a word does not."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts; the first column names the row."""

    caption: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing under its heading; `legend` is None where its colours need no words."""

    heading: str
    drawn: Markup
    legend: Markup | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    title: str
    told: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


def interval_text(interval: Sequence[float | None] | None) -> str:
    """From … to; a dash for none."""
    return f"{value_text(interval[0])} … {value_text(interval[1])}" if interval else "–"


def facts(told: Sequence[str]) -> Markup | None:
    """Sentences as a list; None where there are none."""
    return tag("ul", *(tag("li", each) for each in told), class_="facts") if told else None


def html(section: Section) -> Markup:
    """The section, its pictures first."""
    figures = [
        tag(
            "figure",
            tag("h4", each.heading) if each.heading else None,
            scrolling(each.drawn),
            each.legend,
        )
        for each in section.pictures
    ]
    drawn = tag("div", *figures, class_="two") if len(figures) > 1 else joined(*figures)
    tables = [tag("div", _table(each), class_="block") for each in section.tables]
    return tag("section", tag("h2", section.title), facts(section.told), drawn if figures else None, *tables)


def markdown(section: Section) -> str:
    """The section without its pictures."""
    parts = [f"## {text(section.title)}"]
    if section.told:
        parts.append("\n".join(f"- {text(each)}" for each in section.told))
    for each in section.tables:
        rule = "|".join([" --- ", *(" ---: " for _ in each.heads[1:])])
        lines = [_line(each.heads), f"|{rule}|", *(_line(row) for row in each.rows)]
        parts += ([text(each.caption)] if each.caption else []) + ["\n".join(lines)]
    return "\n\n".join(parts)


def text(words: str) -> str:
    """Words as Markdown shows them: on one line, and nothing in them means anything."""
    return SPECIAL.sub(r"\\\1", " ".join(words.split()))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(text(cell) for cell in cells)} |"


def _table(found: Table) -> Markup:
    rows = [
        tag("tr", tag("th", row[0], scope="row", class_="name"), *(tag("td", cell) for cell in row[1:]))
        for row in found.rows
    ]
    return table(found.caption, found.heads, rows, "tight")
