"""How far a version's predictions were off on rows its model was not fitted on: the optional part of a profile.

Plain data. Which rows, which bins and how the limits are simulated is `longshore.monitor`'s decision; the bytes are
`longshore.profile`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOTALS = 7
"""Σ over rows of 1, error, |error|, error², error⁴, label, label², all but the first in fixed point."""

SEGMENT_TOTALS = 4
"""Of a segment, the first four of them."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorProfile:
    """The errors (prediction − label) of m held-out rows, in fixed point: round(value · scale).

    Attributes:
        edges: float64[e], ascending upper edges of the signed error's bins (a value equal to one is below it).
        counts: int64[e+1], the held-out rows in each bin.
        scale: the power of two of the errors' fixed-point values.
        label_scale: the same of labels, which are counted from …
        label_centre: … here.
        totals: int64[7], see `TOTALS`.
        segments: int64[S, 4], the same by segment of the profile, in its order.
        runs: float64[t], mean run lengths between false alarms of the loss test, in labels, ascending.
        limits: float64[t], the logarithm of its evidence that gives each.
        repeats: simulated streams.
        classes: int64[2·places], where the target is one of two classes, rows by label and place of the prediction;
            else empty.

    """

    edges: Floats
    counts: Ints
    scale: float
    label_scale: float
    label_centre: float
    totals: Ints
    segments: Ints
    runs: Floats
    limits: Floats
    repeats: int
    classes: Ints

    @property
    def rows(self) -> int:
        """m, the held-out rows."""
        return int(self.totals[0])


def read_errors(value: dict[str, Any] | None) -> ErrorProfile | None:
    """The part as decoded JSON has it; None where a profile has none.

    Raises:
        KeyError, TypeError, ValueError: damaged.

    """
    if value is None:
        return None
    return ErrorProfile(
        edges=np.array(value["edges"], dtype=np.float64),
        counts=np.array(value["counts"], dtype=np.int64),
        scale=float(value["scale"]),
        label_scale=float(value["label_scale"]),
        label_centre=float(value["label_centre"]),
        totals=np.array(value["totals"], dtype=np.int64).reshape(TOTALS),
        segments=np.array(value["segments"], dtype=np.int64).reshape(-1, SEGMENT_TOTALS),
        runs=np.array(value["runs"], dtype=np.float64),
        limits=np.array(value["limits"], dtype=np.float64),
        repeats=int(value["repeats"]),
        classes=np.array(value["classes"], dtype=np.int64),
    )
