"""Whether a challenger goes live: a pure decision on both models' predictions for the same rows.

Every prediction is the served ONNX's. A challenger is promoted when no check failed: it makes sense and can be served
(`longshore.trainer.sanity`), and, against the champion, it is better on fresh test rows by more than a margin with
97.5 % confidence, is on no segment shown to be worse by more than another, and did not forget history that still holds.
Without enough evidence the champion stays: "never a worse model". In manual mode a person is asked where it would be
promoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from longshore.columns import Floats
from longshore.config import TrainerSettings
from longshore.trainer import framing, sanity
from longshore.trainer.comparison import LOSSES, Loss, Paired, SegmentResult, world_changed, worse_segments
from longshore.trainer.rows import LabelledRows
from longshore.trainer.sanity import Check, Predict, Status, graded
from longshore.trainer.segments import MIN_ROWS, Segment, Segments, segments
from longshore.trainer.split import Indexes, group_codes

MIN_TEST_ROWS = 20
"""Below this the interval of a skewed squared error means little."""


class Decision(StrEnum):
    """What follows: the alias moves, stays, or waits for a person."""

    PROMOTE = "promote"
    REJECT = "reject"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Evidence:
    """n rows, and what both models say of them; `champion` is None where there is none that could serve them.

    `groups` numbers the rows' entities: rows of one are one observation.
    """

    rows: LabelledRows
    groups: Indexes
    challenger: Floats
    champion: Floats | None

    @classmethod
    def of(cls, rows: LabelledRows, challenger: Floats, champion: Floats | None = None) -> Evidence:
        """The evidence of these rows."""
        return cls(rows, group_codes(rows.columns.keys), challenger, champion)

    def paired(self, loss: Loss) -> Paired | None:
        """Both models' losses; None where there is no champion, or one that is not finite on every row."""
        if self.champion is None or not np.isfinite(self.champion).all():
            return None
        target = self.rows.target
        return Paired(loss.of(self.challenger, target), loss.of(self.champion, target), self.groups)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, its reason in words and figures, and every check with its own."""

    decision: Decision
    reason: str
    checks: tuple[Check, ...] = ()

    def of(self, status: Status) -> list[str]:
        """The names of the checks that ended so."""
        return [check.name for check in self.checks if check.status is status]

    def listed(self) -> list[dict[str, Any]]:
        """The checks as plain values, for the registry."""
        return [asdict(check) for check in self.checks]


def judge(
    fresh: Evidence,
    manifest: dict[str, Any],
    settings: TrainerSettings,
    *,
    history: Evidence | None = None,
    champion_version: str = "",
    latency_ms: float | None = None,
    predict: Predict | None = None,
) -> Verdict:
    """Promote, reject or ask, on n fresh test rows and rows of history held back; `manifest` is the challenger's.

    Without a champion, beating the mean of the training targets (and the framing's reference) is enough. `predict` is
    the challenger itself, for what the framing wants to see it do.
    """
    count = len(fresh.rows)
    if count < MIN_TEST_ROWS:
        return Verdict(Decision.REJECT, f"only {count} fresh test rows, {MIN_TEST_ROWS} are needed")
    if (answers := sanity.finite(fresh.challenger)).status is Status.FAILED:
        return Verdict(Decision.REJECT, answers.detail, (answers,))
    asked = framing.from_manifest(manifest["framing"]) if manifest.get("framing") else None
    loss = LOSSES[asked.success.metric if asked else "rmse"]
    checks = [answers, *_alone(fresh, manifest, asked, loss, predict), *_servable(manifest, settings, latency_ms)]
    checks += _against(fresh, history, settings, loss, champion_version)
    return _decided(checks, settings)


def _decided(checks: list[Check], settings: TrainerSettings) -> Verdict:
    """Whatever the decision, both errors are told first: they are what a reader looks for."""
    named = {check.name: check for check in checks}
    compared, mean = named["fresh rows"], named["training mean"]
    leading = [compared] if compared.status is not Status.INSUFFICIENT else [compared, mean]
    reason = "; ".join(check.detail for check in leading)
    others = [check for check in checks if check not in leading]
    failed, warned = (
        "".join(f"; {check.name}: {check.detail}" for check in others if check.status is status)
        for status in (Status.FAILED, Status.WARNED)
    )
    if any(check.status is Status.FAILED for check in checks):
        return Verdict(Decision.REJECT, reason + failed, tuple(checks))
    reason += f"; warned{warned.removeprefix(';')}" if warned else ""
    if settings.approval == "manual":
        return Verdict(Decision.ASK, f"passed, waits for approval: {reason}", tuple(checks))
    return Verdict(Decision.PROMOTE, reason, tuple(checks))


def _alone(
    fresh: Evidence, manifest: dict[str, Any], asked: framing.Framing | None, loss: Loss, predict: Predict | None
) -> Iterator[Check]:
    """What needs no champion."""
    rows, groups, baseline = fresh.rows, fresh.groups, manifest["baseline"]["prediction"]
    yield sanity.beats_mean(fresh.challenger, rows.target, groups, baseline, loss)
    yield sanity.learned(manifest["baseline"].get("out_of_fold"))
    yield sanity.plausible(fresh.challenger, manifest["baseline"].get("target_range"))
    yield sanity.quality(manifest.get("dataset", {}).get("quality"))
    if asked is None:
        return
    yield from sanity.beats_reference(rows, fresh.challenger, groups, asked, baseline=baseline, loss=loss)
    yield from sanity.assumptions(manifest["framing"])
    if predict is not None:
        yield from (sanity.invariant(rows.columns, predict, fresh.challenger, each) for each in asked.invariants)


def _servable(manifest: dict[str, Any], settings: TrainerSettings, latency_ms: float | None) -> Iterator[Check]:
    size = manifest["files"]["model.onnx"]["bytes"]
    yield sanity.latency(latency_ms, settings.max_latency_ms, f"a file of {size / 1e6:,.3g} MB")
    yield sanity.size(size, settings.max_model_mb)
    parity = manifest.get("parity", {})
    status = graded(parity["servable"]) if "servable" in parity else Status.INSUFFICIENT
    yield Check("parity", status, "ONNX against scikit-learn, required before the version was registered")


def _against(
    fresh: Evidence, history: Evidence | None, settings: TrainerSettings, loss: Loss, version: str
) -> Iterator[Check]:
    """What needs a champion; without one these checks are insufficient, and none fails."""
    pairs = fresh.paired(loss)
    if pairs is None:
        missing = f"the champion {version} is not finite on some test rows"
        if fresh.champion is None:
            missing = "no champion to compare with"
        yield Check("fresh rows", Status.INSUFFICIENT, missing)
        return
    yield _compared(pairs, settings, loss, version)
    parts = segments(fresh.rows)
    yield _segments(worse_segments(pairs, parts.tested, loss, settings.segment_margin), parts, loss, settings)
    yield _forgotten(pairs, history, settings, loss)


def _compared(pairs: Paired, settings: TrainerSettings, loss: Loss, version: str) -> Check:
    after, before, interval = loss.figure(pairs.challenger), loss.figure(pairs.champion), pairs.interval()
    told = f"{loss.name} {after:,.6g} against {before:,.6g} of champion {version} on the same {len(pairs.groups)} "
    told += "fresh test rows: "
    figures = {"challenger": after, "champion": before, "interval": list(interval)}
    if pairs.identical():
        return Check("fresh rows", Status.PASSED, f"{told}the same predictions, nothing to lose", figures)
    if settings.evidence == "not_worse":
        held = pairs.worst(loss.allowed(settings.margin)) <= 0
        told += f"{'is not worse' if held else 'may be worse'} by more than {settings.margin:.1%}"
    else:
        held = pairs.worst(loss.allowed(-settings.margin)) < 0
        told += f"{'is better' if held else 'is not shown to be better'} by more than {settings.margin:.1%}"
    change = "squared" if loss.power == 2 else "absolute"
    told += f" (95 % interval of the {change} error's change {interval[0]:,.4g} … {interval[1]:,.4g})"
    return Check("fresh rows", graded(held), told, figures)


def _segments(found: list[SegmentResult], parts: Segments, loss: Loss, settings: TrainerSettings) -> Check:
    worse = sorted((each for each in found if each.worse), key=lambda each: each.p_value)
    named = [
        f"{each.name} ({each.rows} rows, {loss.name} {each.challenger:,.6g} against {each.champion:,.6g}, "
        f"{each.challenger / each.champion - 1:+.1%})"
        for each in worse
    ]
    figures = {"tested": [asdict(each) for each in found], "margin": settings.segment_margin, **parts.told()}
    told = f"{len(found)} segments of at least {MIN_ROWS} rows tested, {parts.insufficient_count} insufficient"
    told += f", {parts.left_out} more left out" if parts.left_out else ""
    if not found:
        return Check("segments", Status.INSUFFICIENT, told, figures)
    if worse:
        told = f"worse by more than {settings.segment_margin:.0%} on {', '.join(named)}; {told}"
    return Check("segments", graded(not worse), told, figures)


def _forgotten(pairs: Paired, history: Evidence | None, settings: TrainerSettings, loss: Loss) -> Check:
    """Worse on held-back history by more than a margin: forgetting, unless the world it describes is gone."""
    past = None if history is None or len(history.rows) < MIN_ROWS else history.paired(loss)
    if past is None:
        return Check("history", Status.INSUFFICIENT, f"fewer than {MIN_ROWS} comparable rows of history held back")
    after, before = loss.figure(past.challenger), loss.figure(past.champion)
    rows = len(past.groups)
    (whole,) = worse_segments(past, [Segment("history", np.arange(rows))], loss, settings.forgetting_margin)
    changed = world_changed(pairs.champion, pairs.groups, past.champion, past.groups)
    told = f"{loss.name} {after:,.6g} against {before:,.6g} of the champion on {rows} held-back rows of history"
    if not whole.worse:
        return Check("history", Status.PASSED, told, {"challenger": after, "champion": before})
    told += f": worse by more than {settings.forgetting_margin:.0%}"
    told += ", but the champion's own error has grown since: the world it describes is gone" if changed else ""
    status = Status.WARNED if changed else Status.FAILED
    return Check("history", status, told, {"challenger": after, "champion": before, "world_changed": changed})
