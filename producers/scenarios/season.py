"""A shift that goes away and comes back."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
import numpy as np

from longshore.producers.rows import Rows
from longshore.producers.scenarios.base import Context, Scenario
from longshore.schema import Kind


class Season(Scenario, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`column` × (1 + amplitude × strength × (1 − cos 2πt)/2), t in periods since the onset.

    From 1 up and back, again and again (guests of a high season). Labels do not follow.
    """

    column: str = "population"
    amplitude: Annotated[float, msgspec.Meta(gt=-1)] = 0.5
    period: Annotated[int, msgspec.Meta(ge=2)] = 20_000
    kind: ClassVar[Kind | None] = Kind.NUMERIC

    def apply(self, rows: Rows, context: Context) -> Rows:
        """The column multiplied by the time of the year."""
        phase = 2.0 * np.pi * ((rows.index - self.onset) % self.period) / self.period
        swing = 1.0 + self.amplitude * self.strength(rows.index) * (1.0 - np.cos(phase)) / 2.0
        return rows.with_column(self.column, rows.columns[self.column] * swing)
