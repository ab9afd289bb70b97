"""A batch of records to predictions and rejects: columns in, columns out. Pure: no Kafka, clock or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from longshore.codec import Codec, Decoded, Reason, Reject
from longshore.columns import Columns, Floats
from longshore.profile import Ints

MOST_TOLD = 300
"""Characters of an exception's text in a dead letter."""


class Predictor(Protocol):
    """What scoring needs of a model."""

    def predict(self, columns: Columns) -> Floats:
        """Predictions, float64[n], in the order of `columns`."""
        ...


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored batch: every input position is in `decoded.positions` or in one of `rejects`, once."""

    decoded: Decoded
    predictions: Floats
    rejects: list[Reject]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of n good records: float64[n], NaN where it failed, with the reason by place in `failed`."""

    values: Floats
    failed: dict[int, str] = field(default_factory=dict)


def score(values: Sequence[bytes | None], codec: Codec, model: Predictor) -> Scored:
    """Decode and score a batch; a record whose prediction is not finite is a reject like one that cannot be read.

    Raises:
        Exception: the model's own, where it fails for each of several records.

    """
    decoded = codec.decode(values)
    return judged(decoded, answer(decoded, model))


def answer(decoded: Decoded, model: Predictor) -> Answer:
    """What the model says of the good records; where it fails for some only, of the others.

    Raises:
        Exception: as `score`.

    """
    columns = decoded.columns
    if not len(columns):
        return Answer(np.empty(0))
    try:
        return Answer(model.predict(columns))
    except MemoryError:
        raise
    except Exception:
        values, failed = np.full(len(columns), np.nan), dict[int, str]()
        _one_by_one(model, columns, np.arange(len(columns)), values, failed)
        if 1 < len(columns) == len(failed):
            raise  # the model's fault, not a record's
        return Answer(values, failed)


def _one_by_one(model: Predictor, columns: Columns, places: Ints, values: Floats, failed: dict[int, str]) -> None:
    """Find the records for which the model fails by halving: log n calls for each."""
    try:
        values[places] = model.predict(columns.take(places))
    except MemoryError:
        raise
    except Exception as error:
        if len(places) == 1:
            failed[int(places[0])] = f"{type(error).__name__}: {error}"[:MOST_TOLD]
            return
        half = len(places) // 2
        _one_by_one(model, columns, places[:half], values, failed)
        _one_by_one(model, columns, places[half:], values, failed)


def judged(decoded: Decoded, answered: Answer) -> Scored:
    """The batch as it goes out: records whose prediction is not finite, or none, are rejects as well."""
    predictions, failed = answered.values, answered.failed
    finite = np.isfinite(predictions)
    if finite.all():
        return Scored(decoded, predictions, decoded.rejects)
    refused = [
        Reject(decoded.positions[i], Reason.MODEL_FAILED, f"the model failed: {failed[i]}")
        if i in failed
        else Reject(decoded.positions[i], Reason.NOT_FINITE, f"the model answered {predictions[i]}")
        for i in np.flatnonzero(~finite).tolist()
    ]
    kept = np.flatnonzero(finite)
    columns = decoded.columns.take(kept)
    positions = [decoded.positions[i] for i in kept]
    rejects = sorted(decoded.rejects + refused, key=lambda reject: reject.position)
    return Scored(Decoded(columns, positions, rejects), predictions[kept], rejects)
