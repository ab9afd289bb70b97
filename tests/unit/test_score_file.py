"""A file's rows through the stream's own codec: each is in the result or a reject, as it came and with its number."""

from __future__ import annotations

import csv
import errno
import json
import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longshore.codec import Codec
from longshore.columns import Columns, Floats
from longshore.errors import ConfigurationError, DataError
from longshore.schema import Field, Kind, Schema
from longshore.scorer.files import run as module
from longshore.scorer.files.cells import number
from longshore.scorer.files.chunk import Chunk, Fault, score_chunk
from longshore.scorer.files.run import Counts, Job, open_source, rejects_beside, run

SCHEMA = Schema(
    name="wells",
    topic="wells",
    key="well",
    target="depth",
    fields=(
        Field("level", Kind.NUMERIC, nullable=False, minimum=0),
        Field("flow", Kind.NUMERIC),
        Field("soil", Kind.NOMINAL),
    ),
)


class Sum:
    """1,000 × level + flow, 0 where missing."""

    def predict(self, columns: Columns) -> Floats:
        found: Floats = 1_000 * columns.numeric[:, 0] + np.nan_to_num(columns.numeric[:, 1])
        return found


def scored(path: Path, to: Path, *, overwrite: bool = False, advance: Callable[[int], None] = lambda _: None) -> Counts:
    job = Job(path, to, rejects_beside(to), overwrite)
    job.check()
    return run(job, open_source(path, SCHEMA), SCHEMA, model=Sum(), version="v3", advance=advance)


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        return list(csv.reader(lines))


def test_a_csv_keeps_its_cells_and_gains_prediction_and_version(tmp_path: Path) -> None:
    path, to = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_bytes(
        b'\xef\xbb\xbfnote,level,soil,flow,id\r\n"a, ""b""\nc",2.50,clay,,007\r\n,1e1,,NA,x\r\nz,3, sand ,+.5,\r\n'
    )
    assert scored(path, to) == Counts(3, 3, 0, None)
    assert read(to) == [
        ["note", "level", "soil", "flow", "id", "prediction", "model_version"],
        ['a, "b"\nc', "2.50", "clay", "", "007", "2500.0", "v3"],
        ["", "1e1", "", "NA", "x", "10000.0", "v3"],
        ["z", "3", " sand ", "+.5", "", "3000.5", "v3"],
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_bad_rows_are_in_the_rejects_file_with_number_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 3)  # numbers go on from chunk to chunk
    path, to = tmp_path / "in.csv", tmp_path / "out.csv"
    rows = [
        b"1,2,a",
        b"-1,2,a",
        b"x,2,a",
        b"1,2",
        b"5,2,a",
        b"1,2,a,b",
        b",2,a",
        b"1,inf,a",
        b"1,2,\xff",
        b"6,1_0,a",
        b"7,,",
    ]
    path.write_bytes(b"level,flow,soil\n" + b"\n".join(rows) + b"\n")
    assert scored(path, to) == Counts(11, 3, 8, tmp_path / "out.rejects.csv")
    assert [row[0] for row in read(to)[1:]] == ["1", "5", "7"]
    header, *rejects = read(tmp_path / "out.rejects.csv")
    assert header == ["row", "reason", "message", "level", "flow", "soil"]
    assert all(len(row) == len(header) for row in rejects)
    assert [row[0] for row in rejects] == ["2", "3", "4", "6", "7", "8", "9", "10"]
    assert [row[1] for row in rejects] == ["InvalidRecord"] * 6 + ["NotUtf8", "InvalidRecord"]
    messages = [row[2] for row in rejects]
    assert "$.level" in messages[0] and ">= 0" in messages[0]
    assert "2 cells, the header 3" in messages[2] and "4 cells" in messages[3]
    assert rejects[3][3:] == ["1", "2", "a,b"]
    assert rejects[6][5].encode(errors="surrogateescape") == b"\xff", "the bytes as they came"


def test_numbers_are_read_as_the_stream_would_get_them() -> None:
    for cell in ("1", "-2.5", "+3", ".5", "5.", "1e-3", " 7 ", "1E5"):
        assert number(cell) == float(cell)
    for cell in ("", "NA", "nan", "null", " ", float("nan")):
        assert number(cell) is None
    for cell in ("inf", "-nan", "1_000", "0x10", "1,5", "١٢", "--1", True, [1]):
        assert number(cell) is cell, "the codec judges it as it is"


def test_parquet_keeps_its_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 2)
    path, to = tmp_path / "in.parquet", tmp_path / "out.parquet"
    given = pa.table(
        {
            "well": pa.array([1, 2, 3, 4], pa.int64()),
            "event_time": pa.array(
                [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)], pa.timestamp("us", "UTC")
            ),
            "level": pa.array([Decimal("1.5"), Decimal("-1"), Decimal("2"), None], pa.decimal128(6, 2)),
            "flow": pa.array([1.0, 2.0, float("nan"), 4.0], pa.float32()),
            "soil": pa.array(["a", "b", None, "a"]).dictionary_encode(),
        }
    )
    pq.write_table(given, path)
    assert scored(path, to) == Counts(4, 2, 2, tmp_path / "out.rejects.parquet")
    found, rejects = pq.read_table(to), pq.read_table(tmp_path / "out.rejects.parquet")
    assert found.schema.names == [*given.schema.names, "prediction", "model_version"]
    assert [found.schema.field(name).type for name in given.schema.names] == [column.type for column in given.columns]
    assert found["prediction"].to_pylist() == [1_501.0, 2_000.0]
    assert found["well"].to_pylist() == [1, 3]
    assert rejects["row"].to_pylist() == [2, 4]
    assert rejects["well"].to_pylist() == [2, 4]
    assert set(rejects["reason"].to_pylist()) == {"InvalidRecord"}


