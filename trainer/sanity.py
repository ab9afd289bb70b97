"""What the gate asks of a challenger alone: that it answers sensibly, beats what needs no model, and can be served.

Each check is a function of predictions and figures and tells what it found, whatever it was. The comparison with the
champion, and the decision, are `longshore.trainer.gate`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np

from longshore.columns import Columns, Floats
from longshore.trainer.comparison import Loss, Paired
from longshore.trainer.evaluate import clustered_mean
from longshore.trainer.framing import Figure, Framing, Invariant
from longshore.trainer.rows import LabelledRows
from longshore.trainer.split import Indexes

BEATEN_AT = 0.999
"""Confidence (two-sided) with which the training mean must be beaten: a model of noise comes close to it."""
STRETCH = 0.5
"""Predictions may leave the training targets' range by this part of its width."""
MOST_OUTSIDE = 0.01
SLOW_MS = 0.1
"""A single row's call slower than this is told: it would be what limits a scorer."""
INVARIANT_STEP = 0.1
"""How far a column is raised, in parts of its range between the 5 % and the 95 % quantile."""

Predict = Callable[[Columns], Floats]


class Status(StrEnum):
    """How a check ended; only `failed` keeps a challenger out."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class Check:
    """One question of the gate, its answer, and the answer in words and figures."""

    name: str
    status: Status
    detail: str
    figures: dict[str, Any] = field(default_factory=dict)


def graded(held: bool, otherwise: Status = Status.FAILED) -> Status:
    """Passed where it held."""
    return Status.PASSED if held else otherwise


def finite(prediction: Floats) -> Check:
    """Every prediction is a number."""
    bad, rows = int((~np.isfinite(prediction)).sum()), len(prediction)
    told = f"the challenger's predictions are not finite on {bad} of {rows} test rows" if bad else "all finite"
    return Check("finite", graded(not bad), told)


def beats_mean(prediction: Floats, target: Floats, groups: Indexes, baseline: float, loss: Loss) -> Check:
    """It is better than the mean of the training targets, for everybody, by more than chance."""
    constant = loss.of(np.full(len(target), baseline), target)
    own = loss.of(prediction, target)
    worst = clustered_mean(own - constant, groups).interval(BEATEN_AT)[1]
    figures = {"challenger": loss.figure(own), "mean": loss.figure(constant)}
    told = f"{loss.name} {figures['challenger']:,.6g} on {len(target)} test rows "
    if worst < 0:
        told += f"beats {figures['mean']:,.6g} of the training mean"
    else:
        told += f"is not below the {figures['mean']:,.6g} of the training mean with {BEATEN_AT:.1%} confidence"
    return Check("training mean", graded(worst < 0), told, figures)


def learned(out_of_fold: dict[str, Any] | None) -> Check:
    """Cross-validation, too, found something to learn: R² on the training rows themselves is above 0.

    A model of noise may beat the mean on test rows: it is a random function, and where one column says most of the
    target, that function leans the right way by luck, on all rows there are. Rows held out of its folds tell.
    """
    if out_of_fold is None:
        return Check("cross-validation", Status.INSUFFICIENT, "the manifest has no out-of-fold figures")
    low, r2 = (out_of_fold["r2_interval"] or [0.0])[0], out_of_fold["r2"]
    told = f"out-of-fold R² {r2:.3f} on the training rows, its 95 % interval from {low:.3f}"
    return Check("cross-validation", graded(low > 0), told, {"r2": r2, "lowest": low})


def plausible(prediction: Floats, target_range: list[float] | None) -> Check:
    """Not one answer for all, and within a stretch of the training targets' range."""
    low, high = float(prediction.min()), float(prediction.max())
    if low == high:
        return Check("plausible", Status.FAILED, f"every prediction is {low:,.6g}")
    told = f"predictions from {low:,.6g} to {high:,.6g}"
    if target_range is None:
        return Check("plausible", Status.INSUFFICIENT, f"{told}; the manifest has no range of targets")
    reach = STRETCH * (target_range[1] - target_range[0])
    share = float(np.mean((prediction < target_range[0] - reach) | (prediction > target_range[1] + reach)))
    told += f", training targets from {target_range[0]:,.6g} to {target_range[1]:,.6g}"
    if share:
        told += f"; {share:.2%} lie further outside than {STRETCH:.0%} of that range"
    status = graded(share == 0, Status.FAILED if share > MOST_OUTSIDE else Status.WARNED)
    return Check("plausible", status, told, {"share_outside": share})


