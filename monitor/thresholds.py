"""A user's own fixed thresholds on the plain distances, in place of the calibrated alarm for the streams they name.

Folklore's numbers (a PSI of 0.2) have no stated error rate; where somebody must use them, they apply as written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from longshore.errors import ConfigurationError
from longshore.monitor.report import Report, StreamReport, most_moved

METRICS = ("psi", "kl", "js", "wasserstein", "wasserstein_sigma", "ks", "chi_squared", "hellinger")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits by metric, for all streams and by stream; a stream's own limit on a metric goes before the general one."""

    general: Mapping[str, float]
    by_stream: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, given: Mapping[str, float], streams: Sequence[str]) -> Thresholds:
        """From keys `metric` and `stream.metric`.

        Raises:
            ConfigurationError: an unknown metric or stream, or a limit that is not positive.

        """
        general: dict[str, float] = {}
        by_stream: dict[str, dict[str, float]] = {}
        for key, limit in given.items():
            stream, _, metric = key.rpartition(".")
            if metric not in METRICS:
                raise ConfigurationError(f"threshold {key}: no such metric", mend=f"one of {', '.join(METRICS)}")
            if stream and stream not in streams:
                raise ConfigurationError(f"threshold {key}: no such stream", mend=f"one of {', '.join(streams)}")
            if not limit > 0:
                raise ConfigurationError(f"threshold {key} is {limit}", mend="give a number above 0")
            (by_stream.setdefault(stream, {}) if stream else general)[metric] = limit
        return cls(general, by_stream)

    def limits(self, stream: str) -> dict[str, float]:
        """The limits that hold for a stream; empty: the calibrated alarm does."""
        return {**self.general, **self.by_stream.get(stream, {})}

    def apply(self, report: Report) -> Report:
        """The report with the alarms of the streams that have limits decided by those alone."""
        streams = sorted((self._judged(stream) for stream in report.streams), key=most_moved)
        together = report.joint is not None and report.joint.alert
        return replace(report, streams=streams, alert=together or any(stream.alert for stream in streams))

    def _judged(self, stream: StreamReport) -> StreamReport:
        limits = self.limits(stream.name)
        if not limits:
            return stream
        crossed = [metric for metric, limit in limits.items() if (getattr(stream, metric) or 0.0) >= limit]
        return replace(stream, alert=bool(crossed), fixed=limits)
