"""Data files as frames (CSV or Parquet, by their names' endings); errors in one line."""

from __future__ import annotations

import warnings
import zlib
from pathlib import Path

import click
import pandas as pd
import pyarrow as pa

from longshore.errors import DataError

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
"""An argument that names a file."""

CSV, PARQUET = (".csv", ".csv.gz"), (".parquet", ".pq")


def read_frame(path: Path) -> pd.DataFrame:
    """All rows of a CSV (with a header line; `.csv.gz` too) or Parquet file.

    Raises:
        DataError: another ending, or not what the ending says.

    """
    name = path.name.lower()
    if name.endswith(CSV):
        return _read_csv(path)
    if name.endswith(PARQUET):
        return _read_parquet(path)
    endings = ", ".join((*CSV, *PARQUET))
    raise DataError(f"{path} is neither CSV nor Parquet by its name", mend=f"give a file that ends in {endings}")


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # Otherwise pandas takes the first columns for row labels and shifts the rest.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, index_col=False)
    except pd.errors.ParserWarning as error:
        raise DataError(
            f"{path}: its rows have more fields than its header", mend="name every column in the header"
        ) from error
    except (ValueError, OSError, EOFError, zlib.error, pd.errors.ParserError) as error:
        raise DataError(
            f"{path} cannot be read as CSV: {_reason(error)}", mend="give a CSV file with a header line"
        ) from error


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {_reason(error)}", mend="write it again") from error


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def split_names(categorical: tuple[str, ...]) -> list[str]:
    """Column names given one by one or with commas."""
    return [name.strip() for given in categorical for name in given.split(",") if name.strip()]


def limits(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    """An option's callback: limits by `metric` or `column.metric` from texts such as psi=0.2."""
    found = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is not like psi=0.2 or income.psi=0.2") from error
    return found


def quotients(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """An option's callback: ratios by name from texts such as people_per_car=people/cars."""
    found = {}
    for text in given:
        name, _, columns = text.partition("=")
        over, _, under = columns.partition("/")
        if not (name.strip() and over.strip() and under.strip()):
            raise click.BadParameter(f"{text!r} is not like people_per_car=people/cars")
        found[name.strip()] = (over.strip(), under.strip())
    return found