@pytest.mark.parametrize(
    "column",
    [pa.array([True, False]), pa.array([b"\xff", b"a"]), pa.array(["x", "y"]), pa.array([2**30, 1], pa.date32())],
)
def test_parquet_of_another_type_is_rejected_row_by_row(tmp_path: Path, column: Any) -> None:
    path, to = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"level": column, "flow": [1.0, 2.0], "soil": ["a", "b"]}), path)
    assert scored(path, to) == Counts(2, 0, 2, tmp_path / "out.rejects.parquet")


def test_nothing_is_overwritten_unless_it_is_said(tmp_path: Path) -> None:
    path, to, rejects = tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "out.rejects.csv"
    path.write_text("level,flow,soil\n1,1,a\n")
    to.write_text("precious")
    with pytest.raises(DataError, match="exists"):
        scored(path, to)
    assert to.read_text() == "precious"
    rejects.write_text("of an earlier run")
    scored(path, to, overwrite=True)
    assert read(to)[1] == ["1", "1", "a", "1001.0", "v3"]
    assert not rejects.exists(), "it would speak of rows that were scored"


def test_a_file_that_breaks_halfway_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 2)
    path, to = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("level,flow,soil\n" + "1,1,a\n" * 5 + '1,1,"' + "x" * 1_000_000)
    with pytest.raises(DataError, match="line"):
        scored(path, to)
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("bad", [b"\xff", b"a\xf1o"])
def test_a_text_that_is_none_is_one_rows_fault_and_no_category(tmp_path: Path, bad: bytes) -> None:
    path, to = tmp_path / "in.parquet", tmp_path / "out.parquet"
    soil = pa.array([b"a", bad, None, b"b"]).view(pa.string())
    pq.write_table(pa.table({"level": [1.0] * 4, "flow": [1.0] * 4, "soil": soil}), path)
    assert scored(path, to) == Counts(4, 3, 1, tmp_path / "out.rejects.parquet")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_full_disk_is_an_error_of_ours_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path, to = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    table = pa.table({"level": [1.0, -1.0], "flow": [1.0, 2.0], "soil": ["a", "b"]})
    pq.write_table(table, path) if suffix == "parquet" else path.write_text("level,flow,soil\n1,1,a\n-1,1,a\n")
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "fsync", Mock(side_effect=full))
    with pytest.raises(DataError, match="No space left"):
        scored(path, to)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("header", "named"),
    [("level,flow", "soil"), ("level,flow,soil,prediction", "prediction"), ("level,flow,soil,flow", "flow")],
)
def test_a_header_that_cannot_work_is_refused_by_name(tmp_path: Path, header: str, named: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(header + "\n")
    with pytest.raises(DataError, match=named):
        open_source(path, SCHEMA)


@pytest.mark.parametrize(("source", "to"), [("a.csv", "b.parquet"), ("a.txt", "b.csv"), ("a.csv", "a.csv")])
def test_paths_that_cannot_work_are_refused(tmp_path: Path, source: str, to: str) -> None:
    with pytest.raises(ConfigurationError):
        Job(tmp_path / source, tmp_path / to, rejects_beside(tmp_path / to), overwrite=True).check()


def test_memory_does_not_grow_with_the_file_and_progress_reaches_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 500)

    def peak(rows: int) -> int:
        path, to = tmp_path / f"{rows}.csv", tmp_path / f"{rows}.out.csv"
        path.write_text("level,flow,soil\n" + "1.25,17,clay\n" * rows)
        done: list[int] = []
        tracemalloc.start()
        scored(path, to, advance=done.append)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sum(done) == path.stat().st_size // 1_024
        return found

    peak(1_000)
    assert peak(8_000) < 1.3 * peak(2_000)


def test_a_rows_verdict_is_the_streams(tmp_path: Path) -> None:
    """Values that a JSON record may have, written to a CSV as text."""
    levels = [0, -0.0, 1e-300, 1e300, 5e-324, -1e-9, 12345678901234567890, 0.1 + 0.2]
    path, to = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("level,flow,soil\n" + "".join(f"{level!r},,\n" for level in levels))
    scored(path, to)
    identity = {"record_id": "a", "well": "b", "event_time": 1}
    decoded = Codec(SCHEMA).decode([json.dumps(identity | {"level": level}).encode() for level in levels])
    assert [float(row[3]) for row in read(to)[1:]] == Sum().predict(decoded.columns).tolist()


def test_a_row_that_could_not_be_read_is_not_scored_as_an_empty_one() -> None:
    """Every field of this schema may be missing, so the codec alone would let the row pass."""
    schema = Schema(name="s", topic="s", key="k", target="t", fields=SCHEMA.fields[1:])
    fault = Fault(1, "InvalidRecord", "cut short")
    chunk = Chunk(1, 2, {"flow": ["1", ""], "soil": ["a", ""]}, [["1", "a"], ["1"]], [fault])

    class One:
        def predict(self, columns: Columns) -> Floats:
            return np.ones(len(columns))

    result = score_chunk(chunk, schema, Codec(schema), One())
    assert (result.positions, result.faults) == ([0], [fault])
