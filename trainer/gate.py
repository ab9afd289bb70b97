"""Whether a challenger goes live: a pure decision on both models' predictions for the same fresh test rows.

Both are the served ONNX's predictions. The rule: the challenger's mean squared error is, with 97.5 % confidence, not
above the champion's times (1 + margin)². Without enough evidence the champion stays: "never a worse model".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longshore.columns import Floats
from longshore.trainer.evaluate import mean_interval
from longshore.trainer.split import Indexes

MIN_TEST_ROWS = 20
"""Below this the interval of a skewed squared error means little."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision and its figures: errors in the target's unit, `interval` of the change of the mean squared error."""

    promoted: bool
    reason: str
    rows: int
    rmse_challenger: float | None = None
    rmse_champion: float | None = None
    rmse_baseline: float | None = None
    interval: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a manifest or an outcome."""
        return asdict(self)


def judge(
    challenger: Floats,
    champion: Floats | None,
    target: Floats,
    groups: Indexes,
    *,
    margin: float,
    baseline: float,
    champion_version: str = "",
) -> Verdict:
    """Promote or not, on n test rows.

    `champion` is None where there is none that could serve these rows: then beating the constant `baseline` (the mean
    of the training targets) is enough. `groups` numbers the rows' entities. `margin` is relative to the RMSE.
    """
    rows = len(target)
    if rows < MIN_TEST_ROWS:
        return Verdict(False, f"only {rows} fresh test rows, {MIN_TEST_ROWS} are needed", rows)
    if not np.isfinite(challenger).all():
        bad = int((~np.isfinite(challenger)).sum())
        return Verdict(False, f"the challenger's predictions are not finite on {bad} of {rows} test rows", rows)
    rmse, constant = _rmse(challenger, target), _rmse(np.full(rows, baseline), target)
    if rmse >= constant:
        reason = f"RMSE {rmse:,.6g} on {rows} test rows is not below the {constant:,.6g} of the training mean"
        return Verdict(False, reason, rows, rmse, rmse_baseline=constant)
    if champion is None:
        reason = f"no champion to compare with; RMSE {rmse:,.6g} on {rows} test rows beats {constant:,.6g} of the mean"
        return Verdict(True, reason, rows, rmse, rmse_baseline=constant)
    return _compare(challenger, champion, target, groups, margin=margin, version=champion_version, constant=constant)


def _compare(
    challenger: Floats,
    champion: Floats,
    target: Floats,
    groups: Indexes,
    *,
    margin: float,
    version: str,
    constant: float,
) -> Verdict:
    rows, rmse = len(target), _rmse(challenger, target)
    if not np.isfinite(champion).all():
        reason = f"RMSE {rmse:,.6g} on {rows} test rows; the champion {version} is not finite on some of them"
        return Verdict(True, reason, rows, rmse, rmse_baseline=constant)
    before = _rmse(champion, target)
    squared, allowed = (challenger - target) ** 2, (1 + margin) ** 2 * (champion - target) ** 2
    _, worst = mean_interval(squared - allowed, groups)
    interval = mean_interval(squared - (champion - target) ** 2, groups)
    # Equality counts as not worse: two equal models differ by nothing, with certainty.
    promoted = worst <= 0
    change = f"RMSE {rmse:,.6g} against {before:,.6g} of champion {version} on the same {rows} fresh test rows"
    finding = "is not worse" if promoted else "may be worse"
    reason = f"{change}: {finding} by more than {margin:.1%} (95 % interval of the squared error's change "
    reason += f"{interval[0]:,.4g} … {interval[1]:,.4g})"
    return Verdict(promoted, reason, rows, rmse, before, constant, interval)


def _rmse(prediction: Floats, target: Floats) -> float:
    return float(np.sqrt(np.mean((prediction - target) ** 2)))
