"""Parquet as chunks and back, columns in the types they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longshore.errors import DataError
from longshore.scorer.files.chunk import PREDICTION, REJECT, VERSION, Chunk, Result

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


class ParquetSource:
    """The rows of a Parquet file."""

    unit = "rows"

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False)
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}", mend="name a readable file") from error
        except pa.ArrowException as error:
            raise DataError(f"{path} is not Parquet ({error})", mend="name a Parquet file") from error
        self.schema = self._file.schema_arrow
        self.names: list[str] = self.schema.names
        self.total = self._file.metadata.num_rows

    def chunks(self, rows: int, advance: Callable[[int], None]) -> Iterator[Chunk]:
        """All rows, `rows` at a time."""
        first = 1
        try:
            for batch in self._file.iter_batches(batch_size=rows, use_threads=False):
                if batch.num_rows:
                    cells = {name: _cells(column) for name, column in zip(self.names, batch.columns, strict=True)}
                    yield Chunk(first, batch.num_rows, cells, batch)
                first += batch.num_rows
                advance(batch.num_rows)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self._path} is damaged ({error})", mend="write it again") from error


class ParquetSink:
    """A Parquet file of results, or of rejects."""

    def __init__(self, path: Path, source: ParquetSource) -> None:
        self._path = path
        self._schema = source.schema
        self._writer: Any = None

    def begin(self, *, rejects: bool) -> None:
        """The columns."""
        text = pa.string()
        own: list[Any] = [self._schema.field(i) for i in range(len(self._schema))]
        before = [pa.field(name, pa.int64() if name == REJECT[0] else text) for name in REJECT]
        after = [pa.field(PREDICTION, pa.float64()), pa.field(VERSION, text)]
        fields: list[Any] = [*before, *own] if rejects else [*own, *after]
        self._writer = pq.ParquetWriter(self._path, pa.schema(fields))

    def write(self, result: Result, version: str) -> None:
        """The good rows as they came, with prediction and version."""
        kept = result.chunk.native.take(pa.array(result.positions, pa.int64()))
        added = [pa.array(result.predictions, pa.float64()), pa.array([version] * len(kept), pa.string())]
        self._append([*kept.columns, *added])

    def reject(self, result: Result) -> None:
        """The other rows as they came, behind their number and reason."""
        faults = result.faults
        refused = result.chunk.native.take(pa.array([fault.position for fault in faults], pa.int64()))
        numbers = pa.array([result.chunk.first + fault.position for fault in faults], pa.int64())
        told = [pa.array([getattr(fault, name) for fault in faults], pa.string()) for name in REJECT[1:]]
        self._append([numbers, *told, *refused.columns])

    def close(self) -> None:
        """Nothing is written afterwards; the file is only now readable."""
        if self._writer is not None:
            self._writer.close()

    def _append(self, columns: list[Any]) -> None:
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._writer.schema))


def _cells(column: Any) -> list[Any]:
    """A column's values as a record would hold them; what JSON has no form for stays something the codec refuses."""
    try:
        return _values(column)
    except (OverflowError, ValueError, pa.ArrowException):  # a date beyond Python's, a text that is not UTF-8
        return [_cell(column.slice(row, 1)) for row in range(len(column))]


def _cell(column: Any) -> Any:
    try:
        return _values(column)[0]
    except (OverflowError, ValueError, pa.ArrowException):
        return [f"not a {column.type}"]  # a list: nothing that the codec takes for a value


def _values(column: Any) -> list[Any]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _values(column.dictionary_decode())
    if pa.types.is_timestamp(kind):
        instants = column.cast(pa.int64()).to_pylist()
        return [None if instant is None else instant * 1_000 // PER_SECOND[kind.unit] for instant in instants]
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        numbers: list[Any] = column.cast(pa.float64(), safe=False).to_pylist()
        return numbers
    values: list[Any] = column.to_pylist()
    return [_text(value) if isinstance(value, bytes) else value for value in values]


def _text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return [f"{len(value)} bytes"]
