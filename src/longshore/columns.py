"""Records as columns: what the hot paths compute on.

A `Columns` holds n records: numeric features as one float64 matrix (NaN = missing), nominal ones as lists of strings
(None = missing), and the identity of each record. It is plain data; decoding is `longshore.codec`'s work.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from longshore.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]


def fill(column: Floats, values: Sequence[float | None]) -> None:
    """Write n numbers into a contiguous float64[n]; NaN for None."""
    try:
        struct.pack_into(f"{len(values)}d", column.data, 0, *values)  # half of what numpy takes for it
    except struct.error:  # there is a null
        given = [math.nan if value is None else value for value in values]  # twice as fast as numpy does that
        struct.pack_into(f"{len(values)}d", column.data, 0, *given)


def fill_whole(column: npt.NDArray[np.int64], values: Sequence[int]) -> None:
    """Write n integers into a contiguous int64[n]."""
    struct.pack_into(f"{len(values)}q", column.data, 0, *values)


@dataclass(frozen=True, slots=True)
class Columns:
    """n records as columns.

    Attributes:
        schema: the schema they were decoded by.
        record_ids: n ids.
        keys: n entity ids (the schema's `key` field).
        event_times: int64[n], ms since epoch.
        numeric: float64[n, len(schema.numeric)], NaN where missing.
        nominal: one list of n strings (None = missing) per nominal field, in schema order.

    """

    schema: Schema
    record_ids: list[str]
    keys: list[str]
    event_times: npt.NDArray[np.int64]
    numeric: Floats
    nominal: list[list[str | None]]

    def __len__(self) -> int:
        return len(self.record_ids)

    def take(self, rows: npt.NDArray[np.intp]) -> Columns:
        """The records at positions `rows`, in that order."""
        chosen = rows.tolist()
        return Columns(
            schema=self.schema,
            record_ids=[self.record_ids[i] for i in chosen],
            keys=[self.keys[i] for i in chosen],
            event_times=self.event_times[rows],
            numeric=self.numeric[rows],
            nominal=[[values[i] for i in chosen] for values in self.nominal],
        )

    def frame(self) -> pd.DataFrame:
        """The features as a DataFrame with the schema's column names, in schema order (no ids)."""
        import pandas as pd  # noqa: PLC0415  (half of a scorer's start, which needs none of it)

        data: dict[str, Any] = {field.name: self.numeric[:, i] for i, field in enumerate(self.schema.numeric)}
        for field, values in zip(self.schema.nominal, self.nominal, strict=True):
            data[field.name] = pd.Series(values, dtype=object)
        return pd.DataFrame({name: data[name] for name in self.schema.feature_names})
