"""The library's face: fit a reference on any DataFrame, compare others with it. No Kafka, no files, no clock.

The stream's path uses the same profile and the same tests on counts (`longshore.monitor.panes`, `.decide`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Names
from dataclasses import dataclass

import numpy as np
import pandas as pd

from longshore.errors import DataError
from longshore.monitor.binning import bin_column, encode, fixed_sums, profile_stream
from longshore.monitor.calibration import calibrate
from longshore.monitor.frames import read_as, read_columns
from longshore.monitor.layout import FineLayout
from longshore.monitor.report import Report, report_counts, with_samples
from longshore.monitor.sequence import Alarm, Sequence
from longshore.profile import Floats, Ints, Profile
from longshore.schema import Kind


class Reference:
    """A reference sample: its frozen bins, the calibration of its tests, and its values for exact distances.

    >>> reference = Reference.fit(train, categorical=["region"])      # doctest: +SKIP
    >>> report = reference.compare(today)                             # doctest: +SKIP
    >>> report.alert, [stream.name for stream in report.streams[:3]]  # doctest: +SKIP
    """

    def __init__(self, profile: Profile, values: Mapping[str, Floats]) -> None:
        self.profile = profile
        self._values = values
        self.layout = FineLayout.of_profile(profile)

    @classmethod
    def fit(cls, frame: pd.DataFrame, categorical: Iterable[str] = (), *, seed: int = 0) -> Reference:
        """Choose bins on `frame` and calibrate by simulation on its rows (seconds for 20,000 rows of 10 columns).

        `categorical` names columns that are nominal although they hold numbers; text, booleans and pandas categories
        are nominal by themselves. Nulls and infinities are missing values, which have a bin.

        Raises:
            DataError: no rows, no columns, a column twice, an unknown name in `categorical`.

        """
        columns = read_columns(frame, categorical)
        coded = [encode(column) for column in columns]
        streams = tuple(profile_stream(column, code) for column, code in zip(columns, coded, strict=True))
        profile = Profile(rows=len(frame), streams=streams, calibration=calibrate(coded, len(frame), seed=seed))
        values = {c.name: np.sort(c.values[~np.isnan(c.values)]) for c in columns if c.kind is Kind.NUMERIC}
        return cls(profile, values)

    @property
    def names(self) -> list[str]:
        """The columns, in the order they were fitted."""
        return [stream.name for stream in self.profile.streams]

    def watch(self, *, run_length: float = 100_000, step: int = 100, persistence: tuple[int, int] = (1, 1)) -> Watch:
        """Watch rows as they come: an alert after a mean of `run_length` rows when nothing drifts.

        Every `step` rows the last 1, 4 and 16 steps are judged; `persistence` says how many of how many steps must be
        over the limit.

        Raises:
            ConfigurationError: a persistence that was not simulated.

        """
        return Watch(self, Alarm(*persistence, run_length), step)

    def test_cells(self, frame: pd.DataFrame) -> Ints:
        """Each row's place among the tests' bins of all streams side by side, int64[rows, streams].

        Raises:
            DataError: as `compare`.

        """
        columns = read_as(frame, [(stream.name, stream.kind) for stream in self.profile.streams])
        starts = self.layout.tests.starts
        parts = zip(starts, self.profile.streams, columns, strict=True)
        cells = [start + stream.ranks[bin_column(stream, column.values)] for start, stream, column in parts]
        return np.stack(cells, axis=1)

    def compare(self, frame: pd.DataFrame, *, alpha: float = 0.05) -> Report:
        """Compare `frame` with the reference; `alpha` is the chance of any alert at all when nothing drifted.

        Raises:
            DataError: no rows, columns missing or too many, text where the reference has numbers.

        """
        if not 0 < alpha < 1:
            raise DataError(f"alpha is {alpha}", mend="give a chance between 0 and 1")
        columns = read_as(frame, [(stream.name, stream.kind) for stream in self.profile.streams])
        counts, sums = [], []
        for stream, column in zip(self.profile.streams, columns, strict=True):
            bins, size = bin_column(stream, column.values), len(stream.counts)
            counts.append(np.bincount(bins, minlength=size))
            numeric = stream.kind is Kind.NUMERIC
            sums.append(fixed_sums(column.values, bins, size, stream.scale) if numeric else np.zeros(size, np.int64))
        report = report_counts(self.profile, self.layout, np.concatenate(counts), np.concatenate(sums), alpha)
        numbers = [column for column in columns if column.kind is Kind.NUMERIC]
        samples = [(c.name, self._values[c.name], c.values[~np.isnan(c.values)]) for c in numbers]
        return with_samples(report, self.profile, samples)


@dataclass(frozen=True, slots=True)
class Seen:
    """A watched stream's step: rows up to its end, whether it alerts, its p-value, the streams over the limit."""

    rows: int
    alert: bool
    p_value: float
    streams: list[str]


class Watch:
    """Judges rows step by step (`Reference.watch`); after an alert it starts anew."""

    def __init__(self, reference: Reference, alarm: Alarm, step: int) -> None:
        self._reference = reference
        self._alarm = alarm
        self._step = step
        self._rows = 0
        self._left = np.zeros((0, len(reference.profile.streams)), dtype=np.int64)
        self._begin()

    def add(self, frame: pd.DataFrame) -> list[Seen]:
        """Take in the next rows, in order; every step that they complete, judged.

        Raises:
            DataError: as `Reference.compare`.

        """
        self._left = np.concatenate([self._left, self._reference.test_cells(frame)])
        whole = len(self._left) // self._step * self._step
        steps, self._left = self._left[:whole].reshape(-1, self._step * self._left.shape[1]), self._left[whole:]
        return [self._judge(cells) for cells in steps]

    def _begin(self) -> None:
        profile, layout = self._reference.profile, self._reference.layout
        counts = layout.for_tests(np.concatenate([stream.counts for stream in profile.streams]))
        self._sequence = Sequence(layout.tests, profile.calibration, counts, self._alarm)
        self._recent: deque[bool] = deque(maxlen=self._alarm.among)

    def _judge(self, cells: Ints) -> Seen:
        layout = self._reference.layout.tests
        evidence = self._sequence.add(np.bincount(cells, minlength=layout.total))
        self._rows += self._step
        self._recent.append(evidence.over)
        alert = evidence.over and sum(self._recent) >= self._alarm.needed
        if alert:
            self._begin()
        ranked = np.argsort(evidence.own, kind="stable")
        over = [self._reference.names[i] for i in ranked if evidence.alerts[i]]
        return Seen(self._rows, alert, evidence.p_value, over)


def build_profile(frame: pd.DataFrame, categorical: Names[str]) -> bytes:
    """A reference profile's bytes for the registry: `frame` holds the features and a column `prediction`."""
    return Reference.fit(frame, categorical).profile.to_bytes()
