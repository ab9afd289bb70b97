"""Versions of training sets: one for each content, whole or not there, bounded, and told apart from damaged ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from tests.trainer_rows import NUMBERS, SCHEMAS, make_rows

from longshore.cli.app import App
from longshore.cli.dataset import dataset as command
from longshore.cli.train import train
from longshore.cli.training_data import Intake
from longshore.config import DatasetSettings, Settings, TrainerSettings
from longshore.errors import ConfigurationError, IntegrityError, LongshoreError
from longshore.registry import Registry
from longshore.trainer.data_quality import report
from longshore.trainer.datasets import Datasets
from longshore.trainer.rows import LabelledRows, content_sha256

ORIGIN = {
    "source": "test", "offsets": None, "from_offsets": None, "cut": None, "fresh_from": 0, "max_rows": 9, "left_out": {}
}  # fmt: skip
ROWS = make_rows(NUMBERS, 80).in_order()


@pytest.fixture
def datasets(tmp_path: Path) -> Datasets:
    return Datasets(tmp_path / "datasets" / "default")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    app = App(Settings(home=tmp_path, bootstrap_servers=None, redis_url=None))

    def invoke(*arguments: str, fails: bool = False) -> Any:
        result = CliRunner().invoke(command, [*arguments, "--output", "json"], obj=app)
        if isinstance(result.exception, LongshoreError):
            raise result.exception
        assert result.exit_code == int(fails), result.output
        return json.loads(result.stdout)

    return invoke


def keep(datasets: Datasets, rows: LabelledRows, trigger_id: str = "t", history: LabelledRows | None = None) -> str:
    return datasets.keep(rows, history, trigger_id, ORIGIN, report(rows, {}))


class Killed(BaseException):
    """The process is gone: nothing catches it."""


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_what_is_kept_is_read_back_as_it_was(datasets: Datasets, name: str) -> None:
    schema = SCHEMAS[name]
    rows, history = make_rows(schema, 60, start_ms=100).in_order(), make_rows(schema, 40, seed=1).in_order()
    dataset = keep(datasets, rows, history=history)
    found, past = datasets.rows(dataset, schema)
    assert past is not None and (found.sha256(), past.sha256()) == (rows.sha256(), history.sha256())
    assert found.columns.record_ids == rows.columns.record_ids
    np.testing.assert_array_equal(found.columns.numeric, rows.columns.numeric)
    assert found.columns.nominal == rows.columns.nominal and found.target.tolist() == rows.target.tolist()
    manifest = datasets.manifest(dataset)
    assert manifest["sha256"] == content_sha256(rows, history) and manifest["sha256"].startswith(dataset)
    assert manifest["rows"] == {"fresh": 60, "history": 40} and manifest["event_time"] == [100, 159]
    assert manifest["schema"]["fingerprint"] == schema.fingerprint() and manifest["trigger_id"] == "t"
    assert set(manifest["quality"]["columns"]) == set(schema.feature_names)


def test_the_same_content_is_one_version_and_which_rows_are_history_is_content(datasets: Datasets) -> None:
    shuffled = ROWS.take(np.random.default_rng(1).permutation(80)).in_order()
    assert keep(datasets, ROWS, "a") == keep(datasets, shuffled, "b")
    assert len(datasets.ids()) == 1 and datasets.run("b") is not None
    parts = ROWS.take(np.arange(60)), ROWS.take(np.arange(60, 80))
    assert keep(datasets, parts[0], "c", parts[1]) != keep(datasets, parts[1], "d", parts[0])
    assert [manifest["parent"] for manifest in datasets.manifests()] == [None, *datasets.ids()[:-1]]


def test_a_kill_while_writing_leaves_nothing_and_a_second_try_all(
    datasets: Datasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dying)
        with pytest.raises(Killed):
            keep(datasets, ROWS)
    assert datasets.ids() == [] and datasets.run("t") is None
    dataset = keep(datasets, ROWS)
    assert datasets.verify(dataset) == []
    assert datasets.run("t") == {"format": 1, "trigger_id": "t", "dataset": dataset, "origin": ORIGIN}


def test_a_kill_while_removing_leaves_no_version_and_the_same_content_can_come_again(
    datasets: Datasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = (keep(datasets, make_rows(NUMBERS, 60, seed=seed), f"t{seed}") for seed in range(3))
    unlink = Path.unlink

    def dying(path: Path, missing_ok: bool = False) -> None:
        if path.name == "data.parquet":
            raise Killed
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", dying)
        with pytest.raises(Killed):
            datasets.collect(2, ())
    assert len(datasets.ids()) == 2 and datasets.path(first, "data.parquet").is_file()
    assert keep(datasets, make_rows(NUMBERS, 60), "again") == first
    assert datasets.verify(first) == [] and len(datasets.ids()) == 3
    datasets.path(first, "manifest.json").unlink()
    assert datasets.collect(2, ()) == [] and not datasets.path(first).exists(), "nor do its remains stay"


def test_the_newest_and_those_of_models_stay(datasets: Datasets) -> None:
    made = [keep(datasets, make_rows(NUMBERS, 60, seed=seed), f"t{seed}") for seed in range(6)]
    whole = datasets.manifest(made[1])["sha256"]
    assert datasets.collect(2, {whole}) == [made[0], made[2], made[3]]
    assert datasets.ids() == [made[1], made[4], made[5]]
    assert datasets.run("t0") is None and datasets.run("t1") is not None
    assert sorted(path.name for path in datasets.path("runs").iterdir()) == ["t1.json", "t4.json", "t5.json"]


def test_damage_is_found_and_named(datasets: Datasets, run: Callable[..., Any]) -> None:
    good, flipped, gone, swapped = (keep(datasets, make_rows(NUMBERS, 60, seed=s), f"t{s}") for s in range(4))
    file = datasets.path(flipped, "data.parquet")
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    datasets.path(gone, "data.parquet").unlink()
    for name in ("data.parquet", "manifest.json"):
        place = datasets.path(swapped, name)
        place.unlink()
        place.write_bytes(datasets.path(good, name).read_bytes())
    found = {one["dataset"]: one["problems"] for one in run("verify", fails=True)}
    assert "not what its sha256 says" in found[flipped][0] and "is missing" in found[gone][0]
    assert f"holds the rows {good}" in datasets.verify(swapped)[0]
    assert run("verify", good) == [{"dataset": good, "ok": True, "problems": []}]
    with pytest.raises(IntegrityError, match="not what its sha256 says"):
        run("restore", flipped, "--to", str(file.parent / "x.csv"))


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]", b'{"a": 1}', b'{"format": 99}'])
def test_a_damaged_manifest_is_named_and_stops_nothing_else(
    datasets: Datasets, run: Callable[..., Any], content: bytes
) -> None:
    damaged, good = (keep(datasets, make_rows(NUMBERS, 60, seed=seed), f"t{seed}") for seed in range(2))
    place = datasets.path(damaged, "manifest.json")
    place.chmod(0o644)
    place.write_bytes(content)
    made = [keep(datasets, make_rows(NUMBERS, 60, seed=seed), f"t{seed}") for seed in (2, 3)]
    assert [one["id"] for one in run("list")] == [good, *made]
    found = {one["dataset"]: one["problems"] for one in run("verify", fails=True)}
    assert str(place) in found.pop(damaged)[0] and not any(found.values())
    with pytest.raises(LongshoreError, match=r"manifest\.json"):
        run("show", damaged[:6])
    assert datasets.collect(2, ()) == [good] and datasets.path(damaged, "data.parquet").exists()


def test_what_is_not_ours_in_the_folder_is_never_removed(datasets: Datasets) -> None:
    for seed in range(3):
        keep(datasets, make_rows(NUMBERS, 60, seed=seed), f"t{seed}")
    others = [datasets.folder / "holiday-pictures" / "beach.jpg", datasets.folder / "sixteen-letters."]
    for file in others:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    assert len(datasets.collect(2, ())) == 1
    assert all(file.exists() for file in others) and len(datasets.ids()) == 2


def test_versions_are_found_by_the_beginning_of_their_hash(datasets: Datasets, run: Callable[..., Any]) -> None:
    assert run("list") == []
    with pytest.raises(ConfigurationError, match="none was made yet"):
        run("show", "ab")
    made = [keep(datasets, make_rows(NUMBERS, 60, seed=seed), f"t{seed}") for seed in range(17)]
    shown = run("show", made[0][:9])
    assert shown["id"] == made[0] and Path(shown["path"]).is_file()
    assert run("show", shown["sha256"].upper())["id"] == made[0]
    shared = next(digit for digit in "0123456789abcdef" if sum(one.startswith(digit) for one in made) > 1)
    with pytest.raises(ConfigurationError, match="give more digits"):
        run("show", shared)
    with pytest.raises(ConfigurationError, match="there is no dataset 'xyz'"):
        run("diff", made[0], "xyz")
    assert [one["id"] for one in run("list")] == made


def test_a_difference_is_rows_by_id_columns_and_figures(datasets: Datasets, run: Callable[..., Any]) -> None:
    numeric, target = ROWS.columns.numeric.copy(), ROWS.target.copy()
    numeric[3, 0] += 1
    numeric[4, 1] = np.nan if not np.isnan(numeric[4, 1]) else 1.0
    target[4] += 5
    other = LabelledRows(replace(ROWS.columns, numeric=numeric), target).take(np.arange(2, 80))
    more = make_rows(NUMBERS, 1, seed=9)
    names = keep(datasets, ROWS, "a"), keep(datasets, other, "b", more)
    found = run("diff", *names)
    assert found["rows"] == {"before": 80, "after": 79, "same": 76}
    assert (found["removed"]["count"], found["added"]) == (2, {"count": 1, "examples": ["r9-0"]})
    assert found["changed"]["examples"] == ["r0-3", "r0-4"]
    assert found["changed"]["columns"] == {"flow": 1, "heat": 1, "wear": 1}
    assert "mean" in found["summaries"]["flow"] and "mean" in found["summaries"]["(target)"]
    same = run("diff", names[0], names[0])
    assert same["rows"]["same"] == 80 and not same["changed"]["count"] and not same["summaries"]


def test_the_table_forms_say_the_same(datasets: Datasets, tmp_path: Path) -> None:
    names = keep(datasets, ROWS, "a"), keep(datasets, ROWS.take(np.arange(70)), "b")
    app = App(Settings(home=tmp_path, bootstrap_servers=None, redis_url=None))
    for arguments, words in (
        (["list"], [*names, "test"]),
        (["show", names[0]], ["80 fresh, 0 history", "flow", "wear (target)"]),
        (["diff", *names], ["80 → 70, 70 the same", "removed   10"]),
        (["verify"], [f"{name}  ok" for name in names]),
    ):
        result = CliRunner().invoke(command, arguments, obj=app)
        assert result.exit_code == 0 and all(word in result.stdout for word in words), result.output


def test_restoring_writes_the_rows(datasets: Datasets, run: Callable[..., Any], tmp_path: Path) -> None:
    dataset = keep(datasets, ROWS)
    run("restore", dataset, "--to", str(tmp_path / "out" / "a.csv"))
    frame = pd.read_csv(tmp_path / "out" / "a.csv")
    assert list(frame.columns) == ["record_id", "pump", "event_time", "flow", "heat", "wear"]
    np.testing.assert_array_equal(frame["wear"], ROWS.target)
    np.testing.assert_array_equal(frame["flow"], ROWS.columns.numeric[:, 0])
    assert run("restore", dataset, "--to", str(tmp_path / "b.parquet"))["files"] == [str(tmp_path / "b.parquet")]
    assert (tmp_path / "b.parquet").read_bytes() == datasets.path(dataset, "data.parquet").read_bytes()
    with pytest.raises(ConfigurationError, match=r"neither \.parquet nor \.csv"):
        run("restore", dataset, "--to", str(tmp_path / "c.txt"))


def test_in_a_dvc_project_each_version_has_its_dvc_file(
    datasets: Datasets, run: Callable[..., Any], tmp_path: Path
) -> None:
    dataset = keep(datasets, ROWS)
    assert not datasets.path(dataset, "data.parquet.dvc").exists()
    files = run("restore", dataset, "--to", str(tmp_path / "a b.parquet"), "--dvc")["files"]
    data = datasets.path(dataset, "data.parquet").read_bytes()
    out = yaml.safe_load(Path(files[1]).read_text())["outs"][0]
    assert out == {"md5": out["md5"], "size": len(data), "hash": "md5", "path": "a b.parquet"}
    (tmp_path / ".dvc").mkdir()
    other = keep(datasets, ROWS.take(np.arange(70)), "b")
    (described,) = yaml.safe_load(datasets.path(other, "data.parquet.dvc").read_text())["outs"]
    assert described["path"] == "data.parquet" and pq.read_table(datasets.path(other, described["path"])).num_rows == 70
    assert described["size"] == datasets.path(other, "data.parquet").stat().st_size and datasets.verify(other) == []


def intake(home: Path, trigger_id: str, **settings: Any) -> Intake:
    app = App(Settings(home=home, trainer=TrainerSettings(min_rows=50), datasets=DatasetSettings(**settings)))
    return Intake(app, Registry.open(str(home / "registry"), "default"), trigger_id)


def test_a_run_stores_what_it_trains_on_and_can_be_trained_again_on_it(tmp_path: Path) -> None:
    first = intake(tmp_path, "a").from_file(None, 300)
    (dataset,) = Datasets(tmp_path / "datasets" / "default").ids()
    assert first.sha256().startswith(dataset) and first.source == "generator"
    again = intake(tmp_path, "b").from_version(dataset[:6])
    assert again == replace(first, rows=again.rows) and again.sha256() == first.sha256()
    assert again.rows.columns.record_ids == first.rows.columns.record_ids


def test_what_models_were_made_from_stays_and_the_rest_is_bounded(tmp_path: Path) -> None:
    datasets = Datasets(tmp_path / "datasets" / "default")
    for rows in (60, 70, 80, 90):
        run = intake(tmp_path, f"t{rows}", keep=2)
        data = run.from_file(None, rows)
        if rows == 60:
            run.registry.register({"model.onnx": b""}, {"dataset": {"sha256": data.sha256()}})
    assert [manifest["rows"]["fresh"] for manifest in datasets.manifests()] == [60, 80, 90]


@pytest.mark.parametrize(
    "arguments", [["--dataset", "ab", "--data", "x.csv"], ["--dataset", "ab", "--follow"], ["--cut", "2h"]]
)
def test_where_rows_come_from_is_said_once(tmp_path: Path, arguments: list[str]) -> None:
    assert CliRunner().invoke(train, arguments, obj=App(Settings(home=tmp_path))).exit_code == 2
    assert not (tmp_path / "datasets").exists()
