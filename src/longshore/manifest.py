"""What a manifest says to whoever serves the version: its files, the columns it needs, and answers to check it by.

A manifest is read before anything of the version is parsed, so reading it refuses everything that is not as expected.
What else a trainer writes into it (metrics, parameters, data) is not this module's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np

from longshore.columns import Columns, Floats
from longshore.registry.formats import decode
from longshore.schema import Schema

SERVING = 1
"""The contract between a version's files and whoever serves them (`longshore.served_model`); raised when it breaks."""

ONNX, JOBLIB = "model.onnx", "pipeline.joblib"
FILES = {"onnx": ONNX, "joblib": JOBLIB}
"""The file that is served, by the setting `scorer.format`."""

TOLERANCE = 1e-5
"""Relative: float32 answers of other CPUs and library versions differ in the last digit, other models in the first."""


class FileEntry(msgspec.Struct, frozen=True):
    """One file of a version."""

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, msgspec.Meta(ge=0)]


class Needs(msgspec.Struct, frozen=True):
    """What a version must find where it is served: the contract, the columns by kind, the target it predicts."""

    serving: int
    target: str
    numeric: list[str]
    nominal: list[str]


class Golden(msgspec.Struct, frozen=True):
    """Records (columns as in `Needs`; null = missing) and the predictions the version made of them when it was made."""

    numeric: list[list[float | None]]
    nominal: list[list[str | None]]
    prediction: list[float]
    tolerance: Annotated[float, msgspec.Meta(ge=0, le=0.01)]


class Level(msgspec.Struct, frozen=True):
    """How far around a prediction the truth lies at one level; None where there were too few rows to say."""

    half_width: Annotated[float, msgspec.Meta(ge=0)] | None = None


class Conformal(msgspec.Struct, frozen=True):
    """Split-conformal half-widths, in the target's unit, by level as text (`0.9`)."""

    levels: dict[str, Level] = {}


class Manifest(msgspec.Struct, frozen=True):
    """The part of a manifest that serving needs. Versions of older programs lack what has a default."""

    version: str
    files: dict[str, FileEntry]
    model: str = ""
    needs: Needs | None = None
    golden: Golden | None = None
    conformal: Conformal | None = None

    def half_width(self, level: float | None) -> float | None:
        """At a level; None where none is asked for or the manifest has none."""
        if level is None or self.conformal is None:
            return None
        return self.conformal.levels.get(f"{level:g}", Level()).half_width


@dataclass(frozen=True, slots=True)
class Stated:
    """A manifest as it was found: its meaning, the whole document (that is what is signed) and detached signatures."""

    manifest: Manifest
    document: dict[str, Any]
    signatures: tuple[Any, ...] = ()


def read(data: bytes, where: str, signatures: tuple[Any, ...] = ()) -> Stated:
    """A manifest from its bytes.

    Raises:
        FormatError: it is damaged, or a newer program wrote it.

    """
    return Stated(decode(data, Manifest, where), decode(data, dict[str, Any], where), signatures)


def golden_columns(golden: Golden, needs: Needs, schema: Schema) -> Columns:
    """The golden records as columns of a schema that has what the version needs; whatever else it has is missing."""
    count = len(golden.prediction)
    numeric = np.full((count, len(schema.numeric)), np.nan)
    places = [field.name for field in schema.numeric]
    for name, values in zip(needs.numeric, golden.numeric, strict=True):
        numeric[:, places.index(name)] = [np.nan if value is None else value for value in values]
    words = dict(zip(needs.nominal, golden.nominal, strict=True))
    empty: list[str | None] = [None] * count
    return as_columns(schema, numeric, [words.get(field.name, empty) for field in schema.nominal])


def as_columns(schema: Schema, numeric: Floats, nominal: list[list[str | None]]) -> Columns:
    """Features without records around them: every row is called after its number."""
    names = [str(i) for i in range(len(numeric))]
    return Columns(schema, names, names, np.zeros(len(numeric), dtype=np.int64), numeric, nominal)


def deviation(answers: Floats, golden: Golden) -> float:
    """The largest relative difference between a model's answers and the golden ones."""
    expected = np.array(golden.prediction)
    if answers.shape != expected.shape or not np.isfinite(answers).all():
        return float("inf")
    apart = np.abs(answers - expected)
    scale = np.maximum(np.abs(expected), np.finfo(np.float32).tiny)
    return float((apart / scale).max(initial=0.0))
