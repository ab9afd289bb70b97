"""A chunk of a file's rows, and what becomes of it: predictions for the good rows, a reason for each other one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from longshore.codec import Codec
from longshore.columns import Floats
from longshore.schema import Schema
from longshore.scorer.files.cells import columns
from longshore.scorer.rows import explain, records
from longshore.scorer.score import Predictor, score

PREDICTION, VERSION = "prediction", "model_version"
ADDED = (PREDICTION, VERSION)
"""What the output has besides the input's columns."""

REJECT = ("row", "reason", "message")
"""What the rejects file has before the input's columns."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row has no prediction."""

    position: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        first: the number of the first one; a file's rows are counted from 1, its header is not.
        rows: how many there are.
        cells: the columns by name.
        native: the same as the file's format has them, for writing.
        faults: what reading found already.

    """

    first: int
    rows: int
    cells: Mapping[str, Sequence[Any]]
    native: Any
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """A chunk's good rows by position, their predictions, and the faults of the others; each row is in one of them."""

    chunk: Chunk
    positions: list[int]
    predictions: Floats
    faults: list[Fault]


def score_chunk(chunk: Chunk, schema: Schema, codec: Codec, model: Predictor) -> Result:
    """Score a chunk as the stream would score its rows."""
    known = columns(chunk.cells, schema)
    values: list[bytes | None] = [*records(schema, known, chunk.rows)]
    found = {fault.position: fault for fault in chunk.faults}
    for position in found:
        values[position] = None
    scored = score(values, codec, model)
    for reject in scored.rejects:
        if reject.position not in found:
            told = explain(reject, reject.position, known)
            found[reject.position] = Fault(reject.position, told["reason"], told["message"])
    return Result(chunk, scored.decoded.positions, scored.predictions, [found[at] for at in sorted(found)])
