"""`longshore model report` and `longshore data explore`: the page is written whole, or it is said why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.trainer_rows import NUMBERS, make_rows

from longshore.cli.app import App
from longshore.cli.data import data
from longshore.cli.model import model
from longshore.config import Settings
from longshore.errors import ConfigurationError, DataError, IntegrityError, LongshoreError
from longshore.registry import Registry
from longshore.registry.formats import Judgement

SCHEMA = """
name = "pumps"
key = "pump"
target = "wear"
fields = [{ name = "flow", kind = "numeric" }, { name = "heat", kind = "numeric" }]
"""
DECIDED = [{"champion": "", "decision": "promote", "reason": "nobody is better"}]
PAGES = {"report.html": b"<p>r", "exploration.html": b"<p>e", "card.md": b"# c"}

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "pumps.toml").write_text(SCHEMA)
    settings = Settings(
        home=tmp_path, registry_url=str(tmp_path / "registry"), schema_file=tmp_path / "pumps.toml",
        bootstrap_servers=None, redis_url=None,
    )  # fmt: skip

    def invoke(command: Any, *arguments: str | Path) -> Any:
        given = [*map(str, arguments), "--output", "json"]
        result = CliRunner().invoke(command, given, obj=App(settings))
        if isinstance(result.exception, LongshoreError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return invoke


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    found = Registry.open(str(tmp_path / "registry"), "default")
    found.register({"model.onnx": b"m", **PAGES}, {"metrics": {}})
    record = Judgement(version="v1", generation=0, trigger_id="t", actor="a", checks=[], time=0, **DECIDED[0])
    found.notes.judge(record)
    return found


@pytest.mark.parametrize(
    ("page", "name"), [("report", "report.html"), ("exploration", "exploration.html"), ("card", "card.md")]
)
def test_a_versions_page_is_written_as_it_was_stored(
    run: Run, registry: Registry, tmp_path: Path, page: str, name: str
) -> None:
    to = tmp_path / "page"
    to.write_bytes(b"an older one")
    told = run(model, "report", "v1", "--page", page, "--to", to)
    assert told == {"version": "v1", "page": page, "path": str(to), "bytes": len(PAGES[name]), "decided": DECIDED}
    assert to.read_bytes() == PAGES[name]


def test_without_arguments_it_is_the_champions_report(
    run: Run, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registry.move_alias("champion", "v1", expected_generation=0, trigger_id="t", actor="a", reason="r")
    assert run(model, "report")["path"] == str(tmp_path / "v1-report.html")


def test_a_version_without_pages_a_changed_page_and_no_folder_are_told(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    registry.register({"model.onnx": b"m"}, {"metrics": {}})
    with pytest.raises(DataError, match=r"v2 has no report\.html"):
        run(model, "report", "v2", "--to", tmp_path / "page")
    with pytest.raises(DataError, match="cannot be written"):
        run(model, "report", "v1", "--to", tmp_path / "absent" / "page")
    registry.path("v1", "report.html").write_bytes(b"other")
    with pytest.raises(IntegrityError, match="not what its sha256 says"):
        run(model, "report", "v1", "--to", tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_a_file_is_explored_and_compared_with_an_earlier_one(run: Run, tmp_path: Path) -> None:
    for name, seed in (("then", 1), ("now", 2)):
        rows = make_rows(NUMBERS, 80, seed)
        rows.columns.frame().assign(wear=rows.target).to_csv(tmp_path / f"{name}.csv", index=False)
    to = tmp_path / "page.html"
    told = run(data, "explore", tmp_path / "now.csv", "--since", tmp_path / "then.csv", "--to", to)
    assert (told["path"], told["rows"]) == (str(to), 80)
    text = to.read_text(encoding="utf-8")
    assert "What changed since the last set" in text and "file now.csv" in text and "held back" not in text
    with pytest.raises(DataError, match=r"absent\.csv"):
        run(data, "explore", tmp_path / "absent.csv", "--to", to)
    assert to.read_text(encoding="utf-8") == text
    before = (tmp_path / "now.csv").read_bytes()
    for options in (("--to", tmp_path / "now.csv"), ("--since", to, "--to", to)):
        with pytest.raises(ConfigurationError, match="is the file that is explored"):
            run(data, "explore", tmp_path / "now.csv", *options)
    assert ((tmp_path / "now.csv").read_bytes(), to.read_text(encoding="utf-8")) == (before, text)
