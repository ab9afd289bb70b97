"""A version's pages in a real browser: light, dark and narrow, without scripts and without asking anybody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.system.viewing import cases, contrast, pictures_have_room

from longshore.producers.generator import history_frame
from longshore.schema import districts
from longshore.trainer.evaluate import metrics
from longshore.trainer.pages.summary import encode, summarise
from longshore.trainer.pages.version import version_pages
from longshore.trainer.rows import LabelledRows, from_frame
from longshore.trainer.split import group_codes

pytestmark = [pytest.mark.system, pytest.mark.slow]

HOSTILE = "<script>document.title='taken'</script>"


def district_rows(count: int, seed: int) -> LabelledRows:
    """Generated districts, some of them with an attack for a category."""
    rows = from_frame(history_frame(count, seed), districts())
    rows.columns.nominal[0][::9] = [HOSTILE] * len(range(0, count, 9))
    return rows


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a version that is too low in the north, beside an earlier set."""
    fitted, test = district_rows(4_000, 1), district_rows(1_500, 2)
    served = test.target * np.random.default_rng(3).lognormal(0, 0.15, len(test))
    served = np.where(test.columns.numeric[:, 1] > 37, served * 0.7, served)
    manifest = {
        "metrics": metrics(served, test.target, group_codes(test.columns.keys)),
        "baseline": {"prediction": float(fitted.target.mean()), "rmse": float(np.std(test.target))},
        "dataset": {"sha256": "a" * 64, "rows": 5_500, "source": "generator"},
    }
    previous = encode(summarise(district_rows(1_000, 4)))
    folder = tmp_path_factory.mktemp("pages")
    made = version_pages(fitted, test, served, manifest, sizes={"model.onnx": 1}, previous=previous)
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def exploration_page(pages: Path) -> Path:
    return pages / "exploration.html"


@pytest.fixture(scope="module")
def report_page(pages: Path) -> Path:
    return pages / "report.html"


@pytest.mark.parametrize("opened", cases("exploration_page"), indirect=True)
def test_the_exploration_shows_every_picture(opened: Page) -> None:
    expect(opened).to_have_title("Training set of districts")
    expect(opened.get_by_role("heading", name="What changed since the last set")).to_be_visible()
    expect(opened.locator("svg.hist")).to_have_count(9)
    for kind in ("map", "matrix", "scatters"):
        expect(opened.locator(f"svg.{kind}")).to_have_count(1)
    assert len(set(opened.locator("svg.map path").evaluate_all("ps => ps.map(p => getComputedStyle(p).stroke)"))) == 7
    expect(opened.locator("svg.beside text", has_text=HOSTILE[:10]).first).to_be_visible()
    pictures_have_room(opened)


@pytest.mark.parametrize("opened", cases("report_page"), indirect=True)
def test_the_report_shows_where_the_model_is_worst(opened: Page) -> None:
    expect(opened).to_have_title("A model of median_house_value")
    expect(opened.locator(".pill")).to_contain_text("less error than the mean")
    expect(opened.get_by_role("heading", name="Where it is worst")).to_be_visible()
    expect(opened.locator("svg")).to_have_count(4)
    assert opened.locator("svg.map path.below.strong").count() > 0
    pictures_have_room(opened)


def test_both_can_be_read_in_light_and_dark(browser: Browser, exploration_page: Path, report_page: Path) -> None:
    for path in (exploration_page, report_page):
        assert contrast(browser, path, (".sentence", ".quiet", "svg text", "svg text.ink", ".tiles dt")) >= 4.5
