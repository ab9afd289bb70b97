"""Labels as they come to be read, and what is wrong with those that cannot be. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np

from longshore.monitor.scored import Milliseconds
from longshore.profile import Ints
from longshore.records import UNREADABLE
from longshore.schema import Schema


class Wrong(StrEnum):
    """What is wrong with a label that cannot be read."""

    NOT_JSON = "not_json"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"


NO_NUMBERS = (b"NaN", b"Infinity")
"""What programs write for numbers that JSON does not have."""


def what_is_wrong(value: bytes | None, error: Exception) -> Wrong:
    """Why a message could not be read as a label, from the decoder's error.

    >>> what_is_wrong(b'{"label": NaN}', msgspec.DecodeError("JSON is malformed"))
    <Wrong.NOT_FINITE: 'not_finite'>
    """
    if "missing required field" in str(error):
        return Wrong.MISSING_FIELD
    if "out of range" in str(error):
        return Wrong.NOT_FINITE
    if isinstance(error, msgspec.ValidationError):
        return Wrong.WRONG_TYPE
    return Wrong.NOT_FINITE if any(word in (value or b"") for word in NO_NUMBERS) else Wrong.NOT_JSON


@dataclass(frozen=True, slots=True, eq=False)
class ReadLabels:
    """The readable labels of a stretch of messages, and why the others are not.

    Attributes:
        positions: int64[n], where they stood among the messages.
        ids: n record ids.
        times: int64[n], event times of their records, ms.
        observed: int64[n], ms.
        values: n labels, finite.
        entities: n ids of entities; None where it is not told.
        reason: of the last one that could not be read, empty where all could.
        wrong: how many could not be read, by `Wrong`.

    """

    positions: Ints
    ids: list[str]
    times: Ints
    observed: Ints
    values: list[float]
    entities: list[Any]
    reason: str
    wrong: Counter[str]


class LabelReader:
    """Reads labels; the entity's id is under the schema's key name."""

    def __init__(self, schema: Schema) -> None:
        fields: list[Any] = [
            ("record_id", str), ("event_time", Milliseconds), ("observed_at", Milliseconds), ("label", float),
        ]  # fmt: skip
        entity = [(schema.key, Any, None)] if schema.key not in {name for name, _ in fields} else []
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(
            msgspec.defstruct("Label", [*fields, *entity], gc=False)
        ).decode
        self._width = len(fields) + len(entity)

    def read(self, values: Sequence[bytes | None]) -> ReadLabels:
        """The readable ones of n values."""
        rows, positions, reason = [], [], ""
        wrong: Counter[str] = Counter()
        for position, value in enumerate(values):
            try:
                row = self._decode(value or b"")
            except UNREADABLE as error:
                reason = str(error)
                wrong[what_is_wrong(value, error).value] += 1
                continue
            if math.isfinite(row.label):
                rows.append(msgspec.structs.astuple(row))
                positions.append(position)
            else:
                reason = f"the label is {row.label}"
                wrong[Wrong.NOT_FINITE.value] += 1
        ids, times, observed, labels, *entity = zip(*rows, strict=True) if rows else [()] * self._width
        return ReadLabels(
            np.array(positions, dtype=np.int64),
            list(ids),
            np.array(times, dtype=np.int64),
            np.array(observed, dtype=np.int64),
            list(labels),
            list(entity[0]) if entity else [None] * len(rows),
            reason,
            wrong,
        )
