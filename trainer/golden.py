"""Which records a version carries with its answers, so that whoever loads it can tell that it is still the same model.

Real test rows over the whole range of predictions, and of some of them twins with a missing value in each column in
turn, with nothing at all, or with a category nobody ever saw. Pure: rows and both models' answers in, plain values out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from longshore.columns import Columns, Floats
from longshore.manifest import TOLERANCE, as_columns

SPREAD = 24
"""Real rows, from the lowest prediction to the highest."""
NEVER_SEEN = "a category nobody ever saw"

Predict = Callable[[Columns], Floats]


def choose(columns: Columns, served: Predict, fitted: Predict, wanted: tuple[list[str], list[str]]) -> dict[str, Any]:
    """The golden part of a manifest; `wanted`: the numeric and the nominal columns that the version needs.

    A row on which the served and the fitted model disagree (parity allows one in a thousand) is left out: either may
    be the one that is checked.
    """
    answers = served(columns)
    order = np.argsort(answers, kind="stable")
    spread = order[np.linspace(0, len(order) - 1, min(SPREAD, len(order))).round().astype(int)]
    rows = _with_twins(columns.take(spread))
    expected, other = served(rows), fitted(rows)
    agreed = np.flatnonzero(np.isfinite(expected) & (np.abs(expected - other) <= TOLERANCE / 2 * np.abs(expected)))
    rows, expected = rows.take(agreed), expected[agreed]
    numeric = [field.name for field in rows.schema.numeric]
    nominal = [field.name for field in rows.schema.nominal]
    matrix = [[None if np.isnan(x) else x for x in rows.numeric[:, numeric.index(n)].tolist()] for n in wanted[0]]
    words = [rows.nominal[nominal.index(name)] for name in wanted[1]]
    return {"numeric": matrix, "nominal": words, "prediction": expected.tolist(), "tolerance": TOLERANCE}


def _with_twins(rows: Columns) -> Columns:
    """The rows, then: a twin without its i-th number, one without its i-th word, one with a new word, an empty one."""
    count, numbers, words = len(rows), rows.numeric.shape[1], len(rows.nominal)
    twins = numbers + 2 * words + 1
    source = np.concatenate([np.arange(count), np.arange(twins) % max(count, 1)])
    numeric = rows.numeric[source].copy()
    nominal = [[values[i] for i in source.tolist()] for values in rows.nominal]
    for i in range(numbers):
        numeric[count + i, i] = np.nan
    for i in range(words):
        nominal[i][count + numbers + 2 * i] = None
        nominal[i][count + numbers + 2 * i + 1] = NEVER_SEEN
    numeric[-1] = np.nan
    for values in nominal:
        values[-1] = None
    return as_columns(rows.schema, numeric, nominal)
