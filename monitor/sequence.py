"""A stream of steps: each is judged with the ones before it, at several scales, by a limit with a stated run length.

Pure arithmetic on the tests' counts. What a step is (panes, or rows) and what an alert does are others' decisions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from longshore.errors import ConfigurationError
from longshore.monitor.calibration import scales_for
from longshore.monitor.layout import Layout
from longshore.monitor.run_lengths import limit_for, run_length_of
from longshore.monitor.significance import judge
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
        p_values: float64[streams], adjusted for the family, the smallest over the scales.
        alone: float64[streams], the adjusted ones of the step by itself.
        own: float64[streams], each stream's own p-value, the smallest over the scales.
        alerts: bool[streams], which are over the limit, and their effect above the floor.
        by_scale: the smallest adjusted p-value by scale (in steps).
        limit: what `p_values` are compared with.
        run_length: mean number of records between alerts that the limit stands for.

    """

    p_values: Floats
    alone: Floats
    own: Floats
    alerts: npt.NDArray[np.bool_]
    by_scale: dict[int, float]
    limit: float
    run_length: float

    @property
    def over(self) -> bool:
        """Whether any stream is over the limit."""
        return bool(self.alerts.any())

    @property
    def p_value(self) -> float:
        """The smallest adjusted p-value."""
        return float(self.p_values.min())


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
        try:
            limit_for(calibration, (alarm.needed, alarm.among), 1, 100, alarm.run_length)
        except KeyError as error:
            known = ", ".join(f"[{needed}, {among}]" for needed, among in calibration.rules.tolist())
            raise ConfigurationError(
                f"monitor.persistence is [{alarm.needed}, {alarm.among}], for which no error rate was simulated",
                mend=f"use one of {known}",
            ) from error

    def add(self, counts: Ints) -> Evidence:
        """Judge the stream with its next step."""
        self.steps.append(counts)
        layout = self._layout
        rows = np.cumsum([int(step[: layout.sizes[0]].sum()) for step in reversed(self.steps)])
        mean = float(rows[-1] / len(rows))
        rule = (self._alarm.needed, self._alarm.among)
        scales = self._scales(mean)
        limit = self._alarm.alpha or limit_for(self._calibration, rule, len(scales), mean, self._alarm.run_length)
        streams = len(layout.sizes)
        p_values, own, alerts = np.ones(streams), np.ones(streams), np.zeros(streams, dtype=np.bool_)
        alone = p_values
        by_scale: dict[int, float] = {}
        window, taken = np.zeros_like(counts), 0
        for scale in (scale for scale in scales if scale <= len(rows)):
            for back in range(taken, scale):
                window = window + self.steps[-1 - back]
            taken = scale
            judged = judge(layout, self._calibration, self._reference, window, limit)
            p_values, own = np.minimum(p_values, judged.p_values), np.minimum(own, judged.single)
            alerts |= judged.alerts
            alone = judged.p_values if scale == 1 else alone
            by_scale[scale] = judged.p_value
        stated = run_length_of(self._calibration, rule, len(scales), mean, limit)
        return Evidence(p_values, alone, own, alerts, by_scale, limit, stated)

    def _scales(self, step: float) -> list[int]:
        wanted = {int(scale) for scale in self._calibration.scales}
        return [scale for scale in scales_for(step, self._rows) if scale in wanted]
