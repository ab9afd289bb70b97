"""The page in a real browser: what a person does, what they are told, and that nothing comes from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.services import Services, free_port
from tests.system.answering import get, predict, ready
from tests.waiting import eventually

from longshore.schema import districts

pytestmark = [pytest.mark.system, pytest.mark.slow]

ABORTED = "net::ERR_FAILED"
"""What the browser says of a request that a test let fail."""
HOSTILE = "<img src=x onerror=document.title='taken'>"
SCHEMA = f"""
name = "wells"
key = "well"
target = "depth_of_water"
fields = [
  {{ name = "level", kind = "numeric", nullable = false, minimum = 0, description = "{HOSTILE}" }},
  {{ name = "soil", kind = "nominal", categories = ["{HOSTILE}", "clay"] }},
]
"""


@pytest.fixture
def page(browser: Browser, serve: int) -> Iterator[Page]:
    """The page once it shows a prediction; at the end, no error and no request to anybody else."""
    url = ready(serve)
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    errors: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    expect(page.locator("#price")).to_have_text(re.compile(r"\d"))
    yield page
    context.close()
    assert [error for error in errors if ABORTED not in error] == []
    assert asked
    assert all(each.startswith(f"{url}/") for each in asked)


def shown(page: Page) -> str:
    return page.locator("#price").inner_text()


def filled(page: Page) -> dict[str, float | str | None]:
    """The form as a record."""
    numeric = {field.name for field in districts().numeric}
    found: dict[str, float | str | None] = {}
    for name in districts().feature_names:
        text = page.locator(f"[name={name}]").input_value()
        found[name] = (float(text) if text else None) if name in numeric else text
    return found


def agrees(page: Page) -> bool:
    """What is shown is what a program gets for the same record."""
    values = {name: value for name, value in filled(page).items() if value is not None}
    (value,) = predict(page.url.rstrip("/"), **values)["outputs"][0]["data"]
    return shown(page) == f"{value:,.0f}"


def test_a_person_fills_in_a_district_and_gets_its_price_with_version_and_time(page: Page) -> None:
    expect(page).to_have_title(re.compile("Median house value"))
    assert agrees(page)
    before = shown(page)
    page.get_by_label("Median income").fill("9.5")
    page.get_by_label("Total bedrooms").fill("")
    page.get_by_label("Ocean proximity").select_option("NEAR BAY")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#price")).not_to_have_text(before)
    eventually(lambda: agrees(page), 10, what="the price of what the form says")
    expect(page.locator("#origin")).to_have_text(re.compile(r"by model v1, generation 1, at \d+:\d\d:\d\d"))
    expect(page.locator("#origin time")).to_have_attribute("datetime", re.compile(r"^20\d\d-.*Z$"))
    expect(page.locator("#list")).to_contain_text(before)


def test_the_map_sets_the_place_by_click_and_by_key(page: Page) -> None:
    longitude, latitude = page.get_by_label("Longitude"), page.get_by_label("Latitude")
    marker = page.locator(".tag")
    expect(marker).to_have_text(shown(page))
    drawing = page.locator("#map svg")
    box = drawing.bounding_box()
    assert box is not None
    drawing.click(position={"x": box["width"] * 0.25, "y": box["height"] * 0.45})
    expect(longitude).to_have_value(re.compile(r"^-12[123]\.\d"))
    expect(latitude).to_have_value(re.compile(r"^37\.\d"))
    eventually(lambda: agrees(page), 10, what="the price of the new place")
    at = float(latitude.input_value())
    drawing.press("ArrowUp")
    expect(latitude).to_have_value(f"{round(at + 0.1, 2):g}")
    drawing.press("Shift+ArrowDown")
    expect(latitude).to_have_value(f"{round(at - 0.9, 2):g}")
    expect(drawing).to_have_attribute("aria-label", re.compile(f"{round(at - 0.9, 2):g} degrees north"))
    eventually(lambda: agrees(page), 10, what="the price of the last place")
    expect(marker).to_have_text(shown(page))


def test_what_is_wrong_is_said_in_words_beside_its_field(page: Page) -> None:
    latitude, rooms = page.get_by_label("Latitude"), page.get_by_label("Total rooms")
    latitude.fill("95")
    rooms.fill("many")
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_text("Latitude is 90 or less.")).to_be_visible()
    expect(page.get_by_text("Total rooms is a number")).to_be_visible()
    expect(latitude).to_have_attribute("aria-invalid", "true")
    eventually(lambda: focused(latitude), 10, what="the focus on the first mistake")
    assert "field-latitude-error" in str(latitude.get_attribute("aria-describedby"))
    expect(page.locator("#price")).to_have_text("–")
    rooms.fill("2,500")
    rooms.blur()
    expect(page.get_by_text("without commas")).to_be_visible()
    page.get_by_role("button", name="Typical values").click()
    expect(page.locator("[aria-invalid]")).to_have_count(0)
    expect(page.locator("#price")).to_have_text(re.compile(r"\d"))


def test_every_field_has_a_name_and_the_form_works_by_keyboard_alone(page: Page) -> None:
    for field in districts().fields:
        label = field.name.replace("_", " ").capitalize()
        expect(page.get_by_label(label, exact=True)).to_have_count(1)
    page.get_by_label("Longitude").focus()
    for _ in range(7):
        page.keyboard.press("Tab")
    eventually(lambda: focused(page.get_by_label("Median income")), 10, what="the focus after seven tabs")
    page.keyboard.press("Control+A")
    page.keyboard.type("2.25")
    page.keyboard.press("Enter")
    eventually(lambda: agrees(page), 10, what="the price after Enter")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_colour_schemes(page: Page, scheme: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    widths = page.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], "it scrolls sideways"
    ground, ink = page.evaluate(
        "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]; }"
    )
    assert (brightness(ground) > brightness(ink)) == (scheme == "light")
    for control in page.locator("input, select, button").all():
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= 44, "too small for a finger"


def focused(place: Locator) -> bool:
    """Whether keys go there (the window itself need not be in front)."""
    return bool(place.evaluate("element => element === document.activeElement"))


def brightness(colour: str) -> int:
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3])


def test_a_server_that_goes_away_is_said_and_comes_back(page: Page) -> None:
    page.route("**/infer", lambda route: route.abort())
    page.get_by_label("Population").fill("900")
    expect(page.get_by_role("alert")).to_have_text(re.compile("does not answer"))
    page.unroute("**/infer")
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    eventually(lambda: agrees(page), 10, what="a price again")


def test_another_schema_without_a_model_makes_its_form_and_its_texts_stay_texts(
    browser: Browser, run: Services, tmp_path: Path
) -> None:
    (tmp_path / "schema.toml").write_text(SCHEMA)
    port = free_port()
    run.start(
        "serve", "--port", str(port),
        LONGSHORE_SCHEMA_FILE=str(tmp_path / "schema.toml"), LONGSHORE_REGISTRY_URL=str(tmp_path / "registry"),
        LONGSHORE_REDIS_URL="",
    )  # fmt: skip
    url = ready(port, "/healthz")
    assert get(f"{url}/readyz")[0] == 503
    with browser.new_context() as context:
        check_hostile(context.new_page(), url)


def check_hostile(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator("#subtitle")).to_have_text(re.compile("There is no model yet"))
    expect(page.get_by_label("Level")).to_be_visible()
    expect(page.get_by_text(HOSTILE).first).to_be_visible()
    expect(page.locator("main img")).to_have_count(0)
    expect(page.locator("#place")).to_be_hidden()
    expect(page).to_have_title(re.compile("Depth of water"))
    page.get_by_label("Level").fill("3")
    expect(page.get_by_role("alert")).to_have_text(re.compile("no model yet"))
