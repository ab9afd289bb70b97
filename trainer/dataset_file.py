"""A training set as the bytes of a Parquet file, and back: the same rows give the same bytes with one pyarrow.

Columns, found again by their place: record id, key, event time (ms), numeric features, nominal ones, target, and
whether the row is history. Where the files lie is `longshore.trainer.datasets`' work.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from longshore.columns import Columns
from longshore.errors import FormatError
from longshore.schema import Field, Kind, Schema, TargetKind
from longshore.trainer.rows import LabelledRows, concatenate

HISTORY = "longshore.history"
"""The last column's name; no field can have it."""


def written(rows: LabelledRows, history: LabelledRows | None) -> bytes:
    """Both parts as one Parquet file, history first."""
    parts = [part for part in (history, rows) if part is not None]
    joined = concatenate(parts)
    columns, schema = joined.columns, joined.columns.schema
    past = np.arange(len(joined)) < len(joined) - len(rows)
    named: list[tuple[str, Any]] = [
        (schema.record_id, pa.array(columns.record_ids, pa.string())),
        (schema.key, pa.array(columns.keys, pa.string())),
        (schema.event_time, pa.array(columns.event_times)),
    ]
    named += [(field.name, pa.array(columns.numeric[:, i], from_pandas=True)) for i, field in enumerate(schema.numeric)]
    named += [
        (f.name, pa.array(values, pa.string())) for f, values in zip(schema.nominal, columns.nominal, strict=True)
    ]
    named += [(schema.target, pa.array(joined.target)), (HISTORY, pa.array(past))]
    table = pa.Table.from_arrays([values for _, values in named], [name for name, _ in named])
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def read(data: bytes, schema: Schema) -> tuple[LabelledRows, LabelledRows]:
    """(fresh rows, history) of a file that `written` made.

    Raises:
        FormatError: it is no Parquet file, or its columns are not the schema's.

    """
    table = table_of(data)
    columns = [column.combine_chunks() for column in table.columns]
    if len(columns) != len(schema.fields) + 5:
        raise FormatError(f"the file has {len(columns)} columns, the schema {schema.name} has other ones")
    numeric, nominal = columns[3 : 3 + len(schema.numeric)], columns[3 + len(schema.numeric) : -2]
    joined = LabelledRows(
        Columns(
            schema=schema,
            record_ids=[str(value) for value in columns[0].to_pylist()],
            keys=[str(value) for value in columns[1].to_pylist()],
            event_times=columns[2].to_numpy().astype(np.int64),
            numeric=np.column_stack([np.empty((table.num_rows, 0)), *(_floats(column) for column in numeric)]),
            nominal=[column.to_pylist() for column in nominal],
        ),
        _floats(columns[-2]),
    )
    past = np.array(columns[-1].to_pylist(), dtype=np.bool_)
    history, fresh = joined.split(~past)
    return fresh, history


def table_of(data: bytes) -> pa.Table:
    """The file as a table, its columns as `written` named them.

    Raises:
        FormatError: it is no Parquet file.

    """
    try:
        return pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"not a Parquet file ({error})", mend="restore it from a copy") from error


def schema_of(described: Mapping[str, Any]) -> Schema:
    """A schema as far as a manifest describes it (`longshore.schema.describe`): enough to read and to hash rows."""
    fields = tuple(Field(field["name"], Kind(field["kind"]), field["nullable"]) for field in described["fields"])
    name: str = described["name"]
    kind = TargetKind(described.get("target_kind", TargetKind.NUMBER))  # manifests from before have none
    return Schema(name, fields, key=described["key"], target=described["target"], topic=name, target_kind=kind)


def _floats(column: Any) -> Any:
    return column.to_numpy(zero_copy_only=False).astype(np.float64)
