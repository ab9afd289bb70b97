"""A framing file is read or refused by name; its assumptions are asked of the data; a manifest gives it back."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from tests.trainer_rows import NUMBERS, SCHEMAS, make_rows

from longshore.errors import ConfigurationError
from longshore.trainer.framing import Rule, described, from_manifest, parse
from longshore.trainer.rows import LabelledRows

WHOLE = """
goal = "Know a pump's wear before it fails."
kpi = "unplanned stops a month"
[success]
metric = "mae"
at_most = 2.5
[reference]
kind = "rule"
name = "the maintenance table"
column = "flow"
factor = 0.1
offset = 1
[[assumptions]]
check = "target_not_capped"
limit = 0.02
required = true
[[assumptions]]
check = "min_rows"
rows = 1_000
[[assumptions]]
check = "max_missing"
limit = 0.2
[[assumptions]]
check = "target_between"
low = -1e6
high = 1e6
[[invariants]]
column = "flow"
direction = "up"
"""
ROWS = make_rows(NUMBERS, 600)


def test_the_whole_file_is_read_asked_and_given_back() -> None:
    framing = parse(WHOLE, "framing.toml", NUMBERS)
    assert framing.success.metric == "mae" and isinstance(framing.reference, Rule)
    found = described(framing, ROWS)
    held = {each["check"]: (each["held"], each["found"]) for each in found["assumptions"]}
    assert {name: ok for name, (ok, _) in held.items()} == {
        "target_not_capped": True, "min_rows": False, "max_missing": True, "target_between": True,
    }  # fmt: skip
    assert held["min_rows"][1] == "600 labelled rows, 1,000 assumed" and "is missing in" in held["max_missing"][1]
    assert from_manifest(found) == framing


def test_the_documentations_example_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    framing = parse(example, "docs/gate.md", SCHEMAS["districts"])
    assert len(framing.assumptions) == 4 and framing.invariants and framing.reference is not None


def test_a_capped_target_is_found_with_its_share() -> None:
    framing = parse('goal = "x"\nassumptions = [{ check = "target_not_capped" }]', "f", NUMBERS)
    capped = LabelledRows(ROWS.columns, np.minimum(ROWS.target, np.quantile(ROWS.target, 0.95)))
    (assumption,) = described(framing, capped)["assumptions"]
    assert assumption["held"] is False and assumption["found"].startswith("5.00% of the rows")


def test_a_rule_without_its_column_falls_back() -> None:
    rule = Rule(column="flow", factor=2.0, offset=1.0)
    rows = ROWS.take(np.arange(40))
    missing = np.isnan(rows.columns.numeric[:, 0])
    estimate = rule.predict(rows.columns, fallback=-7.0)
    assert (estimate[missing] == -7).all() and missing.any()
    assert np.allclose(estimate[~missing], 1 + 2 * rows.columns.numeric[~missing, 0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("goal = ", "is not TOML"),
        ('kpi = "x"', "missing required field `goal`"),
        ('goal = "x"\ntargets = 3', "unknown field `targets`"),
        ('goal = "x"\n[success]\nmetric = "accuracy"', "success.metric"),
        ('goal = "x"\n[reference]\nkind = "oracle"', "oracle"),
        ('goal = "x"\n[reference]\nkind = "constant"', "missing required field `value`"),
        ('goal = "x"\n[reference]\nkind = "rule"\ncolumn = "depth"\nfactor = 1', "'depth' is no numeric field"),
        ('goal = "x"\n[[assumptions]]\ncheck = "is_sunny"', "is_sunny"),
        ('goal = "x"\n[[assumptions]]\ncheck = "max_missing"\nlimit = 3', "limit"),
        ('goal = "x"\n[[assumptions]]\ncheck = "max_missing"\nlimit = 0.1\ncolumn = "depth"', "'depth' is no field"),
        ('goal = "x"\n[[invariants]]\ncolumn = "colour"\ndirection = "up"', "'colour' is no numeric field"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "framing.toml", NUMBERS)
    assert words in str(caught.value) and "framing.toml" in str(caught.value)


def test_missing_words_count_as_missing() -> None:
    framing = parse('goal = "x"\nassumptions = [{ check = "max_missing", limit = 0.01 }]', "f", SCHEMAS["shirts"])
    (assumption,) = described(framing, make_rows(SCHEMAS["shirts"], 600))["assumptions"]
    assert assumption["held"] is False and assumption["found"].startswith(("colour is missing", "size is missing"))
