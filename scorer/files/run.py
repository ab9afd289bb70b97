"""From file to file: read a chunk, score it, write it; both files appear at the end, or neither does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from longshore.codec import Codec
from longshore.errors import ConfigurationError, DataError
from longshore.schema import Schema
from longshore.scorer.files.chunk import ADDED, REJECT, score_chunk
from longshore.scorer.files.csv_file import CsvSink, CsvSource
from longshore.scorer.files.parquet_file import ParquetSink, ParquetSource
from longshore.scorer.files.replacing import Replacing, check_free
from longshore.scorer.score import Predictor

CHUNK_ROWS = 16_384

Source = CsvSource | ParquetSource
Sink = CsvSink | ParquetSink


@dataclass(frozen=True, slots=True)
class Counts:
    """How a file fared; `rejects` is the rejects file, None where there were none."""

    rows: int
    scored: int
    rejected: int
    rejects: Path | None


@dataclass(frozen=True, slots=True)
class Job:
    """Which file to score into which; `rejects` takes the rows without a prediction."""

    source: Path
    to: Path
    rejects: Path
    overwrite: bool = False

    def check(self) -> None:
        """Refuse what cannot work before anything is read.

        Raises:
            ConfigurationError: an extension is not known, the formats differ, or two of the files are one.
            DataError: a file to write exists, or its folder does not.

        """
        kinds = {_kind(path) for path in (self.source, self.to, self.rejects)}
        if len(kinds) > 1:
            raise ConfigurationError(
                f"{self.source.name}, {self.to.name} and {self.rejects.name} differ in format",
                mend="give all of them the input's extension",
            )
        if len({path.resolve() for path in (self.source, self.to, self.rejects)}) < 3:
            raise ConfigurationError("two of --input, --to and --rejects are one file", mend="name three")
        for path in (self.to, self.rejects):
            check_free(path, overwrite=self.overwrite)


def open_source(path: Path, schema: Schema) -> Source:
    """The file's rows.

    Raises:
        DataError: it cannot be read, lacks a column the schema needs, or has one that the result adds.

    """
    source: Source = CsvSource(path) if _kind(path) == "csv" else ParquetSource(path)
    names = source.names
    doubled = sorted({name for name in names if names.count(name) > 1})
    taken = [name for name in names if name in (*ADDED, *REJECT)]
    missing = [field.name for field in schema.fields if field.name not in names]
    if doubled or taken:
        raise DataError(f"{path}: column {(doubled or taken)[0]!r} is twice in the result", mend="rename it")
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}", mend="add them (empty where unknown)")
    return source


def run(
    job: Job, source: Source, schema: Schema, *, model: Predictor, version: str, advance: Callable[[int], None]
) -> Counts:
    """Score the whole file.

    Raises:
        DataError: the file is damaged further on, or the result cannot be written; no result stands there then.

    """
    try:
        return _run(job, source, schema, model=model, version=version, advance=advance)
    except OSError as error:
        place = error.filename or job.to.parent
        raise DataError(
            f"{place}: {error.strerror or error}", mend="see that it can be written and has room"
        ) from error


def _run(
    job: Job, source: Source, schema: Schema, *, model: Predictor, version: str, advance: Callable[[int], None]
) -> Counts:
    codec = Codec(schema)
    rows = rejected = 0
    with ExitStack() as end:
        to, rejects = (Replacing(path) for path in (job.to, job.rejects))
        for place in (to, rejects):
            end.callback(place.discard)
        good, bad = _sink(to.path, source), _sink(rejects.path, source)
        for sink in (good, bad):
            end.callback(_close, sink)
        good.begin(rejects=False)
        bad.begin(rejects=True)
        for chunk in source.chunks(CHUNK_ROWS, advance):
            result = score_chunk(chunk, schema, codec, model)
            good.write(result, version)
            if result.faults:
                bad.reject(result)
            rows += chunk.rows
            rejected += len(result.faults)
        for sink in (good, bad):
            sink.close()
        for path in (job.to, job.rejects):
            check_free(path, overwrite=job.overwrite)
        for place in (to, rejects):
            place.sync()
        # New rejects before the result and old ones after it: a result never stands there as if there had been none.
        if rejected:
            rejects.keep()
        to.keep()
        if not rejected:
            rejects.final.unlink(missing_ok=True)  # an earlier run's: --overwrite was given, or it would not be there
    return Counts(rows, rows - rejected, rejected, job.rejects if rejected else None)


def _close(sink: Sink) -> None:
    """Let go of a file that may have failed already: what it says about that again is no news."""
    with suppress(OSError):
        sink.close()


def _sink(path: Path, source: Source) -> Sink:
    return CsvSink(path, source) if isinstance(source, CsvSource) else ParquetSink(path, source)


def _kind(path: Path) -> str:
    kinds = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
    found = kinds.get(path.suffix.lower())
    if found is None:
        raise ConfigurationError(f"{path.name} is neither .csv nor .parquet", mend="name a file with one of these")
    return found


def rejects_beside(to: Path) -> Path:
    """Where the rejects go if nobody says: `out.csv` has `out.rejects.csv`."""
    return to.with_name(f"{to.stem}.rejects{to.suffix}")
