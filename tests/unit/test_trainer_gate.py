"""The gate's truth table: who goes live, that the reason holds the figures, and that every check is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.trainer_rows import NUMBERS, SCHEMAS, make_rows

from longshore.columns import Columns, Floats
from longshore.config import TrainerSettings
from longshore.trainer.gate import MIN_TEST_ROWS, Decision, Evidence, Verdict, judge
from longshore.trainer.rows import LabelledRows
from longshore.trainer.sanity import Status

N = 1_000
TARGET = np.random.default_rng(1).normal(100, 20, N)
NOISE = np.random.default_rng(2).normal(0, 1, N)
OTHER = np.random.default_rng(3).normal(0, 1, N)
ROWS = LabelledRows(make_rows(NUMBERS, N).columns, TARGET)
MANIFEST: dict[str, Any] = {
    "baseline": {
        "prediction": 100.0,
        "target_range": [30.0, 170.0],
        "out_of_fold": {"r2": 0.9, "r2_interval": [0.8, 1]},
    },
    "files": {"model.onnx": {"bytes": 1_000}},
    "parity": {"servable": True},
    "dataset": {"quality": {"remarks": []}},
}


def gate(
    challenger: Floats,
    champion: Floats | None,
    *,
    rows: LabelledRows = ROWS,
    history: Evidence | None = None,
    latency_ms: float | None = 0.02,
    predict: Callable[[Columns], Floats] | None = None,
    manifest: dict[str, Any] | None = None,
    **settings: Any,
) -> Verdict:
    return judge(
        Evidence.of(rows, challenger, champion),
        MANIFEST | (manifest or {}),
        TrainerSettings(**settings),
        history=history,
        champion_version="v7",
        latency_ms=latency_ms,
        predict=predict,
    )


UNLEARNT = {"r2": 0.01, "r2_interval": [-0.01, 0.03]}
GOOD, POOR = TARGET + 2 * NOISE, TARGET + 8 * OTHER
BROKEN = np.where(np.arange(N) == 3, np.nan, GOOD)
TWIN = TARGET + 2 * OTHER


@pytest.mark.parametrize(
    ("challenger", "champion", "decision", "words"),
    [
        (GOOD, POOR, "promote", "is better"),
        (POOR, GOOD, "reject", "not shown to be better"),
        (GOOD, GOOD, "promote", "the same predictions"),
        (TWIN, GOOD, "reject", "not shown to be better"),
        (TARGET + 1.99 * NOISE, GOOD, "reject", "not shown to be better by more than 1.0%"),
        (TARGET + 1.9 * NOISE, GOOD, "promote", "is better by more than 1.0%"),
        (GOOD, None, "promote", "no champion"),
        (TARGET * 0 + 100, None, "reject", "every prediction is 100"),
        (TARGET * 0 + 150, POOR, "reject", "not below"),
        (100 + NOISE, None, "reject", "not below"),
        (BROKEN, None, "reject", "not finite on 1 of 1000"),
        (BROKEN, POOR, "reject", "not finite on 1 of 1000"),
        (GOOD, BROKEN, "promote", "v7 is not finite"),
    ],
)
def test_truth_table(challenger: Floats, champion: Floats | None, decision: str, words: str) -> None:
    verdict = gate(challenger, champion)
    assert verdict.decision == decision and words in verdict.reason


def test_too_few_rows_promote_nothing() -> None:
    few = ROWS.take(np.arange(MIN_TEST_ROWS - 1))
    assert gate(GOOD[: len(few)], None, rows=few).decision is Decision.REJECT
    enough = ROWS.take(np.arange(100))
    assert gate(GOOD[:100], None, rows=enough).decision is Decision.PROMOTE


def test_the_reason_holds_both_errors_the_rows_and_the_interval() -> None:
    verdict = gate(GOOD, POOR)
    figures = next(check.figures for check in verdict.checks if check.name == "fresh rows")
    for figure in (f"{figures['challenger']:,.6g}", f"{figures['champion']:,.6g}", "1000", "95 % interval"):
        assert figure in verdict.reason
    assert {"finite", "training mean", "fresh rows", "segments", "latency", "parity"} <= set(verdict.of(Status.PASSED))
    assert verdict.of(Status.INSUFFICIENT) == ["history"] and verdict.listed()[0]["name"] == "finite"


def test_not_worse_is_enough_where_the_settings_say_so() -> None:
    """A margin then decides, with 97.5 % confidence."""
    equal = {"evidence": "not_worse", "segment_margin": 1.0}
    assert gate(TARGET + 2.002 * NOISE, GOOD).decision is Decision.REJECT
    assert gate(TARGET + 2.002 * NOISE, GOOD, **equal).decision is Decision.PROMOTE
    assert gate(TARGET + 2.1 * NOISE, GOOD, **equal).decision is Decision.REJECT
    assert gate(TARGET + 2.1 * NOISE, GOOD, **equal, margin=0.06).decision is Decision.PROMOTE


def test_an_equal_challenger_hardly_ever_passes_and_never_a_worse_one() -> None:
    """Nominally fewer than 2.5 % of equal ones: 60 pairs allow for five by luck."""
    passed = {2.0: 0, 2.2: 0}
    for scale in passed:
        for seed in range(60):
            rng = np.random.default_rng(seed)
            champion, challenger = TARGET + rng.normal(0, 2, N), TARGET + rng.normal(0, scale, N)
            passed[scale] += gate(challenger, champion).decision is Decision.PROMOTE
    assert passed[2.0] <= 5 and passed[2.2] == 0


def test_a_challenger_worse_on_one_large_segment_is_rejected_and_the_segment_named() -> None:
    rows = make_rows(SCHEMAS["shirts"], 2_000, seed=4)
    noise = np.random.default_rng(5).normal(0, 1, 2_000)
    red = np.array([value == "red" for value in rows.columns.nominal[0]])
    champion = rows.target + 0.5 * noise
    challenger = rows.target + np.where(red, 0.6, 0.35) * noise
    verdict = gate(challenger, champion, rows=rows, manifest={"baseline": {"prediction": float(rows.target.mean())}})
    figures = {check.name: check for check in verdict.checks}
    assert figures["fresh rows"].status is Status.PASSED
    assert verdict.decision is Decision.REJECT and verdict.of(Status.FAILED) == ["segments"]
    assert "worse by more than 2% on colour = red" in verdict.reason and "+20.0%" in verdict.reason
    worse = [each["name"] for each in figures["segments"].figures["tested"] if each["worse"]]
    assert worse == ["colour = red"]


def test_a_small_segment_decides_nothing_and_is_told() -> None:
    rows = ROWS.take(np.arange(N))
    odd = np.arange(N) < 60
    rows = replace(rows, columns=replace(make_rows(SCHEMAS["shirts"], N).columns))
    rows.columns.nominal[0][:] = ["odd" if one else "usual" for one in odd]
    challenger = np.where(odd, TARGET + 9 * NOISE, TARGET + 1.0 * NOISE)
    verdict = gate(challenger, TARGET + 4 * NOISE, rows=rows)
    segments = next(check for check in verdict.checks if check.name == "segments")
    assert verdict.decision is Decision.PROMOTE and segments.figures["insufficient"]["colour = odd"] == 60


PAST = LabelledRows(make_rows(NUMBERS, 500, seed=9).columns, TARGET[:500] + 5)


def history(challenger: float, champion: float) -> Evidence:
    """Held-back history on which both err by so much."""
    return Evidence.of(PAST, PAST.target + challenger * NOISE[:500], PAST.target + champion * NOISE[:500])


def test_forgetting_rejects_unless_the_world_it_describes_is_gone() -> None:
    better = TARGET + 1.5 * OTHER
    assert gate(better, GOOD, history=history(2.1, 2.0)).decision is Decision.PROMOTE
    forgot = gate(better, GOOD, history=history(4.0, 2.0))
    assert forgot.decision is Decision.REJECT and forgot.of(Status.FAILED) == ["history"]
    assert "on 500 held-back rows of history: worse by more than 10%" in forgot.reason
    moved_on = gate(GOOD, POOR, history=history(4.0, 2.0))
    assert moved_on.decision is Decision.PROMOTE and moved_on.of(Status.WARNED) == ["history"]
    assert "the world it describes is gone" in moved_on.reason
    assert gate(better, GOOD, history=history(4.0, 2.0), forgetting_margin=2.0).decision is Decision.PROMOTE


@pytest.mark.parametrize(
    ("changes", "failed", "words"),
    [
        ({"latency_ms": 1.4}, ["latency"], "1.400 ms (median), above the limit of 1 ms: a file of 0.001 MB"),
        ({"manifest": {"files": {"model.onnx": {"bytes": 200_000_000}}}}, ["size"], "200 MB, above the limit of 128"),
        ({"manifest": {"baseline": {"prediction": 100.0, "target_range": [99, 101]}}}, ["plausible"], "lie further"),
        ({"manifest": {"parity": {"servable": False}}}, ["parity"], "ONNX"),
        ({"manifest": {"baseline": {"prediction": 100.0, "out_of_fold": UNLEARNT}}}, ["cross-validation"], "R² 0.010"),
    ],
)
def test_what_cannot_be_served_or_believed_is_rejected(changes: dict[str, Any], failed: list[str], words: str) -> None:
    verdict = gate(GOOD, POOR, **changes)
    assert verdict.decision is Decision.REJECT and verdict.of(Status.FAILED) == failed and words in verdict.reason


def test_a_slow_row_and_poor_data_are_warned_of_in_the_reason() -> None:
    remarked = {"dataset": {"quality": {"remarks": ["age is missing in 40 %"]}}}
    verdict = gate(GOOD, POOR, latency_ms=0.3, manifest=remarked)
    assert verdict.decision is Decision.PROMOTE and verdict.of(Status.WARNED) == ["data quality", "latency"]
    assert "0.300 ms (median), above 0.1 ms" in verdict.reason and "age is missing" in verdict.reason


def test_a_manifest_of_an_older_program_is_judged_too() -> None:
    manifest = {"baseline": {"prediction": 100.0}, "files": MANIFEST["files"]}
    verdict = judge(Evidence.of(ROWS, GOOD, POOR), manifest, TrainerSettings(), champion_version="v1")
    assert verdict.decision is Decision.PROMOTE
    assert set(verdict.of(Status.INSUFFICIENT)) == {
        "plausible", "cross-validation", "data quality", "latency", "parity", "history",
    }  # fmt: skip


def test_in_manual_mode_a_person_is_asked_where_it_would_be_promoted() -> None:
    assert gate(GOOD, POOR, approval="manual").decision is Decision.ASK
    assert gate(POOR, GOOD, approval="manual").decision is Decision.REJECT


def framed(**content: Any) -> dict[str, Any]:
    return {"framing": {"goal": "know the wear", **content}}


@pytest.mark.parametrize(
    ("content", "decision", "names"),
    [
        ({"reference": {"kind": "constant", "value": 100.0}}, "promote", []),
        ({"reference": {"kind": "figure", "figure": 1.5}}, "reject", ["reference"]),
        ({"reference": {"kind": "figure", "figure": 3.0}}, "promote", []),
        ({"reference": {"kind": "rule", "column": "flow", "factor": 2.0}}, "promote", []),
        ({"success": {"at_most": 1.0}}, "promote", []),
        ({"assumptions": [{"check": "min_rows", "rows": 9, "required": True, "held": False, "found": "3"}]}, "reject",
         ["assumption min_rows"]),
        ({"assumptions": [{"check": "min_rows", "rows": 9, "required": False, "held": False, "found": "3"}]}, "promote",
         []),
    ],
)  # fmt: skip
def test_the_framing_is_kept_to(content: dict[str, Any], decision: str, names: list[str]) -> None:
    verdict = gate(GOOD, POOR, manifest=framed(**content))
    assert (verdict.decision, verdict.of(Status.FAILED)) == (decision, names)


def test_the_framings_metric_is_the_one_compared() -> None:
    """One huge error: the MAE hardly sees it, the RMSE nothing else."""
    challenger = np.where(np.arange(N) == 5, TARGET + 60, TARGET + 1.5 * NOISE)
    assert gate(challenger, GOOD).decision is Decision.REJECT
    verdict = gate(challenger, GOOD, manifest=framed(success={"metric": "mae"}))
    assert verdict.decision is Decision.PROMOTE and verdict.reason.startswith("MAE")


@pytest.mark.parametrize(("direction", "decision"), [("up", "promote"), ("down", "reject")])
def test_a_named_invariant_is_tried_on_the_model(direction: str, decision: str) -> None:
    rows = make_rows(NUMBERS, N)

    def rising(columns: Columns) -> Floats:
        return np.nan_to_num(np.log(columns.numeric)).sum(axis=1)

    own = LabelledRows(rows.columns, rising(rows.columns) + 0.1 * NOISE)
    verdict = gate(
        rising(rows.columns), own.target + NOISE, rows=own, predict=rising,
        manifest={"baseline": {"prediction": 6.0}, **framed(invariants=[{"column": "flow", "direction": direction}])},
    )  # fmt: skip
    assert verdict.decision == decision
