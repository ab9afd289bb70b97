"""A source starts to report in another unit."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from longshore.producers.rows import Rows
from longshore.producers.scenarios.base import Context, Positive, Scenario, Share
from longshore.schema import Kind


class UnitFault(Scenario, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`column` × factor in a share of the records (dollars instead of 10,000 dollars); the world is as it was.

    On a ramp the share grows, not the factor: one source after the other is switched over.
    """

    column: str = "median_income"
    factor: Positive = 10_000.0
    share: Share = 1.0
    kind: ClassVar[Kind | None] = Kind.NUMERIC

    def apply(self, rows: Rows, context: Context) -> Rows:
        """Struck values multiplied."""
        values = rows.columns[self.column]
        return rows.with_column(
            self.column, np.where(self.struck(rows, self.share, context), values * self.factor, values)
        )
