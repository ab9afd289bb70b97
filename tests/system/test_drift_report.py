"""The drift pages in a real browser: light, dark and narrow, without scripts and without asking anybody."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect
from tests.drift_stream import STEP_MS, counter, decider, model_event, predictions, profile_bytes, rows
from tests.system.viewing import cases, contrast, pictures_have_room

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
    kinds = (".sentence", ".quiet", "svg.evidence text", "td.over", ".tiles dt")
    assert contrast(browser, stream_page, kinds) >= 4.5
