"""A data file is usable as a whole, or refused in one line that names the file, the column and the line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from longshore import dataset
from longshore.config import Settings
from longshore.errors import DataError
from longshore.schema import Field, Kind, Schema

SCHEMA = Schema(
    name="engines",
    topic="engines",
    key="engine",
    target="wear",
    fields=(
        Field("speed", Kind.NUMERIC, minimum=0, maximum=100),
        Field("load", Kind.NUMERIC, nullable=False),
        Field("fuel", Kind.NOMINAL),
    ),
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "engines.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_features_target_and_key_in_schema_order_and_passes_over_other_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "note,fuel,engine,wear,load,speed\nx,gas,007,1.5,2,3\ny,,8,2.5,4,NA\n")

    frame = dataset.read_csv(path, SCHEMA, require_target=True)

    assert list(frame.columns) == ["speed", "load", "fuel", "wear", "engine"]
    assert frame["engine"].tolist() == ["007", "8"]
    assert frame["fuel"].tolist() == ["gas", None]
    np.testing.assert_array_equal(frame["speed"], [3.0, np.nan])


def test_a_row_without_an_id_is_known_by_its_number_in_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "speed,load,fuel,wear\n1,2,gas,3\n1,2,gas,3\n")

    assert dataset.read_csv(path, SCHEMA, require_target=True)["engine"].tolist() == ["0", "1"]


def test_words_that_mean_missing_for_numbers_are_categories_in_a_nominal_column(tmp_path: Path) -> None:
    path = written(tmp_path, "speed,load,fuel,wear\nnull,2,None,3\n,2,NA,3\n")

    frame = dataset.read_csv(path, SCHEMA, require_target=True)

    assert frame["fuel"].tolist() == ["None", "NA"]
    assert frame["speed"].isna().all()


def test_a_target_may_be_absent_where_nobody_needs_it(tmp_path: Path) -> None:
    path = written(tmp_path, "speed,load,fuel\n1,2,gas\n")

    assert dataset.read_csv(path, SCHEMA, require_target=False)["wear"].isna().all()


def test_byte_order_mark_and_empty_lines_at_the_end_are_harmless(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffspeed,load,fuel,wear\n1,2,gas,3\n\n\n")

    assert len(dataset.read_csv(path, SCHEMA, require_target=True)) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("speed,load,fuel,wear\n", "has a header and no rows"),
        ("speed,other\n1,2\n", "lacks load, fuel, wear (it has speed, other)"),
        ("speed,speed,load,fuel,wear\n1,1,2,gas,3\n", "has speed more than once"),
        ("speed,load,fuel,wear\n1,2,gas,3\nfast,2,gas,3\n", "line 3: speed is 'fast', not a number"),
        ("speed,load,fuel,wear\n1,inf,gas,3\n", "line 2: load is 'inf', not a number"),
        ("speed,load,fuel,wear\n1,1e999,gas,3\n", "line 2: load is 'inf', not a number"),
        ("speed,load,fuel,wear\n1,True,gas,3\n", "line 2: load is 'True', not a number"),
        ("speed,load,fuel,wear\n1,,gas,3\n", "line 2: load is empty"),
        ("speed,load,fuel,wear\n1,2,gas,\n1,2,gas,\n", "line 2: wear is empty (1 more like it)"),
        ("speed,load,fuel,wear\n101,2,gas,3\n", "line 2: speed is 101, above the maximum 100"),
        ("speed,load,fuel,wear\n-1,2,gas,3\n", "line 2: speed is -1, below the minimum 0"),
        ("speed,load,fuel,wear\n1,2,gas,3\n1,2,gas,3,4\n", "Expected 4 fields in line 3, saw 5"),
        ("speed,load,fuel,wear\n1,2,gas,3,4\n1,2,gas,3,4\n", "more cells in its rows"),
        ("engine,speed,load,fuel,wear\n,1,2,gas,3\n", "line 2: engine is empty"),
    ],
)
def test_an_unusable_file_is_refused_by_name(tmp_path: Path, text: str, expected: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(DataError) as caught:
        dataset.read_csv(path, SCHEMA, require_target=True)

    message = str(caught.value)
    assert str(path) in message
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"\x00\x01\x02", b"speed,load,fuel,wear\n1,2,\xff\xfe,3\n"])
def test_bytes_that_are_not_text_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "engines.csv"
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"engines\.csv"):
        dataset.read_csv(path, SCHEMA, require_target=True)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="name a readable CSV file"):
            dataset.read_csv(path, SCHEMA, require_target=True)


def test_the_option_goes_before_the_setting_and_the_setting_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert dataset.locate(None, Settings()) is None
    cached = tmp_path / "longshore" / "housing.csv"
    cached.parent.mkdir()
    cached.touch()

    assert dataset.locate(None, Settings()) == cached
    assert dataset.locate(None, Settings(data=Path("set.csv"))) == Path("set.csv")
    assert dataset.locate(Path("given.csv"), Settings(data=Path("set.csv"))) == Path("given.csv")
    assert dataset.locate(None, Settings(schema_file=Path("engines.toml"))) is None
