"""Derived streams: ratios of two numeric columns that are watched beside them.

Both paths, the stream's (`longshore.monitor.panes`) and the library's (`.reference`), compute them here, so that equal
records have equal values to the last bit. Which ratios a stream has is the schema's matter (`longshore.schema`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from longshore.errors import DataError
from longshore.monitor.frames import Column, usable
from longshore.monitor.models import PREDICTION
from longshore.profile import Floats
from longshore.schema import Kind

Ratios = Mapping[str, tuple[str, str]]
"""A derived stream's name → the names of its numerator and its denominator."""


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """numerator/denominator, float64[n]; NaN (missing) where one of the three is not `usable`, as over 0.

    >>> ratio(np.array([6.0, 1.0, np.nan]), np.array([3.0, 0.0, 2.0])).tolist()
    [2.0, nan, nan]
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        values = np.asarray(numerator / denominator, dtype=np.float64)
    # A zero denominator gives an infinity or NaN by itself; a finite number over infinity does not.
    values[~(usable(values) & usable(numerator) & usable(denominator))] = np.nan
    return values


def with_ratios(columns: Sequence[Column], derived: Ratios) -> list[Column]:
    """The columns and, after them, their ratios; the prediction stays last where it is.

    Raises:
        DataError: a ratio is named like a column, or its parts are not numeric columns.

    """
    held = {column.name: column for column in columns}
    for name, parts in derived.items():
        if len(parts) != 2:
            raise DataError(f"derived {name!r} has {len(parts)} parts", mend="give a numerator and a denominator")
        if name in held:
            raise DataError(f"derived {name!r} is also a column", mend="give the ratio another name")
        for part in parts:
            _check_part(name, part, held)
    made = [
        Column(name, Kind.NUMERIC, ratio(held[numerator].values, held[denominator].values))
        for name, (numerator, denominator) in derived.items()
    ]
    last = columns[-1:] if columns[-1].name == PREDICTION else []
    return [*columns[: len(columns) - len(last)], *made, *last]


def parse_ratios(texts: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Ratios from texts like "name=numerator/denominator".

    >>> parse_ratios(["people_per_car=people/cars"])
    {'people_per_car': ('people', 'cars')}

    Raises:
        DataError: a text of another form, or a name given twice.

    """
    found: dict[str, tuple[str, str]] = {}
    for text in texts:
        name, _, formula = text.partition("=")
        name, parts = name.strip(), [part.strip() for part in formula.split("/")]
        if not name or len(parts) != 2 or not all(parts):
            raise DataError(f"{text!r} is not a derived stream", mend="write it as name=numerator/denominator")
        if name in found:
            raise DataError(f"derived {name!r} is given twice", mend="give the second another name")
        found[name] = (parts[0], parts[1])
    return found


def _check_part(name: str, part: str, held: Mapping[str, Column]) -> None:
    if part not in held:
        raise DataError(f"derived {name!r} has the part {part!r}, which is not a column", mend="name a numeric column")
    if held[part].kind is not Kind.NUMERIC:
        raise DataError(f"derived {name!r} has the part {part!r}, which is not numeric", mend="name a numeric column")
