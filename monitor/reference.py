"""The library's face: fit a reference on any DataFrame, compare others with it. No Kafka, no files, no clock.

The stream's path uses the same profile and the same tests on counts (`longshore.monitor.panes`, `.decide`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from longshore.errors import DataError
from longshore.monitor.binning import bin_column, encode, fixed_sums, profile_stream
from longshore.monitor.calibration import calibrate
from longshore.monitor.frames import read_as, read_columns
from longshore.monitor.layout import Layout
from longshore.monitor.report import Report, report_counts, with_samples
from longshore.profile import Floats, Profile
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
        self._layout = Layout.of_profile(profile)

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
        report = report_counts(self.profile, self._layout, np.concatenate(counts), np.concatenate(sums), alpha)
        numbers = [column for column in columns if column.kind is Kind.NUMERIC]
        samples = [(c.name, self._values[c.name], c.values[~np.isnan(c.values)]) for c in numbers]
        return with_samples(report, self.profile, samples)


def build_profile(frame: pd.DataFrame, categorical: Sequence[str]) -> bytes:
    """A reference profile's bytes for the registry: `frame` holds the features and a column `prediction`."""
    return Reference.fit(frame, categorical).profile.to_bytes()
