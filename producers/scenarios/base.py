"""What a scenario is: parameters with limits, an onset, a ramp, and one pure change of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from longshore.columns import Floats
from longshore.errors import ConfigurationError
from longshore.producers.chance import uniform
from longshore.producers.rows import Index, Mask, Rows, Source
from longshore.schema import Kind, Schema

Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class Context:
    """What a scenario may look at besides the rows: the untouched source, and chances of its own."""

    source: Source
    seed: int
    purpose: str

    def chance(self, index: Index, purpose: str = "") -> Floats:
        """float64[n] in [0, 1), the same for the same record numbers."""
        return uniform(self.seed, self.purpose + purpose, index)


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of records from number `onset` on, at full strength `ramp` records later."""

    onset: Count = 0
    ramp: Count = 0

    kind: ClassVar[Kind | None] = None
    """The kind that `column` must have; None where there is no column, or any will do."""

    def strength(self, index: Index) -> Floats:
        """0 before the onset, rising by 1/ramp a record, 1 from onset + ramp on (at once for a ramp of 0)."""
        since = index - self.onset
        if self.ramp == 0:
            return (since >= 0).astype(np.float64)
        return np.clip(since / self.ramp, 0.0, 1.0)

    def struck(self, rows: Rows, share: float, context: Context) -> Mask:
        """Which records a change hits that takes a share of them: `share` × strength, each by its own chance."""
        return context.chance(rows.index) < share * self.strength(rows.index)

    def check(self, schema: Schema, source: Source) -> None:
        """Refuse a schema or data that it cannot change.

        Raises:
            ConfigurationError: it changes a column that the schema lacks or has as another kind.

        """
        del source
        column = getattr(self, "column", None)
        kinds = {field.name: field.kind for field in schema.fields}
        if column is not None and column not in kinds:
            raise ConfigurationError(
                f"scenario column {column!r} is not in schema {schema.name!r}", mend=f"choose of {', '.join(kinds)}"
            )
        if column is not None and self.kind is not None and kinds[column] is not self.kind:
            fitting = ", ".join(name for name, kind in kinds.items() if kind is self.kind)
            raise ConfigurationError(
                f"scenario column {column!r} is {kinds[column]}, not {self.kind}", mend=f"choose of {fitting}"
            )

    def apply(self, rows: Rows, context: Context) -> Rows:
        """The rows after the change; those before the onset stay as they are."""
        raise NotImplementedError


class Multiplying(Scenario, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario that multiplies numbers: on the ramp the factor grows from 1 in a straight line."""

    def factors(self, index: Index, factor: float) -> Floats:
        """float64[n]: 1 + (factor − 1) × strength."""
        return 1.0 + (factor - 1.0) * self.strength(index)
