"""Pages of a version: figures with known answers, any schema and any rows make a page, data never become markup."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.elements import Elements, asks_nobody
from tests.trainer_rows import NUMBERS, SCHEMAS, WORDS, make_rows

from longshore.columns import Columns, Floats
from longshore.config import Settings, TrainerSettings
from longshore.pages.scales import Axis, ticks_between
from longshore.registry import Registry
from longshore.schema import Derived, Schema, districts
from longshore.trainer.evaluate import metrics
from longshore.trainer.pages import contents, maps
from longshore.trainer.pages.changes import changes
from longshore.trainer.pages.exploration import exploration
from longshore.trainer.pages.pictures import binned
from longshore.trainer.pages.relations import correlation, correlation_ratio, ratio
from longshore.trainer.pages.summary import decode, encode, numbers, summarise, words
from longshore.trainer.pages.version import version_pages
from longshore.trainer.rows import LabelledRows
from longshore.trainer.run import Trainer
from longshore.trainer.split import group_codes
from longshore.trainer.training_set import TrainingSet

COORDINATES = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d", "width", "height", "viewbox", "transform"}
SEARCH = {
    "profile": "full", "rows": 200, "folds": 3, "fits": 9, "stopped": None, "chosen": "b", "why": "the simplest",
    "candidates": [
        {"name": name, "stage": "settings", "rmse": rmse, "interval": [rmse - 0.5, rmse + 0.5], "train_rmse": 1.5,
         "fits": 3, "servable": True}
        for name, rmse in (("a", 2.9), ("b", 3.0), ("c", 4.0))
    ],
    "learning_curve": [
        {"rows": 100, "train_rmse": 1.0, "rmse": 4.0, "interval": [3.0, 5.0]},
        {"rows": 200, "train_rmse": 1.5, "rmse": 3.0, "interval": [2.5, 3.5]},
    ],
    "importances": [{"column": "c1", "rmse_increase": 2.0}, {"column": "c2", "rmse_increase": -0.1}],
}  # fmt: skip
"""As `longshore.trainer.search` states it."""
HOSTILE = "<img src=x onerror=alert(1)>|`*_[a](b)_*`"


def rows_of(schema: Schema, numeric: Any, target: Any, nominal: Any = ()) -> LabelledRows:
    """Rows from columns: `numeric` by column."""
    count = len(target)
    ids = [f"r{i}" for i in range(count)]
    matrix = np.array(numeric, dtype=np.float64).T.reshape(count, len(schema.numeric))
    columns = Columns(schema, ids, ids, np.zeros(count, dtype=np.int64), matrix, [list(each) for each in nominal])
    return LabelledRows(columns, np.array(target, dtype=np.float64))


def page_of(rows: LabelledRows, previous: LabelledRows | None = None) -> str:
    return exploration(rows, summarise(rows), None if previous is None else summarise(previous))


def judged(
    rows: LabelledRows, test: LabelledRows, served: Floats, previous: bytes | None = None, **more: Any
) -> dict[str, bytes]:
    """The pages of a version with the least manifest that training writes."""
    mean = float(rows.target.mean())
    manifest = {
        "metrics": metrics(served, test.target, group_codes(test.columns.keys)),
        "baseline": {"prediction": mean, "rmse": float(np.sqrt(np.mean((test.target - mean) ** 2)))},
        "dataset": {"sha256": "a" * 64, "rows": len(rows) + len(test), "source": "test"},
        **more,
    }
    return version_pages(rows, test, served, manifest, sizes={"model.onnx": 1_234}, previous=previous)


def test_a_columns_figures_are_the_textbooks_and_missing_values_are_counted_apart() -> None:
    found = numbers("x", np.array([1.0, 2.0, 3.0, 4.0, np.nan]))
    assert (found.count, found.missing, found.distinct) == (4, 1, 4)
    assert (found.mean, found.min, found.median, found.max) == (2.5, 1, 2.5, 4)
    assert found.std == pytest.approx(np.sqrt(5 / 3))
    empty = numbers("x", np.full(3, np.nan))
    assert (empty.count, empty.missing, empty.mean, empty.max) == (0, 3, None, None)
    assert numbers("x", np.array([7.0])).std is None


def test_values_cut_off_at_an_end_are_seen_and_ordinary_extremes_are_not() -> None:
    values = np.random.default_rng(1).lognormal(size=4_000)
    assert (numbers("x", values).piled_low, numbers("x", values).piled_high) == (0, 0)
    cut = np.minimum(values, 3.0)
    assert (numbers("x", cut).piled_low, numbers("x", cut).piled_high) == (0, int((values >= 3).sum()))
    assert numbers("x", np.maximum(values, 0.5)).piled_low == int((values <= 0.5).sum())
    ratings = np.random.default_rng(2).integers(1, 6, 4_000).astype(float)
    assert numbers("stars", ratings).piled_high == 0, "a scale of five has no more of its last than of its first"


def test_bins_are_equal_and_whole_numbers_have_one_each() -> None:
    low, high, counts = binned(np.array([1.0, 1.0, 2.0, 52.0, np.nan]))
    assert (low, high, len(counts), counts[:2], counts[-1]) == (0.5, 52.5, 52, [2, 1], 1)
    values = np.random.default_rng(5).normal(size=1_000)
    low, high, counts = binned(values)
    assert counts == np.histogram(values, 50)[0].tolist() and (low, high) == (values.min(), values.max())
    assert binned(np.array([3.0, 3.0]))[2] == [2] and binned(np.empty(0))[2] == [0]


def test_categories_are_counted_most_frequent_first_and_bounded() -> None:
    found = words("w", ["b", "a", "b", None, ""])
    assert (found.count, found.missing, found.distinct, list(found.categories.items())) == (
        3,
        2,
        2,
        [("b", 2), ("a", 1)],
    )
    many = words("w", [str(i) for i in range(500)])
    assert (many.distinct, len(many.categories)) == (500, 100)


def test_a_summary_comes_back_and_what_cannot_be_read_is_not_compared_with() -> None:
    found = summarise(make_rows(districts(), 50))
    assert decode(encode(found)) == found
    newer = encode(msgspec.structs.replace(found, format=2))
    assert [decode(data) for data in (None, b"", b"{", b"[]", b'{"rows": 1}', newer)] == [None] * 6


def test_changes_tell_how_far_means_went_and_which_categories_came_and_went() -> None:
    then = make_rows(SCHEMAS["districts"], 400)
    shifted = then.columns.numeric.copy()
    shifted[:, 2] += 3 * np.nanstd(shifted[:, 2], ddof=1)
    shifted[:200, 4] = np.nan
    nominal = [["NEW" if word == "ISLAND" else word for word in then.columns.nominal[0]]]
    now = LabelledRows(replace(then.columns, numeric=shifted, nominal=nominal), then.target)
    found = changes(summarise(then), summarise(now))
    first, *others = found.columns
    assert first.now.name == "housing_median_age" and first.sigma == pytest.approx(3) and first.notable
    assert [each.now.name for each in others if each.notable] == ["total_bedrooms"], "half of it is missing now"
    told = " ".join(found.told)
    assert "new categories: NEW" in told and "no longer has: ISLAND" in told
    same = changes(summarise(then), summarise(then))
    assert same.same and same.told == [] and not any(each.notable for each in same.columns)
    other = changes(summarise(make_rows(NUMBERS)), summarise(then))
    assert "New columns: longitude" in other.told[0] and "no longer there: flow, heat and wear" in other.told[1]


def test_correlations_are_pearsons_over_rows_that_have_both() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=200)
    y = 2 * x + rng.normal(size=200)
    expected = float(np.corrcoef(x, y)[0, 1])
    assert correlation(x, y) == pytest.approx(expected)
    gaps = np.concatenate([x, [np.nan, 5.0]]), np.concatenate([y, [5.0, np.nan]])
    assert correlation(*gaps) == pytest.approx(expected)
    assert correlation(x * 1e307, y * 1e-300) == pytest.approx(expected), "sums of squares neither overflow nor vanish"
    assert correlation(x, np.full(200, 0.1)) is None
    assert correlation(x[:2], y[:2]) is None


def test_the_correlation_ratio_is_the_root_of_the_share_between_categories() -> None:
    target = np.array([1.0, 1.0, 3.0, 3.0])
    assert correlation_ratio(["a", "a", "b", "b"], target) == pytest.approx(1.0)
    assert correlation_ratio(["a", "b", "a", "b"], target) == pytest.approx(0.0)
    assert correlation_ratio([None, "", "b", "b"], target) == pytest.approx(1.0), "missing is a category"
    assert correlation_ratio(["a"] * 4, np.ones(4)) is None
    assert ratio(np.array([1.0, 0.0, 2.0]), np.array([0.0, 0.0, 4.0])).tolist()[2] == 0.5


@pytest.mark.parametrize("span", [(0, 1), (-3, 7), (32.5, 42), (-124.3, -114.3), (1e-9, 2e-9), (-1e300, 1e300)])
def test_ticks_are_few_round_and_inside(span: tuple[float, float]) -> None:
    low, high = span
    ticks = [value for value, _ in ticks_between(low, high)]
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-3 * (high - low) <= value <= high + 1e-3 * (high - low) for value in ticks)
    assert len(ticks_between(5, 5)) == 1
    assert Axis(-1.7e308, 1.7e308, 0, 100).at(0.0) == pytest.approx(50)


def test_the_points_shown_of_a_set_are_shown_of_a_larger_one_too() -> None:
    few, many = make_rows(NUMBERS, 300), make_rows(NUMBERS, 600)
    shown = {many.columns.record_ids[i] for i in maps.sample(many.columns, 200)}
    assert len(shown) == 200
    turned = many.take(np.arange(600)[::-1])
    assert shown == {turned.columns.record_ids[i] for i in maps.sample(turned.columns, 200)}, "in whatever order"
    assert shown & set(few.columns.record_ids) <= {few.columns.record_ids[i] for i in maps.sample(few.columns, 200)}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_any_schema_and_any_number_of_rows_make_a_page(schema: Schema, count: int) -> None:
    rows = make_rows(schema, count)
    text = page_of(rows, make_rows(schema, 20, seed=9))
    asks_nobody(text)
    drawable(text)
    found = Elements(text)
    assert (
        ("svg", "map dots") in [(name, a.get("class")) for name, a in found.found] or schema.place is None or not count
    )
    assert any("What changed" in each for each in found.texts)


def test_empty_constant_and_huge_columns_are_told_and_drawn() -> None:
    schema = replace(NUMBERS, derived=(Derived("both", "flow", "heat"),))
    for flow, heat, target in (
        ([np.nan] * 30, [4.0] * 30, [1.0] * 30),
        ([*np.linspace(-1e308, -1, 15), *np.linspace(1, 1.7e308, 15)], [5e-324, 0.0] * 15, np.arange(30)),
        ([1.0, 1.0 + 2e-16] * 15, [0.0] * 30, [1e300] * 30),
    ):
        text = page_of(rows_of(schema, [flow, heat], target))
        asks_nobody(text)
        drawable(text)
    text = page_of(rows_of(NUMBERS, [[np.nan] * 30, [4.0] * 30], range(30)))
    assert "flow has no value at all." in text and "heat is 4 wherever it is known." in text


FLOATS = st.floats(allow_nan=True, allow_infinity=False) | st.sampled_from([0.0, 1.0, np.nan])


@settings(max_examples=40, deadline=None)
@given(data=st.data(), count=st.integers(1, 12))
def test_no_values_break_a_page(data: st.DataObject, count: int) -> None:
    numeric = data.draw(arrays(np.float64, (2, count), elements=FLOATS))
    target = data.draw(arrays(np.float64, count, elements=st.floats(allow_nan=False, allow_infinity=False)))
    schema = replace(NUMBERS, place=("flow", "heat"), derived=(Derived("both", "flow", "heat"),))
    text = page_of(rows_of(schema, numeric, target), rows_of(schema, numeric[:, ::-1] * 0.5, target * 0.5))
    drawable(text)
    Elements(text)


@settings(max_examples=20, deadline=None)
@given(data=st.data(), count=st.integers(1, 12))
def test_no_predictions_break_a_report(data: st.DataObject, count: int) -> None:
    figures = st.floats(-1e70, 1e70)
    numeric = data.draw(arrays(np.float64, (2, count), elements=FLOATS))
    target, served = (data.draw(arrays(np.float64, count, elements=figures)) for _ in range(2))
    rows = rows_of(replace(NUMBERS, place=("flow", "heat")), numeric, target)
    files = judged(rows, rows, served)
    drawable(files["report.html"].decode())
    assert files["card.md"].startswith(b"# A model of wear")


def drawable(text: str) -> None:
    """Every coordinate is a number."""
    for name, attributes in Elements(text).found:
        for key, value in attributes.items():
            if key in {
                "x",
                "y",
                "x1",
                "x2",
                "y1",
                "y2",
                "cx",
                "cy",
                "r",
                "d",
                "width",
                "height",
                "viewbox",
                "transform",
            }:
                assert re.search("nan|inf", value or "") is None, (name, key, value)


def test_hostile_categories_become_neither_elements_nor_markdown() -> None:
    rows = make_rows(WORDS, 400)
    nominal = [[HOSTILE if word == "red" else word for word in values] for values in rows.columns.nominal]
    rows = LabelledRows(replace(rows.columns, nominal=nominal), rows.target)
    fitted, test = rows.take(np.arange(200)), rows.take(np.arange(200, 400))
    files = judged(fitted, test, test.target + 0.1)
    for name in ("exploration.html", "report.html"):
        text = files[name].decode()
        asks_nobody(text)
        assert any(HOSTILE[:20] in each for each in Elements(text).texts), "it is shown as it is"
    card = files["card.md"].decode()
    assert "<img" not in card.replace("\\<img", "")
    assert not re.search(r"(?<!\\)\|`", card) and "[a](b)" not in card
    assert contents.text("a\n# b_c _d_") == "a \\# b_c \\_d\\_"


def test_a_report_tells_how_good_where_it_is_worst_and_whom_it_treats_differently() -> None:
    rows = make_rows(districts(), 3_000)
    fitted, test = rows.take(np.arange(1_500)), rows.take(np.arange(1_500, 3_000))
    error = np.random.default_rng(4).normal(0, 0.1, len(test))
    bad = np.array([word == "INLAND" for word in test.columns.nominal[0]])
    files = judged(
        fitted,
        test,
        test.target + np.where(bad, error - 1.5, error),
        parity={"rows": 1_500, "share_within": 0.998, "largest": 0.1, "tolerance": 1e-5},
        conformal={"levels": {"0.9": {"half_width": 0.2, "coverage": 0.7}, "0.95": {"half_width": None}}},
        framing={
            "goal": "know the price",
            "reference": {"kind": "figure", "figure": 100.0, "name": "the clerk"},
            "assumptions": [{"check": "min_rows", "rows": 3, "held": False, "found": "2 rows"}],
        },
        parameters={"seed": 5},
        search=SEARCH,
    )
    card = files["card.md"].decode()
    assert "- Worst segment: ocean_proximity = INLAND, RMSE 1.5" in card
    assert re.search(r"ocean_proximity = INLAND: too low by 1.\d+ on average", card)
    assert "differ by more than 10⁻⁵ on 3 of 1,500 test rows" in card
    assert "± 0.2 is to hold 90.0 % of the truths; of the test rows' it holds 70.0 %" in card
    assert "Goal: know the price" in card and "| no | min_rows | 2 rows |" in card
    assert "against 100 of the clerk" in card
    assert "| b (chosen) | settings | 3 | 2.5 … 3.5 | 1.5 | 3 | yes |" in card and "| c | settings |" in card
    assert "50.0 % of the error is overfitting" in card
    assert "dealt out anew: c1 2, c2 -0.1." in card
    assert "From 100 to 200 rows the RMSE went down by 25.0 %" in card
    assert "Seed 5" in card and "model.onnx 1,234 bytes" in card
    page = files["report.html"].decode()
    asks_nobody(page)
    drawable(page)
    pictures = [a.get("class") for name, a in Elements(page).found if name == "svg"]
    assert pictures == ["dots square", "hist", "map", "map dots", "square", "beside"]
    assert Elements(page).texts.count("Worst segment: ocean_proximity = INLAND") <= 1


def test_a_model_worse_than_the_mean_is_said_to_be() -> None:
    rows = make_rows(NUMBERS, 400)
    page = judged(rows, rows, rows.target + 100)["report.html"].decode()
    assert "worse than the mean" in page and "pill bad" in page
    good = judged(rows, rows, rows.target + 0.01)["report.html"].decode()
    assert "less error than the mean" in good and "pill good" in good


def test_a_version_has_the_same_pages_again_and_no_report_without_predictions() -> None:
    rows = make_rows(districts(), 400)
    fitted, test = rows.take(np.arange(300)), rows.take(np.arange(300, 400))
    files = judged(fitted, test, test.target)
    assert set(files) == {"exploration.html", "report.html", "card.md", "summary.json"}
    assert judged(fitted, test, test.target) == files
    assert decode(files["summary.json"]) == summarise(fitted), "the test rows are not explored"
    assert b"What changed" not in files["exploration.html"]
    later = judged(fitted, test, test.target, previous=files["summary.json"])
    assert b"Nothing: these are the same rows." in later["exploration.html"]
    assert set(judged(fitted, test, np.full(100, np.nan))) == {"exploration.html", "summary.json"}
    (single,) = [judged(fitted, test.take(np.array([0])), test.target[:1])]
    drawable(single["report.html"].decode())


def test_pages_of_a_census_stay_small() -> None:
    rows = make_rows(districts(), 20_640)
    files = judged(rows, rows, rows.target + 1)
    assert max(map(len, files.values())) < 700_000
    assert len(files["summary.json"]) < 5_000


def test_every_trained_version_has_its_pages_and_the_next_tells_what_changed(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path / "registry"), "m")
    trainer = Trainer(
        settings=Settings(home=tmp_path, trainer=TrainerSettings(min_rows=100)),
        registry=registry,
        build_profile=lambda frame, nominal, labels: b"p",
        project=lambda: None,
        actor="test",
        report=lambda stage, figures: None,
    )
    for number, rows in enumerate((make_rows(NUMBERS, 400), make_rows(NUMBERS, 400, seed=1, scale=3.0)), 1):
        trainer.run(f"t{number}", lambda rows=rows: TrainingSet(rows, "test"))  # type: ignore[misc]
        assert {"exploration.html", "report.html", "card.md", "summary.json"} <= set(
            registry.manifest(f"v{number}")["files"]
        )
        assert registry.verify(f"v{number}") == []
    assert "What changed" not in registry.read("v1", "exploration.html").decode()
    assert "What changed" in registry.read("v2", "exploration.html").decode()
    assert "dealt out anew" in registry.read("v2", "report.html").decode(), "the search's importances"
    card = registry.read("v2", "card.md").decode()
    assert "to hold 90.0 % of the truths" in card and re.search(r"\| RMSE \| \S+ \| [\d.]+ … [\d.]+ \| [\d.]+ … ", card)
    registry.path("v2", "summary.json").write_bytes(b"{")
    trainer.run("t3", lambda: TrainingSet(make_rows(NUMBERS, 400, seed=2), "test"))
    told = registry.read("v3", "exploration.html").decode()
    assert "What changed" in told, "a damaged summary is passed over for the one before it"
