"""How a page looks to a reader: in which widths and schemes it is opened, and whether it can be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page


def cases(name: str) -> list[tuple[str, str, int, bool]]:
    return [(name, "light", 1_200, True), (name, "dark", 1_200, False), (name, "dark", 390, True)]


def pictures_have_room(page: Page) -> None:
    """Every picture is visible, and the page itself never scrolls sideways."""
    for picture in page.locator("svg:visible").all():
        box = picture.bounding_box()
        assert box is not None and box["width"] > 50 and box["height"] > 10
    body = page.locator("body").bounding_box()
    size = page.viewport_size
    assert body is not None and size is not None and body["width"] <= size["width"]


def contrast(browser: Browser, path: Path, kinds: Sequence[str]) -> float:
    """The least ratio of luminances (WCAG 2) between these texts and their card, in both schemes, which differ."""
    ratios: list[float] = []
    cards = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(path.as_uri())
        style = "(e, p) => getComputedStyle(e).getPropertyValue(p)"
        card = luminance(page.locator("section").first.evaluate(f"e => ({style})(e, 'background-color')"))
        for kind in kinds:
            name = "fill" if "text" in kind else "color"
            ink = luminance(page.locator(kind).first.evaluate(f"e => ({style})(e, '{name}')"))
            ratios.append((max(card, ink) + 0.05) / (min(card, ink) + 0.05))
        cards[scheme] = card
        context.close()
    assert cards["light"] > 0.8 and cards["dark"] < 0.1, cards
    return min(ratios)


def luminance(color: str) -> float:
    """Relative luminance of `rgb(r, g, b)` (WCAG 2)."""
    parts = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
