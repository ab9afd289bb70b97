"""A source keeps repeating its last value."""

from __future__ import annotations

from typing import Any

from longshore.producers.rows import Rows
from longshore.producers.scenarios.base import Context, Scenario, Share

LOOK_AHEAD = 100
"""Records after the onset in which a value is looked for when the onset's own is missing."""


class FrozenSensor(Scenario, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A share of the records carries the value that `column` had in record `onset`, whatever it really is."""

    column: str = "housing_median_age"
    share: Share = 1.0

    def apply(self, rows: Rows, context: Context) -> Rows:
        """Struck values become the one the sensor froze at."""
        struck = self.struck(rows, self.share, context)
        if not struck.any():
            return rows
        values = rows.columns[self.column].copy()
        values[struck] = self._frozen(context)
        return rows.with_column(self.column, values)

    def _frozen(self, context: Context) -> Any:
        """The first value there is from the onset on in the untouched source."""
        length = context.source.length
        ahead = LOOK_AHEAD if length is None else max(1, min(LOOK_AHEAD, length - self.onset))
        values = context.source.rows(self.onset, ahead).columns[self.column]
        return next((value for value in values if value is not None and value == value), values[0])  # noqa: PLR0124
