"""The library's face: fit a reference on any DataFrame, compare others with it. No Kafka, no files, no clock.

The stream's path uses the same profile and the same tests on counts (`longshore.monitor.panes`, `.decide`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Names
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from longshore.errors import ConfigurationError, DataError
from longshore.monitor.binning import bin_column, count_columns, encode, profile_stream
from longshore.monitor.calibration import calibrate
from longshore.monitor.derived import Ratios, with_ratios
from longshore.monitor.frames import Column, read_as, read_columns
from longshore.monitor.joint import Rows, judge_together
from longshore.monitor.label_bins import target_stream
from longshore.monitor.layout import FineLayout, side_by_side
from longshore.monitor.loss_limits import error_profile
from longshore.monitor.models import PREDICTION
from longshore.monitor.report import FAMILIES, Report, report_counts, with_joint, with_samples
from longshore.monitor.sample import narrow, row_bytes, shape_of
from longshore.monitor.segments import places, reference_segments, window_segments
from longshore.monitor.sequence import Alarm, Sequence
from longshore.profile import Floats, Ints, Profile
from longshore.reference_rows import ReferenceRows
from longshore.schema import Derived, Kind

SAMPLED, SAMPLE_BYTES = 1_000, 98_304
"""Rows of a profile's sample, and what they may take: a third more as text."""


