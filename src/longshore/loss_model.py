"""A version's loss regressor as it is asked: how far a prediction will be off, |error|, before any label says so.

The contract with whoever exports one (`longshore.trainer.loss`): ONNX with one input `values` (float32 [N, k]) and one
output `expected` (float32 [N, 2]): the expected |error| where the version has support, and where it has none. What the
columns are, what is outside of the support, and how sure all of it is stands as JSON in the metadata `longshore.loss`;
the entities that the version was trained with, as points with their errors, in `longshore.points`. One thread.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import onnxruntime

from longshore.columns import Floats
from longshore.errors import FormatError
from longshore.schema import Schema
from longshore.support import Known, Look, Marks, Space

FILE = "loss.onnx"
"""Its name among a version's files; versions without it have no estimate."""

FORMAT = 1
SPEC, POINTS = "longshore.loss", "longshore.points"
UNSEEN, MISSING = -1.0, -2.0
"""Codes of categories: one that the version never saw, and none."""

BEHIND = ("prediction", "around_8", "around_32", "around_100", "distance", "novelty")
"""The last columns of `values`, behind numeric fields, ratios and codes."""

Texts = Sequence[Sequence[str | None]]


class LossSpec(msgspec.Struct, frozen=True):
    """What the columns are, and how good the regressor was on rows it was not fitted on.

    Attributes:
        numeric, ratios, nominal: fields; (numerator, denominator); fields with their categories, most frequent first.
        medians, low, high: of numeric fields, ratios and the prediction: what stands for a missing one; the range of
            the training rows.
        space: where distances are measured (`support.Space`).
        novel_from: a row more novel than this is outside of the support.
        weight: of the second output outside of it, 0 … 1; the rest is the first's.
        false_share, caught_share: of rows with support, and of rows of regions that were left out, those marked.
        spread: the standard deviation of |error| over what was expected.
        misfit, misfit_outside: of a whole region's mean |error| over what was expected, beyond chance.
        scale: the power of two of the fixed-point sums.
        mae: the mean |error| of the rows that it was fitted with; `rows` of them.

    """

    numeric: tuple[str, ...]
    ratios: tuple[tuple[str, str], ...]
    nominal: tuple[tuple[str, tuple[str, ...]], ...]
    medians: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    space_columns: tuple[str, ...]
    space_centre: tuple[float, ...]
    space_scale: tuple[float, ...]
    space_curved: bool
    novel_from: float
    weight: float
    false_share: float
    caught_share: float
    spread: float
    misfit: float
    misfit_outside: float
    scale: float
    mae: float
    rows: int
    format: int = FORMAT

    @property
    def space(self) -> Space:
        """Where distances are measured."""
        return Space(self.space_columns, self.space_centre, self.space_scale, self.space_curved)


class Fields:
    """A schema's columns, as they are taken to be asked about. `values` are float64[numeric fields + 1, n]."""

    def __init__(self, spec: LossSpec, schema: Schema) -> None:
        names, texts = [field.name for field in schema.numeric], [field.name for field in schema.nominal]
        pairs = [name for pair in spec.ratios for name in pair]
        wanted = [*spec.numeric, *pairs, *spec.space_columns]
        absent = {*wanted} - {*names} | {name for name, _ in spec.nominal} - {*texts}
        if absent:
            raise FormatError(
                f"the loss regressor wants columns the schema lacks: {sorted(absent)}",
                mend="use the schema that the version was trained on",
            )
        self._numeric = [names.index(name) for name in spec.numeric]
        self._above = [names.index(above) for above, _ in spec.ratios]
        self._below = [names.index(below) for _, below in spec.ratios]
        self._space = [names.index(name) for name in spec.space_columns]
        self._codes = [
            (texts.index(name), {text: float(i) for i, text in enumerate(known)} | {None: MISSING})
            for name, known in spec.nominal
        ]
        self._medians = np.array(spec.medians)
        self._within = spec.space

    def points(self, values: Floats) -> Floats:
        """The rows' places, float64[n, space columns]."""
        return self._within.points(values[self._space].T)

    def numbers(self, values: Floats) -> Floats:
        """Numeric fields, ratios and the prediction, float64[n, …]; not finite where they are missing."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
            ratios = values[self._above] / values[self._below]
        return np.concatenate([values[self._numeric], ratios, values[-1:]]).T

    def codes(self, texts: Texts) -> Floats:
        """Of categories, float64[n, nominal fields]."""
        found = [[known.get(text, UNSEEN) for text in texts[at]] for at, known in self._codes]
        return np.array(found, dtype=np.float64).T if found else np.empty((0, 0))

    def matrix(self, numbers: Floats, codes: Floats, look: Look) -> Any:
        """The regressor's input, float32[n, k]."""
        there = np.where(np.isfinite(numbers), numbers, self._medians)
        beside = [look.around, look.distance[:, np.newaxis], look.novelty[:, np.newaxis]]
        parts = [there[:, :-1], codes] if codes.size else [there[:, :-1]]
        with np.errstate(over="ignore"):
            return np.concatenate([*parts, there[:, -1:], *beside], axis=1).astype(np.float32)


