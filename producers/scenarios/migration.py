"""People leave one kind of place for another."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from longshore.errors import ConfigurationError
from longshore.producers.rows import Rows, Source
from longshore.producers.scenarios.base import Context, Scenario, Share
from longshore.schema import Kind, Schema


class Migration(Scenario, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A share of the records outside category `to` is replaced by whole other rows inside it (coast to inland).

    Whole rows with their own id and label, so everything within a category keeps its joint distribution and every
    record stays one that could be: only the mixture moves.
    """

    column: str = "ocean_proximity"
    to: str = "INLAND"
    share: Share = 0.5
    kind: ClassVar[Kind | None] = Kind.NOMINAL

    def check(self, schema: Schema, source: Source) -> None:
        """Also refuse a category that the data does not have."""
        super().check(schema, source)
        found = source.pool().columns[self.column]
        if not (found == self.to).any():
            there = ", ".join(sorted({str(value) for value in found if value is not None})[:20])
            raise ConfigurationError(f"no row has {self.column} = {self.to!r} to migrate to", mend=f"choose of {there}")

    def apply(self, rows: Rows, context: Context) -> Rows:
        """Each struck record becomes a row drawn from the source's pool."""
        leaving = (rows.columns[self.column] != self.to) & self.struck(rows, self.share, context)
        if not leaving.any():
            return rows
        pool = context.source.pool()
        homes = np.flatnonzero(pool.columns[self.column] == self.to)
        drawn = (context.chance(rows.index[leaving], "/donor") * len(homes)).astype(np.int64)
        return rows.replaced(leaving, pool.take(homes[drawn]))
