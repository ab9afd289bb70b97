"""Labelled rows: records as columns with their targets, what makes them usable, and the hash that names a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from longshore.columns import Columns, Floats
from longshore.errors import DataError
from longshore.schema import Schema, TargetKind
from longshore.trainer.split import Indexes, Mask


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """n records and their targets, float64[n]."""

    columns: Columns
    target: Floats

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: Indexes) -> LabelledRows:
        """The rows at these positions, in that order."""
        return LabelledRows(self.columns.take(rows), self.target[rows])

    def split(self, test: Mask) -> tuple[LabelledRows, LabelledRows]:
        """Training and test rows by a mask."""
        return self.take(np.flatnonzero(~test)), self.take(np.flatnonzero(test))

    def in_order(self) -> LabelledRows:
        """The rows by event time, then by record id ("9" before "10"): the order of a training set, however read."""
        times, ids = self.columns.event_times.tolist(), self.columns.record_ids
        order = sorted(range(len(self)), key=lambda row: (times[row], len(ids[row]), ids[row]))
        return self.take(np.array(order, dtype=np.intp))

    def sha256(self) -> str:
        """A name for the content: ids, times, keys, values and targets by record id, whatever order they came in."""
        columns, digest = self.columns, hashlib.sha256()
        order: Indexes = np.array(sorted(range(len(self)), key=columns.record_ids.__getitem__), dtype=np.intp)
        numbers = np.column_stack([columns.numeric, self.target]).astype("<f8")[order, :]
        digest.update(columns.schema.fingerprint().encode())
        # + 0.0 makes one zero of two; every NaN is written with the same bits.
        digest.update(np.where(np.isnan(numbers), np.nan, numbers + 0.0).tobytes())
        digest.update(columns.event_times[order].astype("<i8").tobytes())
        texts: list[Sequence[str | None]] = [columns.record_ids, columns.keys, *columns.nominal]
        for values in texts:
            digest.update(_canonical(values[i] for i in order.tolist()))
        return digest.hexdigest()


def content_sha256(rows: LabelledRows, history: LabelledRows | None) -> str:
    """The hash that names a training set: of its rows, and of which of them are history.

    Without history it is `rows.sha256()`.
    """
    if history is None or not len(history):
        return rows.sha256()
    return hashlib.sha256(f"{rows.sha256()} {history.sha256()}".encode()).hexdigest()


def from_frame(frame: pd.DataFrame, schema: Schema) -> LabelledRows:
    """The rows of a checked frame (`longshore.dataset.read_csv`): features, target and key, which names a row."""
    keys = [str(key) for key in frame[schema.key]]
    numeric = [frame[field.name].to_numpy(dtype=np.float64, na_value=np.nan) for field in schema.numeric]
    nominal = [
        [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
        for column in (frame[field.name].astype(object) for field in schema.nominal)
    ]
    columns = Columns(
        schema=schema,
        record_ids=keys,
        keys=keys,
        event_times=np.zeros(len(frame), dtype=np.int64),
        numeric=np.column_stack(numeric) if numeric else np.empty((len(frame), 0)),
        nominal=nominal,
    )
    return LabelledRows(columns, frame[schema.target].to_numpy(dtype=np.float64))


def concatenate(parts: list[LabelledRows]) -> LabelledRows:
    """Rows of one schema, one part after the other (at least one part)."""
    columns = [part.columns for part in parts]
    joined = concatenate_columns(columns[0].schema, columns)
    return LabelledRows(joined, np.concatenate([part.target for part in parts]))


def concatenate_columns(schema: Schema, parts: list[Columns]) -> Columns:
    """Records of one schema, one part after the other."""
    return Columns(
        schema=schema,
        record_ids=[value for part in parts for value in part.record_ids],
        keys=[value for part in parts for value in part.keys],
        event_times=np.concatenate([np.empty(0, dtype=np.int64), *(part.event_times for part in parts)]),
        numeric=np.concatenate([np.empty((0, len(schema.numeric))), *(part.numeric for part in parts)]),
        nominal=[[value for part in parts for value in part.nominal[i]] for i in range(len(schema.nominal))],
    )


def told(left_out: Mapping[str, int]) -> str:
    """What was left out, in brackets after a number of rows; nothing where nothing was."""
    counts = [f"{count:,} {name.replace('_', ' ')}" for name, count in left_out.items() if count]
    made_up = any(count for name, count in left_out.items() if name.endswith("after_cut"))
    hint = '; where times are made up, set datasets.clock = "stream"' if made_up else ""
    return f" (left out: {', '.join(counts)}{hint})" if counts else ""


def check_usable(rows: LabelledRows, *, min_rows: int, left_out: Mapping[str, int]) -> None:
    """Refuse rows nothing can be learned from.

    Raises:
        DataError: too few rows, a constant or a non-finite target, or one that is not of the schema's classes.

    """
    schema = rows.columns.schema
    if len(rows) < min_rows:
        raise DataError(
            f"{len(rows):,} labelled rows are too few{told(left_out)}, trainer.min_rows = {min_rows:,}",
            mend="give more rows, see that labels arrive, or lower LONGSHORE_TRAINER__MIN_ROWS",
        )
    if not np.isfinite(rows.target).all():
        bad = int((~np.isfinite(rows.target)).sum())
        raise DataError(f"target {schema.target} is not a finite number in {bad:,} rows", mend="remove those rows")
    if schema.target_kind is TargetKind.BINARY and len(other := rows.target[~np.isin(rows.target, (0, 1))]):
        raise DataError(
            f"target {schema.target} is of two classes, 0 and 1, and something else in {len(other):,} of "
            f"{len(rows):,} rows (for example {other[0]:g})",
            mend='label with 0 and 1, or leave target_kind = "binary" out of the schema',
        )
    if np.ptp(rows.target) == 0:
        raise DataError(
            f"target {schema.target} is {rows.target[0]:g} in every row", mend="there is nothing to learn from it"
        )


def _canonical(texts: Iterable[str | None]) -> bytes:
    """Length-prefixed, so that no two lists have the same bytes; a missing text has no length."""
    encoded = (None if text is None else text.encode(errors="surrogatepass") for text in texts)
    return b"".join(b"-;" if data is None else b"%d;%b" % (len(data), data) for data in encoded)
