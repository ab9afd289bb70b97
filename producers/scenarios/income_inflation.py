"""Incomes rise and prices stay."""

from __future__ import annotations

from typing import ClassVar

from longshore.producers.rows import Rows
from longshore.producers.scenarios.base import Context, Multiplying, Positive
from longshore.schema import Kind


class IncomeInflation(Multiplying, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`column` × factor. Prices do not follow: labels keep what they were before the change."""

    column: str = "median_income"
    factor: Positive = 1.25
    kind: ClassVar[Kind | None] = Kind.NUMERIC

    def apply(self, rows: Rows, context: Context) -> Rows:
        """The column multiplied; the census's cap at 15.0001 is not applied again."""
        return rows.with_column(self.column, rows.columns[self.column] * self.factors(rows.index, self.factor))