def beats_reference(
    rows: LabelledRows, prediction: Floats, groups: Indexes, framing: Framing, *, baseline: float, loss: Loss
) -> list[Check]:
    """It is better than what is in use today (by more than chance, where that is known row by row); good enough."""
    own, reference, checks = loss.of(prediction, rows.target), framing.reference, []
    figure = loss.figure(own)
    if reference is not None:
        if isinstance(reference, Figure):
            held, other = figure < reference.figure, reference.figure
        else:
            losses = loss.of(reference.predict(rows.columns, baseline), rows.target)
            held, other = Paired(own, losses, groups).worst() < 0, loss.figure(losses)
        told = f"{loss.name} {figure:,.6g} against {other:,.6g} of {reference.name}"
        checks.append(Check("reference", graded(held), told if held else f"{told}: not shown to be better"))
    if (enough := framing.success.at_most) is not None:
        told = f"{loss.name} {figure:,.6g}, the framing asks for {enough:,.6g} at most"
        checks.append(Check("success", graded(figure <= enough, Status.WARNED), told))
    return checks


def assumptions(found: dict[str, Any]) -> list[Check]:
    """The framing's assumptions, as they were checked on the training data."""
    return [
        Check(
            f"assumption {each['check']}",
            graded(each["held"], Status.FAILED if each["required"] else Status.WARNED),
            each["found"],
        )
        for each in found.get("assumptions", ())
    ]


def invariant(columns: Columns, predict: Predict, prediction: Floats, asked: Invariant) -> Check:
    """Raising one column does not move predictions the wrong way, but on a tolerated share of the rows."""
    position = [each.name for each in columns.schema.numeric].index(asked.column)
    values = columns.numeric[:, position]
    name, known = f"invariant {asked.column} {asked.direction}", values[np.isfinite(values)]
    step = INVARIANT_STEP * float(np.subtract(*np.quantile(known, (0.95, 0.05)))) if len(known) else 0.0
    if step == 0:
        return Check(name, Status.INSUFFICIENT, f"{asked.column} does not vary on the test rows")
    raised = columns.numeric.copy()
    raised[:, position] += step
    moved = predict(replace(columns, numeric=raised)) - prediction
    against = moved < 0 if asked.direction == "up" else moved > 0
    share = float(against[np.isfinite(values)].mean())
    told = f"raised by {step:.4g}, {share:.2%} of the predictions move the other way (tolerated {asked.tolerance:.2%})"
    return Check(name, graded(share <= asked.tolerance), told, {"share": share, "step": step})


def quality(found: dict[str, Any] | None) -> Check:
    """What was remarked on the data the version was made of; data nobody may train on never come this far."""
    if found is None:
        return Check("data quality", Status.INSUFFICIENT, "the manifest says nothing of the data's quality")
    remarks = found.get("remarks", [])
    told = "; ".join(map(str, remarks)) or "nothing remarked"
    return Check("data quality", graded(not remarks, Status.WARNED), told, {"remarks": len(remarks)})


def latency(median_ms: float | None, limit_ms: float, what: str) -> Check:
    """A single row's call; `what` says why it may be slow."""
    if median_ms is None:
        return Check("latency", Status.INSUFFICIENT, "not measured")
    told = f"one row takes {median_ms:.3f} ms (median)"
    if median_ms > limit_ms:
        told = f"{told}, above the limit of {limit_ms:g} ms: {what}"
        return Check("latency", Status.FAILED, told, {"median_ms": median_ms})
    if median_ms > SLOW_MS:
        told = f"{told}, above {SLOW_MS:g} ms: {what}"
    return Check("latency", graded(median_ms <= SLOW_MS, Status.WARNED), told, {"median_ms": median_ms})


def size(found: int, limit_mb: float) -> Check:
    """The served file's size: every scorer loads it, and the cache holds it."""
    told = f"{found / 1e6:,.3g} MB"
    held = found <= limit_mb * 1e6
    told += "" if held else f", above the limit of {limit_mb:g} MB"
    return Check("size", graded(held), told, {"bytes": found})
