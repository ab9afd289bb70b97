"""HTML and SVG elements from values: what is not markup already is escaped, so that no name can become an element."""

from __future__ import annotations

from html import escape

VOID = frozenset({"meta"})


class Markup(str):
    """Text that is markup: `tag` does not escape it again."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """An element. `class_` stands for `class`, other underscores for hyphens; what is None is left out."""
    given = "".join(f' {_attribute(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: str | None) -> Markup:
    """Children one after another."""
    return Markup("".join(each if isinstance(each, Markup) else escape(each) for each in children if each is not None))


def svg_text(text: str, x: float, y: float, anchor: str, kind: str | None = None) -> Markup:
    """Words in a picture at a place; `anchor`: start, middle or end."""
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=kind)


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return escape(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")