class Reference:
    """A reference sample: its frozen bins, the calibration of its tests, and its values for exact distances.

    `rows`, up to 5,000 of them, are for the joint test; a reference that has none can do all but that.

    >>> reference = Reference.fit(train, categorical=["region"])      # doctest: +SKIP
    >>> report = reference.compare(today)                             # doctest: +SKIP
    >>> report.alert, [stream.name for stream in report.streams[:3]]  # doctest: +SKIP
    """

    def __init__(
        self, profile: Profile, values: Mapping[str, Floats], derived: Ratios, rows: Rows | None = None, seed: int = 0
    ) -> None:
        self.profile = profile
        self._rows = rows
        self._seed = seed
        self._values = values
        self._derived = derived
        self.layout = FineLayout.of_profile(profile)

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        categorical: Iterable[str] = (),
        *,
        derived: Ratios | None = None,
        place: tuple[str, str] | None = None,
        seed: int = 0,
    ) -> Reference:
        """Choose bins on `frame` and calibrate by simulation on its rows (seconds for 20,000 rows of 10 columns).

        `categorical` names columns that are nominal although they hold numbers; text, booleans and pandas categories
        are nominal by themselves. Nulls and infinities are missing values, which have a bin. `derived` names ratios of
        numeric columns to watch beside them, as `{"people_per_car": ("people", "cars")}`: they are computed, here and
        of every frame compared, and are missing where either column is or the denominator is 0. `place` names the two
        columns that are east and north on a map: besides categories, its cells are segments to find a drift in.

        Raises:
            DataError: no rows, no columns, a column twice, an unknown name in `categorical`, a ratio with the name of
                a column or of what is no numeric column, a `place` that is not two numeric columns.

        """
        columns = with_ratios(read_columns(frame, categorical), derived or {})
        coded = [encode(column) for column in columns]
        streams = tuple(profile_stream(column, code) for column, code in zip(columns, coded, strict=True))
        profile = Profile(rows=len(frame), streams=streams, calibration=calibrate(coded, len(frame), seed=seed))
        profile = replace(profile, segmentations=reference_segments(profile, columns, place))
        values = {c.name: np.sort(c.values[~np.isnan(c.values)]) for c in columns if c.kind is Kind.NUMERIC}
        return cls(profile, values, dict(derived or {}), Rows.of(columns, seed), seed)

    @property
    def names(self) -> list[str]:
        """The columns, in the order they were fitted."""
        return [stream.name for stream in self.profile.streams]

    def with_rows(self) -> Profile:
        """The profile with a sample of the rows it was fitted on, for the stream's test of whole rows.

        Raises:
            DataError: this reference has no rows.

        """
        if self._rows is None:
            raise DataError("this reference is a profile alone", mend="make it with Reference.fit from the rows")
        streams, columns = self.profile.streams, self._rows.columns
        most = min(SAMPLED, SAMPLE_BYTES // row_bytes(shape_of(self.profile)))
        random = np.random.default_rng([self._seed, self._rows.count])
        chosen = np.sort(random.permutation(self._rows.count)[:most])
        parts = [(stream, column.values[chosen]) for stream, column in zip(streams, columns, strict=True)]
        numbers = [values for stream, values in parts if stream.kind is Kind.NUMERIC]
        codes = [bin_column(stream, values) for stream, values in parts if stream.kind is Kind.NOMINAL]
        return replace(
            self.profile,
            sample=ReferenceRows(
                narrow(np.stack(numbers, axis=1) if numbers else np.zeros((len(chosen), 0))),
                (np.stack(codes, axis=1) if codes else np.zeros((len(chosen), 0))).astype(np.uint16),
            ),
        )

    def watch(self, *, run_length: float = 100_000, step: int = 100, persistence: tuple[int, int] = (1, 1)) -> Watch:
        """Watch rows as they come: an alert after a mean of `run_length` rows when nothing drifts.

        Every `step` rows the last 1, 4 and 16 steps are judged; `persistence` says how many of how many steps must be
        over the limit.

        Raises:
            ConfigurationError: a persistence that was not simulated, a step or a run length that cannot be.

        """
        if not isinstance(step, int) or step < 1:
            raise ConfigurationError(f"step is {step}", mend="give a whole number of rows, at least 1")
        if not run_length > 0 or len(persistence) != 2:
            what = f"run_length is {run_length}, persistence {persistence}"
            raise ConfigurationError(what, mend="give a positive number of rows, and two numbers as (2, 3)")
        return Watch(self, Alarm(*persistence, run_length), step)

    def test_cells(self, frame: pd.DataFrame) -> Ints:
        """Each row's place among the tests' bins of all streams side by side, int64[rows, streams].

        Raises:
            DataError: as `compare`.

        """
        bins = [bin_column(s, c.values) for s, c in zip(self.profile.streams, self._read(frame), strict=True)]
        return side_by_side([stream.ranks for stream in self.profile.streams], bins)

    def compare(self, frame: pd.DataFrame, *, alpha: float = 0.05, joint: bool = False) -> Report:
        """Compare `frame` with the reference; `alpha` is the chance of any alert at all when nothing drifted.

        `joint` asks, too, whether whole rows can be told apart (`Report.joint`, a second or two): the only test that
        sees columns which go together otherwise than before while each by itself is as it was. It takes half of alpha.

        Raises:
            DataError: no rows, columns missing or too many, text where the reference has numbers; `joint` of a
                reference that has no rows.

        """
        if not 0 < alpha < 1:
            raise DataError(f"alpha is {alpha}", mend="give a chance between 0 and 1")
        if not joint:
            return self._compare(self._read(frame), alpha)
        if self._rows is None:
            what = "columns cannot be judged together: this reference is a profile alone, without rows"
            raise DataError(what, mend="make it with Reference.fit from the rows themselves")
        columns = self._read(frame)
        current = Rows.of(columns, self._seed)
        together = judge_together(self._rows, current, alpha=alpha, tests=FAMILIES, seed=self._seed)
        return with_joint(self._compare(columns, alpha / FAMILIES), together, alpha)

    def _compare(self, columns: list[Column], alpha: float) -> Report:
        """Each stream by itself."""
        bins, counts, sums = count_columns(self.profile.streams, [column.values for column in columns])
        report = report_counts(self.profile, self.layout, counts, sums, alpha)
        report = replace(report, segments=window_segments(self.profile, columns, bins))
        numbers = [column for column in columns if column.kind is Kind.NUMERIC]
        samples = [(c.name, self._values[c.name], c.values[~np.isnan(c.values)]) for c in numbers]
        return with_samples(report, self.profile, samples)

    def _read(self, frame: pd.DataFrame) -> list[Column]:
        """A frame's columns and their ratios, in the streams' order."""
        raw = [(stream.name, stream.kind) for stream in self.profile.streams if stream.name not in self._derived]
        held = {column.name: column for column in with_ratios(read_as(frame, raw), self._derived)}
        return [held[name] for name in self.names]


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
        self._sequence = Sequence(layout.tests, profile.calibration, layout.for_tests(profile.counts), self._alarm)
        self._recent: deque[bool] = deque(maxlen=self._alarm.among)

    def _judge(self, cells: Ints) -> Seen:
        layout = self._reference.layout.tests
        judged = self._sequence.add(np.bincount(cells, minlength=layout.total)).judged
        self._rows += self._step
        self._recent.append(judged.alert)
        alert = judged.alert and sum(self._recent) >= self._alarm.needed
        if alert:
            self._begin()
        ranked = np.argsort(judged.single, kind="stable")
        over = [self._reference.names[i] for i in ranked if judged.alerts[i]]
        return Seen(self._rows, alert, judged.p_value, over)


def build_profile(
    frame: pd.DataFrame,
    categorical: Names[str],
    derived: Names[Derived] = (),
    place: tuple[str, str] | None = None,
    labels: Floats | None = None,
    *,
    with_rows: bool = False,
) -> bytes:
    """A reference profile's bytes for the registry: `frame` holds the features and a column `prediction`.

    `labels` float64[n]: the truth of its rows, each predicted by a model that was not fitted on it; the profile then
    has a part on errors, and one on the labels. `with_rows`: with a sample of its rows, for the stream's test of whole
    rows (`monitor.joint`).
    """
    ratios = {each.name: (each.numerator, each.denominator) for each in derived}
    fitted = Reference.fit(frame, categorical, derived=ratios, place=place)
    profile = fitted.with_rows() if with_rows else fitted.profile
    if labels is not None:
        columns = with_ratios(read_columns(frame, categorical), ratios)
        inside = places(profile, {column.name: column.values for column in columns}, len(frame))
        predictions = frame[PREDICTION].to_numpy(dtype=np.float64)
        errors = error_profile(profile, predictions, labels, inside)
        profile = replace(profile, errors=errors, target=target_stream(labels))
    return profile.to_bytes()
