"""A training set in figures, small enough to keep with every version: the next set is compared with it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np

from longshore.columns import Floats
from longshore.trainer.rows import LabelledRows

FORMAT = 1
MAX_CATEGORIES = 100
"""Kept by name, the most frequent first; of the others only how many there are."""
PILED_DISTINCT, PILED_NEIGHBOURS, PILED_TIMES = 10, 10, 5
PILED_ROWS, PILED_SHARE = 5, 0.001


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """A numeric column. Without a single value its figures are None; `std` is the sample's, None below two values.

    `piled_low` and `piled_high`: rows that stand at the minimum or maximum because values were cut off there (0: none).
    """

    name: str
    count: int
    missing: int
    distinct: int
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    q25: float | None = None
    median: float | None = None
    q75: float | None = None
    max: float | None = None
    piled_low: int = 0
    piled_high: int = 0


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """A nominal column: rows by category, the most frequent first, at most `MAX_CATEGORIES`."""

    name: str
    count: int
    missing: int
    distinct: int
    categories: dict[str, int]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A set of rows. `numeric` holds the schema's numeric fields; `sha256` names the rows."""

    rows: int
    sha256: str
    target: Numbers
    numeric: list[Numbers]
    nominal: list[Words]
    format: int = FORMAT

    @property
    def numbers(self) -> list[Numbers]:
        """The numeric columns, the target last."""
        return [*self.numeric, self.target]

    @property
    def features(self) -> list[Numbers | Words]:
        """All columns but the target."""
        return [*self.numeric, *self.nominal]

    @property
    def columns(self) -> list[Numbers | Words]:
        """All columns, the target among them."""
        return [*self.numeric, self.target, *self.nominal]


def summarise(rows: LabelledRows) -> Summary:
    """The figures of a set of rows, of any number."""
    columns, schema = rows.columns, rows.columns.schema
    return Summary(
        rows=len(rows),
        sha256=rows.sha256(),
        target=numbers(schema.target, rows.target),
        numeric=[numbers(field.name, columns.numeric[:, i]) for i, field in enumerate(schema.numeric)],
        nominal=[words(field.name, values) for field, values in zip(schema.nominal, columns.nominal, strict=True)],
    )


def encode(summary: Summary) -> bytes:
    """JSON, for a version's file."""
    return msgspec.json.encode(summary)


def decode(data: bytes | None) -> Summary | None:
    """What `encode` wrote; None for what is absent, damaged or newer: then nothing is compared."""
    try:
        found = msgspec.json.decode(data or b"", type=Summary)
    except msgspec.DecodeError:
        return None
    return found if found.format <= FORMAT else None


def numbers(name: str, column: Floats) -> Numbers:
    """A column's figures; what is not finite counts as missing."""
    values = column[np.isfinite(column)]
    found, counts = np.unique(values, return_counts=True)
    known = Numbers(name=name, count=len(values), missing=len(column) - len(values), distinct=len(found))
    if not len(values):
        return known
    with np.errstate(all="ignore"):
        mean, std = _known(values.mean()), _known(values.std(ddof=1)) if len(values) > 1 else None
    low, lower, middle, upper, high = (float(each) for each in np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    return msgspec.structs.replace(
        known, mean=mean, std=std, min=low, q25=lower, median=middle, q75=upper, max=high,
        piled_low=_piled(counts), piled_high=_piled(counts[::-1]),
    )  # fmt: skip


def words(name: str, values: list[str | None]) -> Words:
    """A column's categories with their counts; None and the empty text are missing."""
    counts = Counter(value for value in values if value)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    kept = {word: counts[word] for word in ranked[:MAX_CATEGORIES]}
    total = counts.total()
    return Words(name=name, count=total, missing=len(values) - total, distinct=len(counts), categories=kept)


def _known(figure: np.floating[Any]) -> float | None:
    """None where it is beyond float64."""
    return float(figure) if np.isfinite(figure) else None


def _piled(counts: np.ndarray) -> int:
    """Rows at the first of ascending (or descending) distinct values, if that many cannot be by chance.

    Values that were cut off pile up: the extreme has several times the rows of the values next to it.
    """
    rows = int(counts.sum())
    if len(counts) < PILED_DISTINCT or counts[0] < max(PILED_ROWS, PILED_SHARE * rows):
        return 0
    beside = float(np.median(counts[1 : 1 + PILED_NEIGHBOURS]))
    return int(counts[0]) if counts[0] >= PILED_TIMES * beside else 0
