"""The reference profile of a model version: what its training rows looked like, and how far chance may move them.

Plain data with versioned bytes. How bins are chosen, how the calibration is simulated and how a window is compared are
`longshore.monitor`'s decisions; storing the bytes beside the model is `longshore.registry`'s work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from longshore.errors import FormatError
from longshore.schema import Kind

FORMAT = 1
"""Version of the bytes: raised when an older program could not read them rightly."""

DEFINITIONS = 1
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
    categories: tuple[str, ...]
    counts: Ints
    sums: Ints
    scale: float
    mean: float
    std: float


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """How the tests' statistics behave when nothing drifts, by window size, from simulation on held-out reference rows.

    Attributes:
        sizes: float64[g], the simulated window sizes in records, ascending; between them in log n.
        shares_scale: float64[g, streams], the factor c of G ~ c·χ²(df).
        shares_df: float64[g, streams], its degrees of freedom.
        rank_scale: float64[g, streams], a of the rank distance's tail: quantile(p) = b + a·z(p/2).
        rank_shift: float64[g, streams], b of the same.
        family: float64[g], how many independent tests the smallest p-value behaves like in the simulated range.
        family_from: float64[g], the smallest single p-value for which that was observed (1 % of simulated windows).
        tests: the number of tests of a window: the bound of `family` further out.
        repeats: simulated windows per size.
        rows: rows the simulation drew from.

    """

    sizes: Floats
    shares_scale: Floats
    shares_df: Floats
    rank_scale: Floats
    rank_shift: Floats
    family: Floats
    family_from: Floats
    tests: int
    repeats: int
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A reference of `rows` rows: its streams in column order and the calibration of their tests."""

    rows: int
    streams: tuple[StreamProfile, ...]
    calibration: Calibration

    def to_bytes(self) -> bytes:
        """Versioned JSON; the same profile gives the same bytes."""
        value = {
            "format": FORMAT,
            "definitions": DEFINITIONS,
            "rows": self.rows,
            "streams": [_plain(stream) for stream in self.streams],
            "calibration": _plain(self.calibration),
        }
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
            streams = tuple(_stream(item) for item in value["streams"])
            return cls(rows=int(value["rows"]), streams=streams, calibration=_calibration(value["calibration"]))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise FormatError(f"profile is damaged: {error!r}", mend="register the version again") from error


def _check_format(value: dict[str, Any]) -> None:
    found = value["format"]
    if found != FORMAT:
        raise FormatError(
            f"profile has format {found}, this program reads {FORMAT}", mend="upgrade longshore, or train a new version"
        )


def _plain(value: StreamProfile | Calibration) -> dict[str, Any]:
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
        categories=tuple(value["categories"]),
        counts=np.array(value["counts"], dtype=np.int64),
        sums=np.array(value["sums"], dtype=np.int64),
        scale=float(value["scale"]),
        mean=float(value["mean"]),
        std=float(value["std"]),
    )


def _calibration(value: dict[str, Any]) -> Calibration:
    given: dict[str, Any] = {name: np.array(value[name], dtype=np.float64) for name in Calibration.__slots__}
    given |= {name: int(value[name]) for name in ("tests", "repeats", "rows")}
    return Calibration(**given)
