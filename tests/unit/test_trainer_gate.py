"""The gate's truth table: who goes live, and that the reason holds the figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from longshore.trainer.gate import MIN_TEST_ROWS, Verdict, judge

N = 400
TARGET = np.random.default_rng(1).normal(100, 20, N)
NOISE = np.random.default_rng(2).normal(0, 1, N)
OTHER = np.random.default_rng(3).normal(0, 1, N)


def gate(challenger: Any, champion: Any, *, rows: int = N, margin: float = 0.01) -> Verdict:
    return judge(
        challenger[:rows],
        None if champion is None else champion[:rows],
        TARGET[:rows],
        np.arange(rows),
        margin=margin,
        baseline=100.0,
        champion_version="v7",
    )


GOOD, POOR = TARGET + 2 * NOISE, TARGET + 8 * OTHER
BROKEN = np.where(np.arange(N) == 3, np.nan, GOOD)


@pytest.mark.parametrize(
    ("challenger", "champion", "promoted", "words"),
    [
        (GOOD, POOR, True, "is not worse"),
        (POOR, GOOD, False, "may be worse"),
        (GOOD, GOOD, True, "is not worse"),
        (TARGET + 2.002 * NOISE, GOOD, True, "is not worse"),
        (TARGET + 2.1 * NOISE, GOOD, False, "may be worse"),
        (GOOD, None, True, "no champion"),
        (TARGET * 0 + 100, None, False, "not below"),
        (TARGET * 0 + 150, POOR, False, "not below"),
        (BROKEN, None, False, "not finite on 1 of 400"),
        (BROKEN, POOR, False, "not finite on 1 of 400"),
        (GOOD, BROKEN, True, "v7 is not finite"),
    ],
)
def test_truth_table(challenger: Any, champion: Any, promoted: bool, words: str) -> None:
    verdict = gate(challenger, champion)
    assert verdict.promoted is promoted and words in verdict.reason


def test_too_few_rows_promote_nothing() -> None:
    assert not gate(GOOD, None, rows=MIN_TEST_ROWS - 1).promoted
    assert gate(GOOD, None, rows=MIN_TEST_ROWS).promoted


def test_the_reason_holds_both_errors_the_rows_and_the_interval() -> None:
    verdict = gate(GOOD, POOR)
    for figure in (f"{verdict.rmse_challenger:,.6g}", f"{verdict.rmse_champion:,.6g}", "400", "1.0%", "95 % interval"):
        assert figure in verdict.reason
    assert verdict.to_dict() == {**verdict.to_dict(), "promoted": True, "rows": N}
    assert replace(verdict, promoted=False).promoted is False


def test_a_worse_challenger_hardly_ever_passes() -> None:
    """A 10 % worse challenger passes in 2.5 % of the cases at most: 40 pairs allow for four by luck."""
    passed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        champion, challenger = TARGET + rng.normal(0, 2, N), TARGET + rng.normal(0, 2.2, N)
        passed += gate(challenger, champion).promoted
    assert passed <= 4


def test_a_wider_margin_lets_more_through() -> None:
    challenger = TARGET + 2.1 * NOISE
    assert not gate(challenger, GOOD, margin=0.01).promoted
    assert gate(challenger, GOOD, margin=0.06).promoted
