"""`model diff`: all that is not the same, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from longshore.cli.app import App
from longshore.cli.model import model
from longshore.config import Settings
from longshore.registry import Registry
from longshore.registry.differences import Difference, differences

LEAVES = st.one_of(st.integers(), st.floats(allow_nan=False), st.text(max_size=3), st.lists(st.integers(), max_size=2))
MANIFESTS = st.dictionaries(
    st.sampled_from(["metrics", "parameters", "libraries"]),
    st.dictionaries(st.text("abc", min_size=1, max_size=2), LEAVES, max_size=4),
)


@given(MANIFESTS, MANIFESTS)
def test_equal_manifests_do_not_differ_and_the_order_only_turns_sides(
    first: dict[str, object], second: dict[str, object]
) -> None:
    assert differences(first, first) == []
    turned = {(row.section, row.name, repr(row.second), repr(row.first)) for row in differences(second, first)}
    assert turned == {(row.section, row.name, repr(row.first), repr(row.second)) for row in differences(first, second)}


def test_a_change_is_relative_to_the_first() -> None:
    assert Difference("metrics", "rmse", 4.0, 3.0).change() == -0.25
    assert Difference("metrics", "r2", -0.5, 0.5).change() == 2.0
    for pair in ((0, 1), (None, 1.0), (True, 2), ("a", "b"), ([1], [2])):
        assert Difference("metrics", "x", *pair).change() is None


def test_versions_are_compared_by_name_or_alias(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path / "registry"), "default")
    for rmse, data in ((4.0, b"1"), (3.0, b"22")):
        manifest = {
            "metrics": {"rmse": rmse, "rows_test": 400},
            "libraries": {"numpy": "2.0"},
            "dataset": {"sha256": "a", "offsets": {"t": {"0": round(rmse)}}},
            "trigger_id": f"t{rmse}",
        }
        registry.register({"model.onnx": data, "profile": b"p"}, manifest)
    registry.move_alias("champion", "v1", expected_generation=0, trigger_id="", actor="a", reason="r")
    app = App(Settings(home=tmp_path, registry_url=str(tmp_path / "registry")))
    result = CliRunner().invoke(model, ["diff", "champion", "v2", "--output", "json"], obj=app)
    found = json.loads(result.stdout)
    assert (found["first"], found["second"]) == ("v1", "v2")
    rows = {(row["section"], row["name"]): (row["first"], row["second"], row["change"]) for row in found["differences"]}
    assert rows.pop(("files", "model.onnx.sha256"))[2] is None
    assert rows == {
        ("metrics", "rmse"): (4.0, 3.0, -0.25),
        ("dataset", "offsets.t.0"): (4, 3, -0.25),
        ("files", "model.onnx.bytes"): (1, 2, 1.0),
    }
    table = CliRunner().invoke(model, ["diff", "v1", "v2"], obj=app).stdout
    assert "rmse" in table and "-25.00%" in table and "rows_test" not in table
    assert "do not differ" in CliRunner().invoke(model, ["diff", "v1", "champion"], obj=app).stdout
