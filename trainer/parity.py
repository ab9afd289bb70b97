"""Whether the served ONNX says what scikit-learn says: the rule a version must keep to be servable."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longshore.columns import Floats
from longshore.errors import IntegrityError

TOLERANCE = 1e-5
REQUIRED_SHARE = 0.999
RMSE_TOLERANCE = 1e-4
LISTED = 100
"""Deviating rows that a manifest lists at most."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far ONNX and scikit-learn are apart on n test rows; `exceptions` are the worst rows past the tolerance."""

    rows: int
    share_within: float
    largest: float
    rmse_difference: float
    exceptions: list[dict[str, Any]]
    tolerance: float = TOLERANCE

    @property
    def servable(self) -> bool:
        """Within 1e-5 relative on at least 99.9 % of the rows, and RMSE within 0.01 %."""
        return bool(self.share_within >= REQUIRED_SHARE and self.rmse_difference <= RMSE_TOLERANCE)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return {**asdict(self), "servable": self.servable}

    def require(self) -> None:
        """Refuse a model that cannot be served.

        Raises:
            IntegrityError: the rule is broken; the message says by how much.

        """
        if not self.servable:
            raise IntegrityError(
                f"the exported model differs from scikit-learn: {1 - self.share_within:.2%} of {self.rows} test rows "
                f"by more than {TOLERANCE:g}, RMSE by {self.rmse_difference:.2g}",
                mend="nothing was registered; report it with the libraries' versions",
            )


def compare(served: Floats, expected: Floats, target: Floats, record_ids: list[str]) -> Parity:
    """Compare n served predictions with scikit-learn's; the relative difference is |served − expected| / |expected|."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.abs(served - expected) / np.abs(expected)
    relative = np.where(served == expected, 0.0, np.where(np.isnan(relative), np.inf, relative))
    outside = np.flatnonzero(relative > TOLERANCE)
    worst = outside[np.argsort(-relative[outside], kind="stable")][:LISTED]
    ours, theirs = (float(np.sqrt(np.mean((p - target) ** 2))) for p in (served, expected))
    difference = abs(ours - theirs) / theirs if theirs > 0 else abs(ours - theirs)
    exceptions = [
        {"record_id": record_ids[i], "onnx": float(served[i]), "sklearn": float(expected[i])} for i in worst.tolist()
    ]
    return Parity(
        rows=len(target),
        share_within=1 - len(outside) / max(len(target), 1),
        largest=float(relative.max(initial=0.0)),
        rmse_difference=float(difference) if np.isfinite(difference) else np.inf,
        exceptions=exceptions,
    )
