"""A stream's distances as they are shown: each with what is usual, the floor and the user's own limit."""

from __future__ import annotations

from longshore.monitor.pages.contents import Reading
from longshore.monitor.pages.history import values_of
from longshore.monitor.pages.wording import METRICS
from longshore.records import Moved


def readings_of(
    stream: Moved, usual: dict[str, tuple[float, float, float]], thresholds: dict[str, float]
) -> list[Reading]:
    """Every metric of a stream; `usual` by metric, `thresholds` as the event has them."""
    values = values_of(stream)
    titles = {**METRICS, "wasserstein": wasserstein_title(stream.kind, stream.wasserstein_sigma)}
    prefix = f"{stream.name}."
    own = {key.removeprefix(prefix): limit for key, limit in thresholds.items() if key.startswith(prefix)}
    return [
        Reading(
            metric,
            titles[metric],
            values[metric],
            usual.get(metric),
            thresholds.get("js_floor") if metric == "js" else None,
            fixed_limit(thresholds | own, metric, sigma=stream.wasserstein_sigma is not None),
        )
        for metric in METRICS
    ]


def fixed_limit(limits: dict[str, float], metric: str, *, sigma: bool) -> float | None:
    """The user's own limit on a metric, by the metric's name, in the unit it is shown in."""
    return limits.get("wasserstein_sigma" if metric == "wasserstein" and sigma else metric)


def wasserstein_title(kind: str, sigma: float | None) -> str:
    """The unit the Wasserstein distance is shown in."""
    return "Wasserstein, σ" if sigma is not None else "Total variation" if kind == "nominal" else "Wasserstein"
