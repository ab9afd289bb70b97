"""`longshore drift` without Kafka: compare and calibrate, their JSON, exit codes, one line for what cannot be used."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from longshore.cli.drift import compare, drift
from longshore.cli.drift_calibrate import calibrate
from longshore.cli.drift_files import read_frame
from longshore.cli.drift_status import Board
from longshore.cli.drift_table import p_sparkline, picture
from longshore.errors import ConfigurationError, DataError
from longshore.monitor.report import Bins
from longshore.profile import Profile
from longshore.records import DriftEvent, Moved, Window
from longshore.tracing.drift import Told

STREAM_KEYS = {"name", "kind", "alert", "p_value", "psi", "kl", "js", "wasserstein", "wasserstein_sigma", "ks"}


@pytest.fixture
def files(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=2_000), "kind": random.integers(0, 3, 2_000)})
    paths = {name: tmp_path / f"{name}.csv" for name in ("reference", "same", "moved", "narrow", "empty", "binary")}
    frame[:1_000].to_csv(paths["reference"], index=False)
    frame[1_000:].to_csv(paths["same"], index=False)
    frame[1_000:].assign(x=frame["x"] + 1).to_csv(paths["moved"], index=False)
    frame[["x"]].to_csv(paths["narrow"], index=False)
    paths["empty"].touch()
    paths["binary"].write_bytes(b"\xff\xfe\x00")
    paths |= {"parquet": tmp_path / "moved.parquet", "broken": tmp_path / "broken.parquet", "text": tmp_path / "a.txt"}
    frame[1_000:].assign(x=frame["x"] + 1).to_parquet(paths["parquet"])
    paths["broken"].write_bytes(b"PAR1 not")
    paths["text"].write_text("x,kind\n1,2\n")
    return {name: str(path) for name, path in paths.items()}


def run(*arguments):
    return CliRunner().invoke(compare, list(arguments))


def test_json_has_the_contracts_keys_and_ranks(files):
    result = run(files["reference"], files["moved"], "--categorical", "kind", "--output", "json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["alert"] is True
    assert [stream["name"] for stream in report["streams"]] == ["x", "kind"]
    assert all(stream.keys() >= STREAM_KEYS for stream in report["streams"])
    assert report["streams"][1]["kind"] == "nominal"
    assert report["streams"][0]["q_value"] < 0.01


def test_values_outside_all_that_the_reference_held_are_told_where_no_distance_shows_them(tmp_path):
    random = np.random.default_rng(3)
    reference = pd.DataFrame({"x": random.integers(0, 50, 4_000).clip(5, 45)})
    now = pd.DataFrame({"x": random.integers(0, 50, 1_000).clip(5, 45) + 0.001 * (random.random(1_000) < 0.1)})
    for name, frame in (("reference", reference), ("now", now)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    page = tmp_path / "out.html"
    result = run(str(tmp_path / "reference.csv"), str(tmp_path / "now.csv"), "--html", str(page))
    beyond = float((now["x"] > 45).mean())
    assert 0.003 <= beyond <= 0.03
    assert f"x: {beyond * 100:.1f} % of its values lie outside all that the reference held" in result.stdout
    assert "of its values lie outside all that the reference held" in page.read_text()


def test_exit_codes(files):
    assert run(files["reference"], files["moved"]).exit_code == 0
    assert run(files["reference"], files["moved"], "--fail-on-alert").exit_code == 1
    assert run(files["reference"], files["same"], "--fail-on-alert").exit_code == 0
    assert run(files["reference"], files["reference"] + ".not").exit_code == 2


def test_the_table_names_what_moved_first(files):
    lines = run(files["reference"], files["moved"]).stdout
    assert "DRIFT in 1 of 2 columns" in lines
    assert "≤" not in lines
    assert lines.index("x ") < lines.index("kind")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("narrow", "kind"),
        ("empty", "empty.csv"),
        ("binary", "binary.csv"),
        ("broken", "broken.parquet"),
        ("text", "neither CSV nor Parquet"),
    ],
)
def test_unusable_data_is_named(files, name, words):
    error = run(files["reference"], files[name]).exception
    assert isinstance(error, DataError)
    assert words in str(error)
    assert "\n" not in str(error)


def test_the_picture_has_a_bar_for_every_bin():
    assert picture(Bins(["a", "b", "c"], [], [5, 5, 0], [10, 0, 0])) == "▅▅  → █  "


def test_json_tells_what_is_usual_beside_each_metric(files):
    report = json.loads(run(files["reference"], files["moved"], "--output", "json").stdout)
    first = report["streams"][0]
    assert first["chi_squared"] > 0 and 0 < first["hellinger"] < 1
    assert all(len(values) == 3 and values == sorted(values) for values in first["usual"].values())
    assert first["psi"] > first["usual"]["psi"][2]


def test_parquet_and_csv_give_the_same(files):
    csv, parquet = (read_frame(Path(files[name])) for name in ("moved", "parquet"))
    pd.testing.assert_frame_equal(csv, parquet.reset_index(drop=True))


def test_verbose_says_what_is_usual(files):
    shown = run(files["reference"], files["moved"], "--verbose").stdout
    assert "≤ 0." in shown
    assert "95 % of comparisons of 1,000 rows" in shown
    assert "q ≤ 0.1 (of these at most a tenth are expected to be false): x" in shown


def test_a_page_is_written_whole_or_not_at_all(files, tmp_path):
    page = tmp_path / "page.html"
    assert run(files["reference"], files["moved"], "--html", str(page)).exit_code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [each.name for each in tmp_path.iterdir() if "partial" in each.name] == []
    error = run(files["reference"], files["moved"], "--html", str(tmp_path / "no" / "page.html")).exception
    assert isinstance(error, DataError) and "page.html" in str(error)


def test_thresholds_of_ones_own_decide_in_place_of_the_calibration(files):
    def alerts(*given):
        result = run(files["reference"], files["moved"], *given, "--output", "json")
        return {stream["name"]: stream["alert"] for stream in json.loads(result.stdout)["streams"]}

    assert alerts() == {"x": True, "kind": False}
    assert alerts("--threshold", "psi=9") == {"x": False, "kind": False}
    assert alerts("--threshold", "x.psi=0.2", "--threshold", "kind.psi=1e-12") == {"x": True, "kind": True}
    assert run(files["reference"], files["moved"], "--threshold", "psi").exit_code == 2
    assert isinstance(run(files["reference"], files["moved"], "--threshold", "psy=1").exception, ConfigurationError)


def test_columns_that_no_longer_go_together_are_told_in_a_line_and_in_json(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=900)
    frame = pd.DataFrame({"x": x, "y": x + 0.1 * random.normal(size=900)})
    old, same, apart, page = (str(tmp_path / name) for name in ("old.csv", "same.csv", "apart.csv", "page.html"))
    frame[:600].to_csv(old, index=False)
    frame[600:].to_csv(same, index=False)
    frame[600:].assign(y=random.permutation(frame["y"][600:])).to_csv(apart, index=False)
    told = json.loads(run(old, apart, "--joint", "--threshold", "psi=9", "--output", "json").stdout)
    assert told["alert"] is told["joint"]["alert"] is True
    assert {used["name"] for used in told["joint"]["ranked"]} == {"x", "y"}
    shown = run(old, apart, "--joint", "--fail-on-alert", "--html", page)
    assert shown.exit_code == 1
    assert "DRIFT of the columns together, in none alone" in shown.stdout
    assert "Columns together: DRIFT (AUC 0.9" in shown.stdout and "none moved alone" in " ".join(shown.stdout.split())
    written = Path(page).read_text(encoding="utf-8")
    assert "Columns together: DRIFT" in written and "Nothing moved" not in written
    alone = run(old, apart, "--fail-on-alert", "--output", "json")
    assert alone.exit_code == 0, "no column shows it"
    assert json.loads(alone.stdout)["joint"] is None
    assert "Columns together: no drift (AUC 0." in run(old, same, "--joint").stdout


def test_ratios_and_places_are_watched(files):
    given = ("--ratio", "part=x/kind", "--place", "x", "kind", "--output", "json")
    result = run(files["reference"], files["moved"], *given)
    report = json.loads(result.stdout)
    assert {stream["name"] for stream in report["streams"]} == {"x", "kind", "part"}
    assert run(files["reference"], files["moved"], "--ratio", "part=x").exit_code == 2


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated")
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"x": random.normal(size=1_500), "word": random.choice(["a", "b"], 1_500)})
    frame.to_csv(folder / "r.csv", index=False)
    return folder


def test_calibrate_tells_usual_values_and_limits_and_writes_the_profile(calibrated):
    to = calibrated / "r.profile"
    result = CliRunner().invoke(calibrate, [str(calibrated / "r.csv"), "--to", str(to), "--output", "json"])
    told = json.loads(result.stdout)
    assert [stream["name"] for stream in told["streams"]] == ["x", "word"]
    sizes = told["streams"][0]["usual"]
    assert list(sizes) == ["100", "250", "500", "1000", "2500", "5000", "10000"]
    medians = [values["psi"][0] for values in sizes.values()]
    assert medians == sorted(medians, reverse=True), "larger windows vary less"
    limits = told["limits"][0]["limits"]
    assert list(limits) == ["1000", "10000", "100000", "1000000", "10000000"]
    found = [limit for limit in limits.values() if limit is not None]
    assert found == sorted(found, reverse=True), "rarer alerts need a smaller limit"
    profile = Profile.from_bytes(to.read_bytes())
    assert profile.rows == told["rows"] == 1_500


def test_calibrate_prints_tables_for_the_run_lengths_asked_for(calibrated):
    shown = CliRunner().invoke(calibrate, [str(calibrated / "r.csv"), "--run-length", "500000"]).stdout
    assert "x: usual values" in shown and "one in 500,000" in shown
    assert "Total variation" in shown and "10,000" in shown


def test_calibrate_names_the_rules_there_are(calibrated):
    error = CliRunner().invoke(calibrate, [str(calibrated / "r.csv"), "--persistence", "7", "9"]).exception
    assert isinstance(error, ConfigurationError)
    assert "7 9" in str(error) and "2 3" in str(error)


@pytest.mark.parametrize("command", ["compare", "calibrate", "status", "report", "explain"])
def test_help_shows_how_it_is_used(command):
    shown = CliRunner().invoke(drift, [command, "--help"])
    assert shown.exit_code == 0
    assert f"longshore drift {command}" in shown.stdout


def test_rarer_p_values_stand_higher_and_the_limit_at_half_height():
    bars = p_sparkline([1.0, 1e-4, 1e-8], 1e-4)
    assert list(bars) == sorted(bars) and bars[1] in "▄▅" and bars[2] == "█"


def verdict(index, kind="verdict", **changed):
    streams = [Moved("x", "numeric", False, 0.5, 0.01, 0.01, 0.04, 1.0, 0.1, 0.02)]
    given = {
        "kind": kind, "cause": "", "stream_set": "s", "model_version": "v1", "generation": 1,
        "window": Window(index * 10, index * 10 + 10, 100), "window_index": index, "status": "final", "state": "ok",
        "episode": "", "p_value": 0.5, "thresholds": {}, "streams": streams,
        "detail": {"limit": 1e-3, "run_length": 1e6},
    }  # fmt: skip
    return Told(DriftEvent(**(given | changed)), index * 10 + 20)


def test_the_status_board_keeps_its_keys_and_adds_to_them():
    board = Board()
    empty = board.to_dict(0)
    assert (empty["last"], empty["verdict"], empty["episode"]) == (None, None, None)
    for index in range(40):
        board.add(verdict(index))
    board.add(verdict(40, "alert", state="alarm", episode="e1"))
    told = board.to_dict(1_000)
    assert told["last"].kind == "alert" and told["verdict"].window_index == 39
    assert (told["state"], told["episode"], told["alerts"]) == ("alarm", "e1", 1)
    assert (told["limit"], told["run_length"], told["verdict_age_ms"]) == (1e-3, 1e6, 590)
    assert len(told["recent_p_values"]["x"]) == 24
