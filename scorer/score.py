"""A batch of records to predictions and rejects: columns in, columns out. Pure: no Kafka, clock or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from longshore.codec import Codec, Decoded, Reason, Reject
from longshore.columns import Columns, Floats


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


def score(values: Sequence[bytes | None], codec: Codec, model: Predictor) -> Scored:
    """Decode and score a batch; a record whose prediction is not finite is a reject like one that cannot be read."""
    decoded = codec.decode(values)
    return judged(decoded, predictions(decoded, model))


def predictions(decoded: Decoded, model: Predictor) -> Floats:
    """What the model says of the good records."""
    return model.predict(decoded.columns) if len(decoded.columns) else np.empty(0)


def judged(decoded: Decoded, predictions: Floats) -> Scored:
    """The batch as it goes out: records whose prediction is not finite are rejects as well."""
    finite = np.isfinite(predictions)
    if finite.all():
        return Scored(decoded, predictions, decoded.rejects)
    refused = [
        Reject(decoded.positions[i], Reason.NOT_FINITE, f"the model answered {predictions[i]}")
        for i in np.flatnonzero(~finite)
    ]
    kept = np.flatnonzero(finite)
    columns = decoded.columns.take(kept)
    positions = [decoded.positions[i] for i in kept]
    rejects = sorted(decoded.rejects + refused, key=lambda reject: reject.position)
    return Scored(Decoded(columns, positions, rejects), predictions[kept], rejects)
