"""Records on their way out, as columns, and where they come from.

`Rows` is plain data that sources make, scenarios change and `longshore.producers.encode` writes. A `Source` gives any
stretch of its records by number, so a stream does not depend on how it is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from longshore.columns import Floats

Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """n records: their numbers in the stream, entity ids, features and truth.

    Attributes:
        index: int64[n].
        keys: object[n] of strings.
        columns: one array per feature: float64[n] with NaN, or object[n] of strings with None.
        target: float64[n], NaN where unknown.

    """

    index: Index
    keys: Values
    columns: dict[str, Values]
    target: Floats

    def __len__(self) -> int:
        return len(self.index)

    def take(self, positions: Index) -> Rows:
        """The rows at `positions`, copied."""
        columns = {name: values[positions] for name, values in self.columns.items()}
        return Rows(self.index[positions], self.keys[positions], columns, self.target[positions])

    def numbered(self, start: int) -> Rows:
        """The same rows with the numbers `start`, `start + 1`, …"""
        return replace(self, index=np.arange(start, start + len(self)))

    def with_column(self, name: str, values: Values) -> Rows:
        """The same rows with one feature replaced."""
        return replace(self, columns={**self.columns, name: values})

    def with_target(self, values: Floats) -> Rows:
        """The same rows with another truth."""
        return replace(self, target=values)

    def replaced(self, where: Mask, donors: Rows) -> Rows:
        """Whole other entities (`donors`, one per true value of `where`) under the numbers of those they replace."""

        def put(values: Values, new: Values) -> Values:
            result = values.copy()
            result[where] = new
            return result

        columns = {name: put(values, donors.columns[name]) for name, values in self.columns.items()}
        return Rows(self.index, put(self.keys, donors.keys), columns, put(self.target, donors.target))

    @staticmethod
    def concatenate(parts: Sequence[Rows]) -> Rows:
        """Rows after one another; `parts` has at least one."""
        if len(parts) == 1:
            return parts[0]
        names = parts[0].columns
        return Rows(
            np.concatenate([part.index for part in parts]),
            np.concatenate([part.keys for part in parts]),
            {name: np.concatenate([part.columns[name] for part in parts]) for name in names},
            np.concatenate([part.target for part in parts]),
        )


class Source(Protocol):
    """Where records come from. The same call always gives the same rows."""

    @property
    def length(self) -> int | None:
        """How many records there are, None where they never end."""

    def rows(self, start: int, count: int) -> Rows:
        """Records `start` … `start + count − 1`, numbered so."""

    def pool(self) -> Rows:
        """Rows of the same kind to draw others from."""
