"""The quality benchmark's memory: a split is measured once, whoever is killed, until what is measured changes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmarks.training import quality, splits
from tests.trainer_rows import make_rows

from longshore.schema import districts


def line(seed: int, part: str = "full", machine: str = "a", **found: Any) -> dict[str, Any]:
    return {"seed": seed, "part": part, "fingerprint": "f", "machine": machine, "load": 0.1, "found": found}


def test_the_newest_line_counts_and_one_cut_off_does_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.jsonl"
    assert splits.read(path) == {}
    for one in (line(1, rmse=2.0), line(1, rmse=3.0), line(2, machine="b")):
        splits.add(path, one)
    with path.open("a") as file:
        file.write('{"seed": 3, "part": "fu')
    splits.add(path, line(4, rmse=5.0))
    lines = splits.read(path)
    newest = splits.known(lines, 1, "full", "f")
    assert newest is not None and newest["found"]["rmse"] == 3.0
    assert splits.known(lines, 4, "full", "f") is not None
    assert splits.known(lines, 3, "full", "f") is None
    assert splits.known(lines, 1, "full", "another") is None
    assert splits.known(lines, 2, "full", "f", "a") is None and splits.known(lines, 2, "full", "f", "b") is not None


def test_what_is_fitted_is_in_the_fingerprint_and_what_people_read_is_not(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("a\n1\n")
    reached = splits.sources("longshore.trainer.making", "longshore.trainer")
    assert {"longshore.trainer.search.plan", "longshore.trainer.features", "longshore.trainer.export"} <= set(reached)
    assert not any(name.startswith(("longshore.trainer.pages", "longshore.trainer.service")) for name in reached)
    first = quality.of_product(data, "full")
    assert first == quality.of_product(data, "full") != quality.of_product(data, "quick")
    data.write_text("a\n2\n")
    assert first != quality.of_product(data, "full")
    plain, told, other = (splits.code_of(ast.parse(text)) for text in ("x = 1", '"""Said."""\nx = 1  # why', "x = 2"))
    assert plain == told != other


def test_numbers_of_splits() -> None:
    assert splits.numbers("3,4,9-11") == [3, 4, 9, 10, 11]


@pytest.fixture
def measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> quality.Measuring:
    """Twelve rows, and fits that take no time: 90 beside the forest's 100 at every split."""
    rows, fitted = make_rows(districts(), 12), []
    frame = pd.DataFrame({"median_income": np.linspace(1, 7, 12)})

    def found(rmse: float) -> dict[str, Any]:
        fitted.append(rmse)
        if len(fitted) == 4:
            raise KeyboardInterrupt
        return {"rmse": rmse + len(fitted) / 10, "seconds": 1.0, "interval": [80.0, 120.0]}

    def product(*_: Any) -> dict[str, Any]:
        told = {"gib": 1.0, "single_row_ms": 0.1, "rows_per_s": 1e5, "mb": 1.0}
        return found(90.0) | told | {"search": {"chosen": "boosting", "fits": 3, "why": "w"}, "candidates": []}

    monkeypatch.setattr(quality.chapter, "split", lambda frame, seed: (np.arange(8), np.arange(8, 12)))
    monkeypatch.setattr(quality, "forest", lambda *_: found(100.0))
    monkeypatch.setattr(quality, "product", product)
    prints = {"forest": "a", "full": "b"}
    return quality.Measuring(rows, frame, ["full"], 1, tmp_path / "state.jsonl", "here", prints)


def test_a_stopped_call_goes_on_and_tells_how_many_are_done(measuring: quality.Measuring) -> None:
    measuring.measure(1)
    with pytest.raises(KeyboardInterrupt):
        measuring.measure(2)
    assert measuring.done(1) is not None and measuring.done(2) is None
    before = measuring.state.read_text()
    measuring.measure(1)
    assert measuring.state.read_text() == before, "what is known is not measured again"
    measuring.measure(2)
    assert len(measuring.state.read_text().splitlines()) == 4
    results = quality.results_of(measuring, 20)
    assert results["others"]["full"]["splits"] == 2
    assert results["others"]["full"]["lower_by"] == pytest.approx(0.1, abs=0.01)
    text = quality.page(results)
    assert "2 of 20 other splits are done" in text and "| 2 | 100 | 9" in text and "handbook's split |" not in text
    measuring.measure(42)
    assert "| full | 9" in quality.page(quality.results_of(measuring, 20))
