"""Prices rise for the same inputs."""

from __future__ import annotations

from longshore.producers.rows import Rows
from longshore.producers.scenarios.base import Context, Multiplying, Positive


class PriceInflation(Multiplying, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Labels × factor, inputs untouched: the concept moves, and only labels can show it."""

    factor: Positive = 1.25

    def apply(self, rows: Rows, context: Context) -> Rows:
        """The truth multiplied; the census's cap at 500,001 is not applied again."""
        return rows.with_target(rows.target * self.factors(rows.index, self.factor))
