"""DataFrame columns to the two kinds the engine knows: float64 with NaN, or strings with None.

Decides a column's kind and what counts as missing. Bins are `longshore.monitor.binning`'s decision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from longshore.errors import DataError
from longshore.schema import Kind

NUMBERS = frozenset({"integer", "floating", "mixed-integer-float", "decimal"})
"""What pandas infers for an object column that holds only numbers (and nulls)."""


LARGEST = 1e150
"""Numbers beyond this, either way, are missing, as infinities are: their squares and sums would be."""


def usable(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which values count as numbers, bool[n]: neither NaN nor infinite nor beyond `LARGEST`."""
    return np.asarray(np.abs(values) <= LARGEST)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One stream's values, n of them.

    Attributes:
        name: the column's name, as a string.
        kind: numeric or nominal.
        values: numeric: float64[n] with NaN for missing (infinities too, and what is beyond `LARGEST`);
            nominal: object[n] of strings with None for missing.

    """

    name: str
    kind: Kind
    values: npt.NDArray[Any]

    def missing(self) -> npt.NDArray[np.bool_]:
        """Which values are missing, bool[n]."""
        if self.kind is Kind.NUMERIC:
            return np.asarray(np.isnan(self.values), dtype=np.bool_)
        return np.array([value is None for value in self.values], dtype=np.bool_)


def read_columns(frame: pd.DataFrame, categorical: Iterable[str] = ()) -> list[Column]:
    """All columns of `frame`, each of the kind its name or its values say.

    Raises:
        DataError: no rows, no columns, a name twice, or a `categorical` name that is not a column.

    """
    names = _names(frame)
    declared = {str(name) for name in categorical}
    if unknown := sorted(declared - set(names)):
        raise DataError(f"no such categorical column: {_listed(unknown)}", mend=f"the columns are {_listed(names)}")
    columns = []
    for i, name in enumerate(names):
        series = frame.iloc[:, i]
        kind = Kind.NOMINAL if name in declared else kind_of(series)
        columns.append(Column(name, kind, _values(series, kind, name)))
    return columns


def read_as(frame: pd.DataFrame, wanted: Sequence[tuple[str, Kind]]) -> list[Column]:
    """The columns `wanted` names, in that order and of those kinds.

    Raises:
        DataError: no rows, a column missing or too many, or text where the reference has numbers.

    """
    names = _names(frame)
    expected = [name for name, _ in wanted]
    missing = [name for name in expected if name not in names]
    extra = [name for name in names if name not in expected]
    if missing or extra:
        found = [f"missing column {_listed(missing)}"] * bool(missing) + [f"extra column {_listed(extra)}"] * bool(
            extra
        )
        raise DataError(" and ".join(found), mend="give both sides the same columns")
    position = {name: i for i, name in enumerate(names)}
    return [Column(name, kind, _values(frame.iloc[:, position[name]], kind, name)) for name, kind in wanted]


def kind_of(series: pd.Series[Any]) -> Kind:
    """Numbers and times are numeric; text, booleans, categories and everything else nominal."""
    dtype = series.dtype
    if types.is_bool_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype):
        return Kind.NOMINAL
    if types.is_complex_dtype(dtype):
        return Kind.NOMINAL  # two numbers, and no order
    if types.is_numeric_dtype(dtype) or _is_time(dtype):
        return Kind.NUMERIC
    return Kind.NUMERIC if types.infer_dtype(series, skipna=True) in NUMBERS else Kind.NOMINAL


def _is_time(dtype: Any) -> bool:
    """Dates, times and differences of times; Arrow's, too."""
    return types.is_datetime64_any_dtype(dtype) or getattr(dtype, "kind", "O") == "m"


def _names(frame: pd.DataFrame) -> list[str]:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"the data is a {type(frame).__name__}", mend="give a pandas DataFrame")
    names = [str(name) for name in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"column {_listed(twice)} is there twice", mend="rename one of them")
    if not names:
        raise DataError("the data has no columns", mend="give at least one column")
    if frame.empty:
        raise DataError("the data has no rows", mend="give at least one row")
    return names


def _values(series: pd.Series[Any], kind: Kind, name: str) -> npt.NDArray[Any]:
    return _numbers(series, name) if kind is Kind.NUMERIC else _texts(series)


def _numbers(series: pd.Series[Any], name: str) -> npt.NDArray[np.float64]:
    if _is_time(series.dtype):
        return _times(series)
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    try:
        if types.is_complex_dtype(series.dtype):
            raise TypeError("they are complex")
        values = _floats(series)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"column {name!r} is numeric in the reference, but not all its values are numbers ({error})",
            mend="correct them, or declare the column categorical",
        ) from error
    values[~usable(values)] = np.nan
    return values


def _times(series: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """Nanoseconds, since 1970 where they are points in time."""
    missing = series.isna().to_numpy()
    if isinstance(series.dtype, pd.ArrowDtype) and series.dtype.name.startswith("date"):
        series = pd.to_datetime(series.astype(object))  # Arrow's days have no unit to convert
    values = np.array(series.dt.as_unit("ns").astype("int64").to_numpy(), dtype=np.float64)
    values[missing] = np.nan
    return values


def _floats(series: pd.Series[Any]) -> npt.NDArray[np.float64]:
    try:
        return np.array(pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan))
    except OverflowError:  # integers that no float64 holds: as far out as infinities
        return np.array([_or_infinite(value) for value in series], dtype=np.float64)


def _or_infinite(value: Any) -> float:
    try:
        return np.nan if value is None else float(value)
    except OverflowError:
        return math.inf


def _texts(series: pd.Series[Any]) -> npt.NDArray[Any]:
    values = np.empty(len(series), dtype=object)
    missing = series.isna().to_numpy()
    values[:] = [None if absent else text_of(v) for v, absent in zip(series.tolist(), missing, strict=True)]
    return values


def text_of(value: Any) -> str:
    """A category's name; 1 and 1.0 are one category, because a null turns a column of integers into floats."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
