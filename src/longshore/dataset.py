"""Data files: where one is found, and what a CSV must hold before anybody trains on it or replays it.

Nothing is half-read: a file is usable as a whole or refused in one line that names the column and the line. Making
data where there is none is the producers' generator's work, downloading it `longshore.producers.archive`'s.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from longshore.config import Settings
from longshore.errors import DataError
from longshore.schema import Field, Kind, Schema

MISSING_NUMBERS = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]
"""Cells of a numeric column that mean "missing"; in a nominal column only the empty cell does."""
FIRST_LINE = 2
"""The file's line that holds row 0: line 1 is the header."""


def cache_file() -> Path:
    """Where `longshore data fetch` keeps housing.csv: `$XDG_CACHE_HOME/longshore`, by default under ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "longshore" / "housing.csv"


def locate(given: Path | None, settings: Settings) -> Path | None:
    """The data file to use: `given` (`--data`), else the setting `data`, else the cache, else None (the generator).

    The cache holds districts, so it is passed over where the settings name another schema.
    """
    named = given or settings.data
    if named is not None:
        return named
    return cache_file() if settings.schema_file is None and cache_file().is_file() else None


def read_csv(path: Path, schema: Schema, *, require_target: bool) -> pd.DataFrame:
    """Rows of a CSV file as features (float64, or str with None), target (float64) and key (str), in that order.

    A file without the key column gets each row's number in the file as its key ("0" is the first row). Without
    `require_target` a missing target, column or cell, is NaN. Other columns are passed over.

    Raises:
        DataError: the file cannot be read, has no rows, lacks columns, or holds a cell the schema does not allow.

    """
    header = _header(path)
    missing = [name for name in schema.feature_names if name not in header]
    missing += [schema.target] if require_target and schema.target not in header else []
    if missing:
        raise DataError(
            f"{path} lacks {_listed(missing)} (it has {_listed(header)})", mend="add them, or name a schema that fits"
        )
    wanted = {*schema.feature_names, schema.target, schema.key}
    doubled = sorted({name for name in header if name in wanted and header.count(name) > 1})
    if doubled:
        raise DataError(f"{path} has {_listed(doubled)} more than once", mend="rename or remove one")
    raw = _read(path, [name for name in header if name in wanted], schema)
    target = Field(schema.target, Kind.NUMERIC, nullable=not require_target)
    columns = {field.name: _column(raw, field, path) for field in (*schema.fields, target)}
    return pd.DataFrame(columns).assign(**{schema.key: _keys(raw, schema.key, path)})


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines), [])
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", mend="name a readable CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not CSV in UTF-8 ({error})", mend="name a CSV file") from error
    if not header:
        raise DataError(f"{path} is empty", mend="name a CSV file with a header and rows")
    return header


def _read(path: Path, columns: list[str], schema: Schema) -> pd.DataFrame:
    text = {schema.key, *(field.name for field in schema.nominal)}
    try:
        raw = pd.read_csv(
            path,
            dtype=dict.fromkeys(text & set(columns), object),
            na_values={name: [""] if name in text else MISSING_NUMBERS for name in columns},
            keep_default_na=False,
            encoding="utf-8-sig",
            low_memory=False,
            skip_blank_lines=False,
            on_bad_lines="error",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path} is not CSV in UTF-8 ({reason})", mend="correct the line it names") from error
    if not isinstance(raw.index, pd.RangeIndex):
        raise DataError(f"{path} has more cells in its rows than columns in its header", mend="correct the header")
    blank = raw[columns].isna().all(axis="columns").to_numpy()
    raw = raw.iloc[: len(raw) - int(np.argmin(blank[::-1])) if not blank.all() else 0]  # empty lines at the end
    if raw.empty:
        raise DataError(f"{path} has a header and no rows", mend="name a file with rows")
    return raw


def _column(raw: pd.DataFrame, field: Field, path: Path) -> Any:
    if field.name not in raw:
        return np.full(len(raw), np.nan)
    cells = raw[field.name]
    if not field.nullable and cells.isna().any():
        raise _bad_cell(path, field.name, cells.isna().to_numpy(), "is empty", "fill it in or remove the row")
    if field.kind is Kind.NOMINAL:
        return cells.astype(object).where(cells.notna(), None)
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.isinf(values) | (np.isnan(values) & cells.notna().to_numpy()) | (cells.dtype == bool)
    if wrong.any():
        found = cells.iloc[int(np.argmax(wrong))]
        raise _bad_cell(path, field.name, wrong, f"is {str(found)!r}, not a number", "correct it or leave it empty")
    for limit, beyond, word in (
        (field.minimum, values < (-np.inf if field.minimum is None else field.minimum), "below the minimum"),
        (field.maximum, values > (np.inf if field.maximum is None else field.maximum), "above the maximum"),
    ):
        if beyond.any():
            found = values[int(np.argmax(beyond))]
            raise _bad_cell(path, field.name, beyond, f"is {found:g}, {word} {limit:g}", "correct it or the schema")
    return values


def _keys(raw: pd.DataFrame, key: str, path: Path) -> Any:
    if key not in raw:
        return pd.Series([str(row) for row in range(len(raw))], dtype=object)
    if raw[key].isna().any():
        raise _bad_cell(path, key, raw[key].isna().to_numpy(), "is empty", "give every row its id, or no row")
    return raw[key].astype(object)


def _bad_cell(path: Path, column: str, where: Any, problem: str, mend: str) -> DataError:
    line = int(np.argmax(where)) + FIRST_LINE
    count = int(np.sum(where))
    others = f" ({count - 1:,} more like it)" if count > 1 else ""
    return DataError(f"{path} line {line}: {column} {problem}{others}", mend=mend)


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
    return ", ".join(shown[:20]) + more
