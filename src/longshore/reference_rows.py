"""Some whole rows of a reference, as an optional part of its profile: for what counts cannot tell.

Only where `monitor.joint` is on: whoever can read the profile can read these rows.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_KINDS = {"numbers": "<f4", "codes": "<u2"}
"""How the arrays are stored: little-endian, in base64."""


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceRows:
    """Rows of a reference; streams in the profile's order.

    Attributes:
        numbers: float32[m, numeric streams]; NaN is missing.
        codes: uint16[m, nominal streams], the bins of their values.

    """

    numbers: npt.NDArray[np.float32]
    codes: npt.NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.numbers)

    def to_dict(self) -> dict[str, str]:
        """Plain values for JSON."""
        return {
            name: base64.b64encode(getattr(self, name).astype(kind).tobytes()).decode("ascii")
            for name, kind in _KINDS.items()
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any], numeric: int, nominal: int) -> ReferenceRows:
        """`to_dict`'s rows, of so many numeric and nominal streams.

        Raises:
            KeyError, TypeError, ValueError: damaged.

        """
        numbers, codes = (np.frombuffer(base64.b64decode(value[name]), kind) for name, kind in _KINDS.items())
        rows = len(numbers) // numeric if numeric else len(codes) // nominal
        return cls(numbers.astype(np.float32).reshape(rows, numeric), codes.astype(np.uint16).reshape(rows, nominal))
