"""A batch of records to predictions and rejects: columns in, columns out. Pure: no Kafka, clock or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import structlog

from longshore.codec import Codec, Decoded, Reason, Reject
from longshore.columns import Columns, Floats

log = structlog.get_logger()

MANY = 100
"""So many records and an error for each: then the model is broken, and all of them would be dead letters."""
MOST_CALLS = 1_000
"""Of the model to find the records it fails for: seconds at most, while a transaction is open."""
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
        Exception: the model's own, where it fails for each of `MANY` records or more.

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
    except Exception as error:
        log.exception("the model failed for a batch; its records are tried in parts", rows=len(columns), exc_info=error)
        found = _by_halves(model, columns)
        if MANY <= len(columns) == len(found.failed):
            raise  # the model's fault, not a record's
        return found


def _by_halves(model: Predictor, columns: Columns) -> Answer:
    """Find the records for which the model fails by halving, in `MOST_CALLS`: of parts left then all count as such."""
    found, parts = Answer(np.full(len(columns), np.nan)), [np.arange(len(columns))]
    for _ in range(MOST_CALLS):
        if not parts:
            return found
        places = parts.pop()
        try:
            found.values[places] = model.predict(columns.take(places))
        except MemoryError:
            raise
        except Exception as error:
            if len(places) == 1:
                found.failed[int(places[0])] = f"{type(error).__name__}: {error}"[:MOST_TOLD]
            else:
                half = len(places) // 2
                parts += places[half:], places[:half]
    untried = "it failed for so many others that this one was not tried by itself"
    found.failed.update(dict.fromkeys(np.concatenate(parts).tolist() if parts else [], untried))
    return found


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
