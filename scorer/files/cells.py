"""What a file's cell means to the schema: a number, a text, missing, or something the codec will refuse.

Nothing is refused here: a cell that is no number stays text, and the codec says so with its own reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from longshore.schema import Kind, Schema

MISSING_NUMBERS = frozenset({"", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"})
"""Texts in a numeric column that mean "missing", as in training files; in a nominal column only the empty one does."""

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?\d{1,19}\s*", re.ASCII)


def meanings(schema: Schema) -> dict[str, Callable[[Any], Any]]:
    """For each column the schema knows: what its cells mean. Identity is optional in a file, and judged where it is."""
    known: dict[str, Callable[[Any], Any]] = {
        field.name: number if field.kind is Kind.NUMERIC else text for field in schema.fields
    }
    return known | {schema.record_id: identity, schema.key: identity, schema.event_time: instant}


def columns(given: Mapping[str, Sequence[Any]], schema: Schema) -> dict[str, list[Any]]:
    """The columns that the schema knows, as values of a record."""
    return {
        name: [meaning(cell) for cell in given[name]] for name, meaning in meanings(schema).items() if name in given
    }


def number(cell: Any) -> Any:
    """A float, None where it is missing, else the cell."""
    if isinstance(cell, float):
        return None if math.isnan(cell) else cell
    if isinstance(cell, str):
        if _NUMBER.fullmatch(cell):
            return float(cell)
        return None if cell.strip() in MISSING_NUMBERS else cell
    return cell


def text(cell: Any) -> Any:
    """A string, None where it is empty, else the cell."""
    return None if cell == "" else cell


def identity(cell: Any) -> Any:
    """An id: files often hold whole numbers where the stream has strings."""
    return str(cell) if type(cell) is int else cell


def instant(cell: Any) -> Any:
    """Milliseconds since the epoch, as an integer or as its text."""
    return int(cell) if isinstance(cell, str) and _INTEGER.fullmatch(cell) else cell
