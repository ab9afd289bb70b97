"""A stream of steps: each is judged with the ones before it, at several scales, by a limit with a stated run length.

Pure arithmetic on the tests' counts. What a step is (panes, or rows) and what an alert does are others' decisions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from longshore.errors import ConfigurationError
from longshore.monitor.calibration import scales_for
from longshore.monitor.layout import Layout
from longshore.monitor.run_lengths import limit_for, rules_of, run_length_of
from longshore.monitor.significance import Judgement, judge
from longshore.profile import Calibration, Floats, Ints


@dataclass(frozen=True, slots=True)
class Alarm:
    """How sure an alert has to be.

    Attributes:
        needed: so many …
        among: … of the last so many steps must be over the limit.
        run_length: mean number of records between alerts when nothing drifts.
        alpha: the limit itself, in place of `run_length`; None: from `run_length`.

    """

    needed: int = 1
    among: int = 1
    run_length: float = 1_000_000
    alpha: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a step and the ones before it show.

    Attributes:
        judged: p-values the smallest over the scales, alerts of any; distances of the step by itself.
        alone: float64[streams], the adjusted p-values of the step by itself.
        by_scale: the smallest adjusted p-value by scale (in steps).
        limit: what p-values are compared with.
        run_length: mean number of records between alerts that the limit stands for.

    """

    judged: Judgement
    alone: Floats
    by_scale: dict[int, float]
    limit: float
    run_length: float


class Sequence:
    """The last steps of a stream, int64[tests.total] counts each, judged together."""

    def __init__(
        self, layout: Layout, calibration: Calibration, reference: Ints, alarm: Alarm, steps: Iterable[Ints] = ()
    ) -> None:
        self._layout = layout
        self._calibration = calibration
        self._reference = reference
        self._alarm = alarm
        self._rows = int(reference[: layout.sizes[0]].sum())
        self.steps: deque[Ints] = deque(steps, maxlen=int(calibration.scales.max()))
        rules = rules_of(calibration)
        if (alarm.needed, alarm.among) not in rules:
            raise ConfigurationError(
                f"monitor.persistence is [{alarm.needed}, {alarm.among}], for which no error rate was simulated",
                mend="use one of " + ", ".join(f"[{needed}, {among}]" for needed, among in rules),
            )

    def add(self, counts: Ints) -> Evidence:
        """Judge the stream with its next step."""
        self.steps.append(counts)
        layout = self._layout
        rows = np.cumsum([int(step[: layout.sizes[0]].sum()) for step in reversed(self.steps)])
        mean = float(rows[-1] / len(rows))
        rule = (self._alarm.needed, self._alarm.among)
        scales = self._scales(mean)
        limit = self._alarm.alpha or limit_for(self._calibration, rule, len(scales), mean, self._alarm.run_length)
        by_scale: dict[int, Judgement] = {}
        window, taken = np.zeros_like(counts), 0
        for scale in (scale for scale in scales if scale <= len(rows)):
            for back in range(taken, scale):
                window = window + self.steps[-1 - back]
            taken = scale
            by_scale[scale] = judge(layout, self._calibration, self._reference, window, limit)
        return Evidence(
            judged=Judgement(
                p_values=np.min([judged.p_values for judged in by_scale.values()], axis=0),
                single=np.minimum(1.0, len(by_scale) * np.min([judged.single for judged in by_scale.values()], axis=0)),
                rank_distance=by_scale[1].rank_distance,
                outside=by_scale[1].outside,
                alerts=np.any([judged.alerts for judged in by_scale.values()], axis=0),
            ),
            alone=by_scale[1].p_values,
            by_scale={scale: judged.p_value for scale, judged in by_scale.items()},
            limit=limit,
            run_length=run_length_of(self._calibration, rule, len(scales), mean, limit),
        )

    def _scales(self, step: float) -> list[int]:
        wanted = {int(scale) for scale in self._calibration.scales}
        return [scale for scale in scales_for(step, self._rows) if scale in wanted]
