"""The frame of a page: one text that needs no network, no script and no library, light or dark as the reader has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from longshore.pages.markup import Markup, joined, tag
from longshore.pages.style import CSS

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Nothing is loaded and nothing runs, whatever a column may be named."""

Tile = tuple[str, str, str]
"""A figure that is shown large: its name, its value, and a note (empty: none)."""


def document(title: str, own_css: str, header: Markup, sections: Iterable[Markup], footer: str) -> str:
    """The whole document; `own_css` is for what only this page draws."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(CSS + own_css)),
    )
    body = tag("body", header, tag("main", *sections), tag("footer", tag("p", footer)))
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def header(title: str, subtitle: str, state: str, tone: str) -> Markup:
    """The page's name with a pill that says how things stand; `tone`: good, watch or bad."""
    named = tag("div", tag("h1", title), tag("span", state, class_=f"pill {tone}"), class_="head")
    return tag("header", named, tag("p", subtitle, class_="sub"))


def headline(sentence: str, tiles: Sequence[Tile], notes: Sequence[str]) -> Markup:
    """The first section: what there is to say in a sentence, the figures that matter, and what to know of them."""
    shown = [
        tag("div", tag("dt", name), tag("dd", value), tag("dd", note, class_="note") if note else None)
        for name, value, note in tiles
    ]
    said = [tag("p", note, class_="quiet") for note in notes]
    return tag("section", tag("p", sentence, class_="sentence"), tag("dl", *shown, class_="tiles"), *said)


def table(caption: str, names: Sequence[str], rows: Sequence[Markup], kind: str | None = None) -> Markup:
    """A table that scrolls by itself where it is too wide; what it says stands above it."""
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))
    body = tag("table", head, tag("tbody", *rows), class_=kind, aria_label=caption)
    return joined(tag("p", caption, class_="quiet"), scrolling(body))


def scrolling(wide: Markup) -> Markup:
    """What keeps its width where there is less room."""
    return tag("div", wide, class_="wide", tabindex=0)


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """What colours stand for, as (class, words)."""
    keys = [
        joined(tag("span", tag("span", class_=f"key {kind}", aria_hidden="true"), words, class_="entry"), " ")
        for kind, words in entries
    ]
    return tag("p", *keys, class_="legend")
