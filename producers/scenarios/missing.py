"""A source stops reporting one value."""

from __future__ import annotations

import numpy as np

from longshore.producers.rows import Rows
from longshore.producers.scenarios.base import Context, Scenario, Share


class MissingBedrooms(Scenario, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`column` is missing in a share of the records (completely at random), besides those where it already was."""

    column: str = "total_bedrooms"
    share: Share = 0.3

    def apply(self, rows: Rows, context: Context) -> Rows:
        """Struck values become NaN, or None in a nominal column."""
        values = rows.columns[self.column].copy()
        values[self.struck(rows, self.share, context)] = None if values.dtype == object else np.nan
        return rows.with_column(self.column, values)
