"""CSV as chunks and back. Every cell is kept as the text it is; a row of another length, or not UTF-8, is a fault.

Python's reader rather than pyarrow's: it knows the number of each row, and a bad one does not end the file.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from longshore.codec import MAX_RECORD_BYTES, Reason
from longshore.errors import DataError
from longshore.scorer.files.chunk import ADDED, REJECT, Chunk, Fault, Result

ENCODING = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
"""Bytes that are not UTF-8 pass through as they are, into the rejects file."""
READING = ENCODING | {"encoding": "utf-8-sig"}


class CsvSource:
    """The rows of a CSV file with a header."""

    unit = "KiB"

    def __init__(self, path: Path) -> None:
        self._path = path
        csv.field_size_limit(MAX_RECORD_BYTES)  # an unclosed quote would swallow the file
        try:
            self.total = path.stat().st_size // 1_024
            with path.open(**READING) as lines:  # type: ignore[call-overload]
                self.names: list[str] = next(csv.reader(lines), [])
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}", mend="name a readable file") from error
        except csv.Error as error:
            raise DataError(f"{path} has no header ({error})", mend="name a CSV file") from error
        if not all(map(_is_text, self.names)):
            raise DataError(f"{path} has a header that is not UTF-8", mend="name a CSV file in UTF-8")

    def chunks(self, rows: int, advance: Callable[[int], None]) -> Iterator[Chunk]:
        """All rows, `rows` at a time."""
        with self._path.open("rb") as raw, open(raw.fileno(), closefd=False, **READING) as lines:  # type: ignore[call-overload]
            reader = csv.reader(lines)
            first, told = 1, 0
            try:
                next(reader)
                while found := list(islice(reader, rows)):
                    yield self._chunk(first, found)
                    first += len(found)
                    done = raw.tell() // 1_024
                    advance(done - told)
                    told = done
            except csv.Error as error:
                raise DataError(f"{self._path} line {reader.line_num}: {error}", mend="correct that line") from error
            except OSError as error:
                raise DataError(f"{self._path}: {error.strerror}", mend="see that it can be read") from error

    def _chunk(self, first: int, found: list[list[str]]) -> Chunk:
        width = len(self.names)
        faults = []
        cut = found
        for position, row in enumerate(found):
            fault = self._fault(position, row)
            if fault is not None:
                faults.append(fault)
                cut = [*found] if cut is found else cut
                cut[position] = [""] * width
        cells = dict(zip(self.names, zip(*cut, strict=True), strict=True))
        return Chunk(first, len(found), cells, found, faults)

    def _fault(self, position: int, row: list[str]) -> Fault | None:
        if len(row) != len(self.names):
            message = f"the row has {len(row)} cells, the header {len(self.names)}"
            return Fault(position, Reason.INVALID.value, message)
        for name, cell in zip(self.names, row, strict=True):
            if not cell.isascii() and not _is_text(cell):
                return Fault(position, Reason.NOT_UTF8.value, f"{name} is not UTF-8")
        return None


class CsvSink:
    """A CSV file of results, or of rejects."""

    def __init__(self, path: Path, source: CsvSource) -> None:
        self._file = path.open("w", **ENCODING)  # type: ignore[call-overload]
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._names = source.names

    def begin(self, *, rejects: bool) -> None:
        """The header."""
        self._writer.writerow([*REJECT, *self._names] if rejects else [*self._names, *ADDED])

    def write(self, result: Result, version: str) -> None:
        """The good rows as they came, with prediction and version."""
        rows: list[list[Any]] = result.chunk.native
        pairs = zip(result.positions, result.predictions.tolist(), strict=True)
        self._writer.writerows([*rows[position], prediction, version] for position, prediction in pairs)

    def reject(self, result: Result) -> None:
        """The other rows as they came, behind their number and reason."""
        rows, first = result.chunk.native, result.chunk.first
        for fault in result.faults:
            cells = _fitted(rows[fault.position], len(self._names))
            self._writer.writerow([first + fault.position, fault.reason, fault.message, *cells])

    def close(self) -> None:
        """Nothing is written afterwards."""
        self._file.close()


def _fitted(row: list[str], width: int) -> list[str]:
    """As many cells as the header: programs read the rejects file too. The last one holds the surplus."""
    if len(row) > width:
        return [*row[: width - 1], ",".join(row[width - 1 :])]
    return row + [""] * (width - len(row))


def _is_text(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