class LossModel:
    """A loaded loss regressor. It is immutable and may be shared between threads."""

    def __init__(self, session: Any, spec: LossSpec, known: Known, schema: Schema) -> None:
        self.spec = spec
        self._session, self._known = session, known
        self._fields = Fields(spec, schema)
        self._low, self._high = np.array(spec.low), np.array(spec.high)

    @classmethod
    def load(cls, data: bytes, schema: Schema) -> LossModel:
        """From a version's file, whose sha256 the caller has checked.

        Raises:
            FormatError: it does not keep the contract above, is newer, or the schema lacks a column.

        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            held = session.get_modelmeta().custom_metadata_map
            found = msgspec.json.decode(held[SPEC])["format"]
            if found > FORMAT:
                raise FormatError(f"{FILE} has format {found}, this program reads up to {FORMAT}", mend="upgrade")
            spec = msgspec.json.decode(held[SPEC], type=LossSpec)
            flat = np.frombuffer(base64.b64decode(held[POINTS]), dtype="<f4").astype(np.float64)
            points = flat.reshape(-1, len(spec.space_columns) + 1)
        except FormatError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no base class but Exception
            raise FormatError(f"{FILE} is damaged: {error}", mend="train a new version") from error
        return cls(session, spec, Known(points[:, :-1], points[:, -1]), schema)

    def expected(self, values: Floats, texts: Texts) -> tuple[Floats, Marks]:
        """Expected |error| of n predictions, and which of them are outside of the support.

        `values`: float64[numeric fields + 1, n] in the schema's order, the predictions last; NaN is missing.
        """
        if not values.shape[1]:
            return np.empty(0), np.empty(0, dtype=np.bool_)
        numbers, codes = self._fields.numbers(values), self._fields.codes(texts)
        look = self._known.look(self._fields.points(values))
        outside = outside_of(self.spec, numbers, codes, look.novelty)
        within, without = self._session.run(["expected"], {"values": self._fields.matrix(numbers, codes, look)})[0].T
        mixed = within + self.spec.weight * (without - within)
        return np.maximum(np.where(outside, mixed, within).astype(np.float64), 0.0), outside


def outside_of(spec: LossSpec, numbers: Floats, codes: Floats, novelty: Floats) -> Marks:
    """Rows that are far from all points, beyond the training rows' range, or of a category never seen."""
    with np.errstate(invalid="ignore"):
        beyond = ((numbers < np.array(spec.low)) | (numbers > np.array(spec.high))).any(axis=1)
    return np.asarray(beyond | (novelty > spec.novel_from) | (codes == UNSEEN).any(axis=1 if codes.size else None))


def points_text(points: Floats, errors: Floats) -> str:
    """Points and their errors as the metadata holds them."""
    return base64.b64encode(np.column_stack([points, errors]).astype("<f4").tobytes()).decode("ascii")
