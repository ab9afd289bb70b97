"""The reference profile of a model version: what its training rows looked like, and how far chance may move them.

Plain data with versioned bytes. How bins are chosen, how the calibration is simulated and how a window is compared are
`longshore.monitor`'s decisions; storing the bytes beside the model is `longshore.registry`'s work.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from longshore.error_profile import ErrorProfile, read_errors
from longshore.errors import FormatError
from longshore.reference_rows import ReferenceRows
from longshore.schema import Kind

FORMAT = 2
"""Version of the bytes: raised when an older program could not read them rightly."""

DEFINITIONS = 2
"""Version of the drift definitions (docs/drift.md) that the numbers follow."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class StreamProfile:
    """One stream of the reference: a feature or the prediction.

    Attributes:
        name: the column's name.
        kind: numeric or nominal.
        edges: float64[e], ascending upper edges of the fine bins (a value equal to one is below it); nominal: empty.
        coarse: int64[bins], the decile bin of every fine bin; the missing bin has one of its own. Nominal: 0…bins−1.
        ranks: int64[bins], the same for twentieths, and what is outside all of the reference. Nominal: 0…bins−1.
        categories: the nominal stream's categories, largest reference share first; numeric: empty.
        counts: int64[bins]; numeric: e+1 value bins, *missing*; nominal: categories, *unseen*, *missing*.
        sums: int64[bins], Σ round(value · scale) of each bin; nominal: zeros.
        scale: the power of two of the fixed-point sums.
        mean: of the values that are not missing (0 where there are none).
        std: their population standard deviation (ddof = 0), in the stream's unit; 0 where there are none.

    """

    name: str
    kind: Kind
    edges: Floats
    coarse: Ints
    ranks: Ints
    categories: tuple[str, ...]
    counts: Ints
    sums: Ints
    scale: float
    mean: float
    std: float


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """How the tests' statistics behave when nothing drifts, from simulation on the reference's rows.

    Attributes:
        sizes: float64[g], the simulated window sizes in records, ascending; between them in log n.
        shares_scale: float64[g, streams], the factor c of G ~ c·χ²(df).
        shares_df: float64[g, streams], its degrees of freedom.
        rank_scale: float64[g, streams], a of the rank distance's tail: quantile(p) = b + a·z(p/2).
        rank_shift: float64[g, streams], b of the same.
        levels: float64[l], descending from 1: shares of undrifted windows.
        family: float64[g, l], the p-value which that share's smallest single p-value stays at or below.
        tests: the number of tests of a window: the bound of the family's size further out than was simulated.
        scales: int64[k], the windows of a stream in steps; one larger than a quarter of the reference is left out.
        steps: float64[s], the simulated sizes of a step in records, ascending.
        rules: int64[r, 2], as "so many of so many steps must be over the limit before an alert".
        runs: float64[t], mean run lengths between alerts, in steps, ascending.
        limits: float64[r, k, s, t], the adjusted p-value, smallest over the first k scales, that gives each run length.
        repeats: simulated reference samples.
        rows: rows the simulation drew from.
        metrics: names of the distances of `usual`.
        usual_levels: float64[q], the probabilities of `usual`.
        usual: float64[g', streams, metrics, q], quantiles of the distances without drift, by `usual_sizes`.
        usual_sizes: float64[g'].

    """

    sizes: Floats
    shares_scale: Floats
    shares_df: Floats
    rank_scale: Floats
    rank_shift: Floats
    levels: Floats
    family: Floats
    tests: int
    scales: Ints
    steps: Floats
    rules: Ints
    runs: Floats
    limits: Floats
    repeats: int
    rows: int
    metrics: tuple[str, ...]
    usual_levels: Floats
    usual: Floats
    usual_sizes: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """A way to cut the rows into segments: a nominal stream's categories, or cells of a map of two numeric streams.

    Attributes:
        name: the stream's name, or "map".
        streams: the one or two streams that make it.
        labels: the segments' names, S of them.
        across: ascending upper edges of the map's strips, by the first stream; () for categories.
        ups: for each strip the upper edges of its cells, by the second stream; () for categories.
        counts: int64[S, C], the reference's decile counts of all streams side by side, by segment.

    """

    name: str
    streams: tuple[str, ...]
    labels: tuple[str, ...]
    across: tuple[float, ...]
    ups: tuple[tuple[float, ...], ...]
    counts: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A reference of `rows` rows: its streams in column order, their tests' calibration, segments, perhaps a sample.

    `errors`: how far the version was off on held-out rows; None in profiles from before there was that.
    `target`: the labels of its rows as a stream of their own; None likewise.
    """

    rows: int
    streams: tuple[StreamProfile, ...]
    calibration: Calibration
    segmentations: tuple[Segmentation, ...] = ()
    sample: ReferenceRows | None = None
    errors: ErrorProfile | None = None
    target: StreamProfile | None = None

    @property
    def counts(self) -> Ints:
        """The fine counts of all streams side by side, int64[T]."""
        return np.concatenate([stream.counts for stream in self.streams])

    def to_bytes(self) -> bytes:
        """Versioned JSON; the same profile gives the same bytes."""
        value = {
            "format": FORMAT,
            "definitions": DEFINITIONS,
            "rows": self.rows,
            "streams": [_plain(stream) for stream in self.streams],
            "calibration": _plain(self.calibration),
            "segmentations": [_plain(segmentation) for segmentation in self.segmentations],
        }
        if self.sample is not None:
            value["sample"] = self.sample.to_dict()
        if self.errors is not None:
            value["errors"] = _plain(self.errors)
        if self.target is not None:
            value["target"] = _plain(self.target)
        return msgspec.json.encode(value, enc_hook=_listed)

    @classmethod
    def from_bytes(cls, data: bytes) -> Profile:
        """Read `to_bytes`'s result.

        Raises:
            FormatError: the bytes are damaged, or of a format newer than this program.

        """
        try:
            value = msgspec.json.decode(data)
            _check_format(value)
            if value["format"] == 1:
                value = _from_format_1(value)
            streams = tuple(_stream(item) for item in value["streams"])
            return cls(
                rows=int(value["rows"]),
                streams=streams,
                calibration=_calibration(value["calibration"]),
                segmentations=tuple(_segmentation(item) for item in value.get("segmentations", [])),
                sample=_sample(value.get("sample"), streams),
                errors=read_errors(value.get("errors")),
                target=_stream(value["target"]) if value.get("target") else None,
            )
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise FormatError(f"profile is damaged: {error!r}", mend="register the version again") from error


def _check_format(value: dict[str, Any]) -> None:
    found = value["format"]
    if found not in (1, FORMAT):
        raise FormatError(
            f"profile has format {found}, this program reads 1 to {FORMAT}",
            mend="upgrade longshore, or train a new version",
        )


def _from_format_1(value: dict[str, Any]) -> dict[str, Any]:
    """The first format tested on fine bins, kept the family's size in place of its quantiles, and had no run lengths.

    Without a simulation a limit is that of independent steps: so many in a row are as rare as the limit's power.
    """
    old = value["calibration"]
    streams = [stream | {"ranks": list(range(len(stream["coarse"])))} for stream in value["streams"]]
    levels = np.array([1.0, 0.5, 0.1, 0.01])
    family = [(-np.expm1(np.log1p(-np.minimum(levels, 1 - 1e-9)) / size)).tolist() for size in old["family"]]
    runs = np.geomspace(4, 4e6, 25)
    rules = [[1, 1], [2, 2], [2, 3], [2, 4], [3, 4], [3, 5]]
    limits = [[[(comb(among - 1, needed - 1) * runs) ** (-1.0 / needed)]] for needed, among in rules]
    calibration = old | {
        "levels": levels,
        "family": family,
        "scales": [1],
        "steps": [float(old["sizes"][0])],
        "rules": rules,
        "runs": runs,
        "limits": limits,
        "metrics": [],
        "usual_levels": [],
        "usual": np.zeros((1, len(streams), 0, 0)),
        "usual_sizes": [1.0],
    }
    return value | {"streams": streams, "calibration": calibration}


def _plain(value: StreamProfile | Calibration | Segmentation | ErrorProfile) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"a profile cannot hold {type(value).__name__}")


def _stream(value: dict[str, Any]) -> StreamProfile:
    return StreamProfile(
        name=value["name"],
        kind=Kind(value["kind"]),
        edges=np.array(value["edges"], dtype=np.float64),
        coarse=np.array(value["coarse"], dtype=np.int64),
        ranks=np.array(value["ranks"], dtype=np.int64),
        categories=tuple(value["categories"]),
        counts=np.array(value["counts"], dtype=np.int64),
        sums=np.array(value["sums"], dtype=np.int64),
        scale=float(value["scale"]),
        mean=float(value["mean"]),
        std=float(value["std"]),
    )


def _sample(value: dict[str, Any] | None, streams: tuple[StreamProfile, ...]) -> ReferenceRows | None:
    numeric = sum(stream.kind is Kind.NUMERIC for stream in streams)
    return ReferenceRows.from_dict(value, numeric, len(streams) - numeric) if value else None


def _segmentation(value: dict[str, Any]) -> Segmentation:
    counts = np.array(value["counts"], dtype=np.int64)
    return Segmentation(
        name=value["name"],
        streams=tuple(value["streams"]),
        labels=tuple(value["labels"]),
        across=tuple(value["across"]),
        ups=tuple(tuple(up) for up in value["ups"]),
        counts=counts.reshape(len(value["labels"]), -1),
    )


def _calibration(value: dict[str, Any]) -> Calibration:
    given: dict[str, Any] = {
        name: np.array(value[name], dtype=np.float64) for name in Calibration.__slots__ if name != "metrics"
    }
    given |= {name: int(value[name]) for name in ("tests", "repeats", "rows")}
    given |= {name: np.array(value[name], dtype=np.int64) for name in ("scales", "rules")}
    sizes, metrics, levels = len(value["usual_sizes"]), len(value["metrics"]), len(value["usual_levels"])
    streams = len(value["shares_df"][0])
    given["usual"] = given["usual"].reshape(sizes, streams, metrics, levels)
    return Calibration(**given, metrics=tuple(value["metrics"]))
