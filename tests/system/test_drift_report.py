"""The drift pages in a real browser: light, dark and narrow, without scripts and without asking anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect
from tests.drift_stream import STEP_MS, counter, decider, model_event, predictions, profile_bytes, rows

from longshore.cli.drift import compare
from longshore.monitor.decide import decide_all
from longshore.monitor.messages import encode
from longshore.monitor.pages.of_events import EventsPage
from longshore.monitor.pages.page import html
from longshore.monitor.panes import Tally
from longshore.profile import Profile
from longshore.tracing.drift import Told

pytestmark = [pytest.mark.system, pytest.mark.slow]

START, SHIFT_AT, TOTAL = 1_790_000_000_000, 6_000, 10_000
HOSTILE = "<script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def stream_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a stream that shifts, from the decider's own events."""
    calm, moved = rows(SHIFT_AT, 41), rows(TOTAL - SHIFT_AT, 42, factor=1.3)
    values = predictions(calm, first_ms=START) + predictions(moved, first_ms=START + SHIFT_AT * STEP_MS)
    tally = Tally()
    counter().count(tally, values, list(range(len(values))))
    gathered = EventsPage()
    for event in decide_all(decider(), enumerate([model_event("promoted"), encode(tally.message(0, 1))])).events:
        gathered.add(Told(event, event.window.end + 1_000))
    profile = Profile.from_bytes(profile_bytes())
    path = tmp_path_factory.mktemp("pages") / "stream.html"
    path.write_text(html(gathered.page(lambda _: profile, name="ships", now_ms=START + 200_000)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def files_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two files on a map, with a column whose name is an attack."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(5)
    for name, shift in (("then", 0.0), ("now", 1.0)):
        east, north = random.uniform(-124, -114, 2_000), random.uniform(32, 42, 2_000)
        level = random.normal(size=2_000) + np.where(north > 37, shift, 0)
        frame = pd.DataFrame({"level": level, "east": east, "north": north, HOSTILE: random.choice(["a", "b"], 2_000)})
        frame.to_parquet(folder / f"{name}.parquet")
    page = folder / "page.html"
    given = [str(folder / "then.parquet"), str(folder / "now.parquet"), "--html", str(page), "--place", "east", "north"]
    assert CliRunner().invoke(compare, given).exit_code == 0
    return page


@pytest.fixture
def opened(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page at a width and in a scheme; at the end, no message on the console and no request but for the file."""
    name, scheme, width, scripts = request.param
    path: Path = request.getfixturevalue(name)
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
    )
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert said == []
    assert asked == [path.as_uri()]


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


@pytest.mark.parametrize("opened", cases("stream_page"), indirect=True)
def test_the_stream_page_shows_what_happened(opened: Page) -> None:
    expect(opened).to_have_title("Drift of ships")
    expect(opened.locator(".sentence")).to_contain_text("1 alert in")
    expect(opened.locator(".sentence")).to_contain_text("cargo")
    expect(opened.locator("svg.evidence .alert-mark")).to_have_count(1)
    expect(opened.locator("svg.evidence .band")).to_have_count(1)
    expect(opened.locator("svg.metric")).to_have_count(5 * 4)
    opened.get_by_text("These values as a table").click()
    expect(opened.get_by_role("table").first.get_by_role("row").nth(1)).to_be_visible()
    opened.get_by_role("link", name="crew").click()
    expect(opened.get_by_role("heading", name="crew")).to_be_in_viewport()
    pictures_have_room(opened)


@pytest.mark.parametrize("opened", cases("files_page"), indirect=True)
def test_the_files_page_shows_distributions_and_where(opened: Page) -> None:
    expect(opened).to_have_title("Drift of now.parquet")
    expect(opened.locator(".sentence")).to_contain_text(re.compile("^level .*moved"))
    expect(opened.get_by_role("heading", name=HOSTILE)).to_be_visible()
    expect(opened.locator("svg.bars")).to_have_count(4)
    expect(opened.locator("svg.map .cell.moved").first).to_be_visible()
    expect(opened.locator("svg.bullet")).to_have_count(5 * 4)
    pictures_have_room(opened)


def test_light_and_dark_differ_and_text_can_be_read(browser: Browser, stream_page: Path) -> None:
    ratios = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(stream_page.as_uri())
        style = "(e, p) => getComputedStyle(e).getPropertyValue(p)"
        card = luminance(page.locator("section").first.evaluate(f"e => ({style})(e, 'background-color')"))
        for kind in (".sentence", ".quiet", "svg.evidence text", "td.over", ".tiles dt"):
            name = "fill" if "text" in kind else "color"
            ink = luminance(page.locator(kind).first.evaluate(f"e => ({style})(e, '{name}')"))
            ratios[scheme, kind] = (max(card, ink) + 0.05) / (min(card, ink) + 0.05)
        ratios[scheme, "card"] = card
        context.close()
    assert ratios.pop(("light", "card")) > 0.8
    assert ratios.pop(("dark", "card")) < 0.1
    assert min(ratios.values()) >= 4.5, ratios


def luminance(color: str) -> float:
    """Relative luminance of `rgb(r, g, b)` (WCAG 2)."""
    parts = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
