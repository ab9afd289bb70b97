"""A page's elements, as a browser would find them."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br"}


class Elements(HTMLParser):
    """Every element and its attributes; open ones must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def names(self) -> set[str]:
        return {name for name, _ in self.found}


def asks_nobody(text: str) -> None:
    """Nothing is loaded, nothing runs, nobody is asked."""
    assert Elements(text).names().isdisjoint({"script", "link", "img", "iframe", "object", "form", "base"})
    assert "url(" not in text and "@import" not in text and "http://" not in text and "https://" not in text
