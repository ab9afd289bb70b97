"""A run ends once, whatever kills it and wherever: one version, one promotion or rejection, one outcome."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from tests.trainer_rows import NUMBERS, SCHEMAS, make_rows

from longshore.config import Settings, TrainerSettings
from longshore.errors import ConfigurationError, DataError
from longshore.records import ModelEventKind
from longshore.registry import Registry
from longshore.schema import describe
from longshore.served_model import ServedModel
from longshore.trainer.rows import LabelledRows
from longshore.trainer.run import Trainer
from longshore.trainer.training import STAGES
from longshore.trainer.training_set import TrainingSet

SETTINGS = Settings(trainer=TrainerSettings(min_rows=100))
LEARNABLE = TrainingSet(make_rows(NUMBERS), "test")
REPLACED = TrainingSet(make_rows(NUMBERS, seed=1, scale=9.0), "test")
"""The world after a drift: a champion trained on LEARNABLE is poor there."""
UNLEARNABLE = TrainingSet(
    LabelledRows(LEARNABLE.rows.columns, np.random.default_rng(1).standard_cauchy(len(LEARNABLE.rows))), "test"
)


class Killed(BaseException):
    """The process is gone: nothing catches it."""


class Fragile:
    """A registry whose process dies before or after its k-th effect."""

    def __init__(self, registry: Registry, at: int, *, after: bool) -> None:
        self._registry, self._left, self._after = registry, at, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._registry, name)
        return self._dying(real) if name in ("register", "move_alias", "record_rejection") else real

    @property
    def notes(self) -> Any:
        notes = SimpleNamespace(judgements=self._registry.notes.judgements, reject=self._registry.notes.reject)
        notes.judge = self._dying(self._registry.notes.judge)
        return notes

    def project(self) -> None:
        self._dying(lambda: None)()

    def _dying(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            result = real(*args, **kwargs)
            if self._left == 0:
                raise Killed
            return result

        return call


def opened(folder: Path) -> Registry:
    return Registry.open(str(folder), "m")


def profile(frame: pd.DataFrame, nominal: Any, labels: Any) -> bytes:
    assert list(frame.columns)[-1] == "prediction" and np.isfinite(frame["prediction"]).all()
    assert len(labels) == len(frame) and np.isfinite(labels).all()
    return f"{len(frame)} rows, nominal {list(nominal)}".encode()


def trainer(
    registry: Any,
    stages: list[str] | None = None,
    project: Callable[[], object] = lambda: None,
    settings: Settings = SETTINGS,
) -> Trainer:
    return Trainer(
        settings=settings,
        registry=registry,
        build_profile=profile,
        project=project,
        actor="test",
        report=lambda stage, _: (stages if stages is not None else []).append(stage),
    )


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry whose champion v1 was trained on LEARNABLE for the trigger t1."""
    folder = tmp_path_factory.mktemp("trained")
    trainer(opened(folder)).run("t1", lambda: LEARNABLE)
    return folder


@pytest.fixture
def folder(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of it, to do with as one likes."""
    return Path(shutil.copytree(trained_once, tmp_path / "registry"))


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_first_run_registers_a_complete_version_and_promotes_it(tmp_path: Path, name: str) -> None:
    stages: list[str] = []
    registry, data = opened(tmp_path), TrainingSet(make_rows(SCHEMAS[name], 600), "test")
    outcome = trainer(registry, stages).run("t1", lambda: data)
    champion = registry.alias()
    assert outcome.status == "promoted" and champion is not None and champion.version == outcome.version == "v1"
    assert stages == list(STAGES)
    manifest = registry.manifest("v1")
    pages = {"exploration.html", "report.html", "card.md", "summary.json"}
    loss = {"loss.onnx"} if SCHEMAS[name].numeric else set()
    assert set(manifest["files"]) == {"model.onnx", "pipeline.joblib", "profile", *loss, *pages}
    assert manifest["schema"] == describe(SCHEMAS[name]) and manifest["trigger_id"] == "t1"
    assert manifest["dataset"] == {"sha256": data.rows.sha256(), "rows": 600, "source": "test"}
    assert manifest["parity"]["servable"] and manifest["signature"] is None
    assert manifest["metrics"]["rows_train"] + manifest["metrics"]["rows_test"] == 600
    assert {"baseline", "parameters", "code_version", "libraries", "split", "segments", "conformal"} <= set(manifest)
    assert {"rmse", "rmse_interval", "bootstrap"} <= set(manifest["metrics"])
    (noted,) = registry.notes.judgements("v1")
    undecided = {check["name"] for check in noted.checks if check["status"] == "insufficient"}
    assert undecided == {"data quality", "fresh rows"}, "there is a figure for everything but the champion"
    assert registry.read("v1", "profile").startswith(b"600 rows")


def test_the_version_s_two_models_agree(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    trainer(registry).run("t1", lambda: LEARNABLE)
    columns = make_rows(NUMBERS, 50, seed=8).columns
    served = ServedModel.load(registry.read("v1", "model.onnx")).predict(columns)
    stored = joblib.load(io.BytesIO(registry.read("v1", "pipeline.joblib"))).predict(columns.frame())
    np.testing.assert_allclose(served, stored, rtol=1e-5)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3, 4], ids=["register", "judge", "act", "project"])
@pytest.mark.parametrize("data", [REPLACED, UNLEARNABLE], ids=["promotion", "rejection"])
def test_a_run_killed_at_any_step_is_resumed_and_not_doubled(
    folder: Path, data: TrainingSet, step: int, after: bool
) -> None:
    dying = Fragile(opened(folder), step, after=after)
    with pytest.raises(Killed):
        trainer(dying, project=dying.project).run("second", lambda: data)
    again = opened(folder)
    outcome = trainer(again).run("second", lambda: data)
    third = trainer(opened(folder)).run("second", lambda: pytest.fail("nothing is left to do"))
    assert third == outcome and outcome.version == "v2" and again.versions() == ["v1", "v2"]
    ends = [event for event in again.events() if event.version == "v2" and event.kind is not ModelEventKind.REGISTERED]
    assert [(event.kind.value, event.trigger_id) for event in ends] == [(outcome.status, "second")]
    assert outcome.status == ("promoted" if data is REPLACED else "rejected")
    champion = again.alias()
    assert champion is not None and champion.version == ("v2" if data is REPLACED else "v1")


def test_a_resumed_run_does_not_undo_a_rollback(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    trainer(registry).run("t1", lambda: LEARNABLE)
    trainer(registry).run("t2", lambda: REPLACED)
    registry.move_alias(
        "champion", "v1", expected_generation=2, trigger_id="op", actor="op", reason="", kind="rolled_back"
    )
    assert trainer(registry).run("t2", lambda: REPLACED).status == "promoted"
    champion = registry.alias()
    assert champion is not None and (champion.version, champion.generation) == ("v1", 3)


def test_a_champion_that_changes_during_the_gate_is_judged_again(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    trainer(registry).run("t1", lambda: LEARNABLE)
    trainer(registry).run("t2", lambda: REPLACED)
    seen: list[Any] = []

    def report(stage: str, figures: dict[str, Any]) -> None:
        if stage == "gate":
            seen.append(figures["champion"])
        if stage == "promote" and len(seen) == 1:
            registry.move_alias("champion", "v1", expected_generation=2, trigger_id="op", actor="op", reason="")

    rerun = replace(trainer(registry), report=report)
    assert rerun.run("t3", lambda: REPLACED).status == "promoted"
    assert seen == ["v2", "v1"] and [record.version for record in registry.history()] == ["v1", "v2", "v1", "v3"]


def test_a_champion_of_another_schema_is_replaced_by_the_first_that_fits(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    trainer(registry).run("t1", lambda: LEARNABLE)
    other = TrainingSet(make_rows(SCHEMAS["shirts"], 600), "test")
    outcome = trainer(registry).run("t2", lambda: other)
    assert outcome.status == "promoted" and "no champion to compare with" in outcome.reason


def test_bad_data_leaves_nothing_in_the_registry(tmp_path: Path) -> None:
    loop = LEARNABLE.rows.take(np.zeros(600, dtype=np.intp))
    with pytest.raises(DataError, match="the split by hash of pump leaves"):
        trainer(opened(tmp_path)).run("t1", lambda: TrainingSet(loop, "test"))
    assert opened(tmp_path).versions() == []


def test_the_reference_is_the_fresh_rows_alone(tmp_path: Path) -> None:
    """History is the world before the drift: in the profile it would keep the alarm ringing."""
    registry = opened(tmp_path)
    trainer(registry).run("t1", lambda: replace(REPLACED, history=LEARNABLE.rows))
    assert registry.read("v1", "profile").startswith(b"600 rows")
    assert registry.manifest("v1")["dataset"]["rows"] == 1_200


MANUAL = Settings(trainer=TrainerSettings(min_rows=100, approval="manual"))


def test_in_manual_mode_a_passing_version_waits_and_no_run_promotes_it(folder: Path) -> None:
    registry = opened(folder)
    asked = trainer(registry, settings=MANUAL).run("t2", lambda: REPLACED)
    assert asked.status == "awaiting_approval" and asked.to_dict()["promoted"] is False
    for settings in (MANUAL, SETTINGS):  # repeated, resumed elsewhere, or after the mode was changed
        again = trainer(opened(folder), settings=settings).run("t2", lambda: pytest.fail("nothing is left to do"))
        assert again == asked
    champion, challenger = registry.alias(), registry.alias("challenger")
    assert champion is not None and champion.version == "v1"
    assert challenger is not None and (challenger.version, challenger.trigger_id) == ("v2", "t2")
    ends = [(e.kind.value, e.trigger_id, e.generation) for e in registry.events() if e.version == "v2"]
    assert ends == [("registered", "t2", 0), ("awaiting_approval", "t2", 0)]


def test_several_may_wait_and_a_rejected_one_never_asks(folder: Path) -> None:
    registry = opened(folder)
    manual = trainer(registry, settings=MANUAL)
    sets = {"t2": REPLACED, "t3": UNLEARNABLE, "t4": REPLACED}
    statuses = [manual.run(trigger_id, partial(sets.get, trigger_id)).status for trigger_id in sets]
    assert statuses == ["awaiting_approval", "rejected", "awaiting_approval"]
    assert [record.version for record in registry.history("challenger")] == ["v2", "v4"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_killed_while_it_asks_asks_once(folder: Path, after: bool) -> None:
    with pytest.raises(Killed):
        trainer(Fragile(opened(folder), 3, after=after), settings=MANUAL).run("t2", lambda: REPLACED)
    assert trainer(opened(folder), settings=MANUAL).run("t2", lambda: REPLACED).status == "awaiting_approval"
    assert [record.version for record in opened(folder).history("challenger")] == ["v2"]


def test_every_verdict_is_noted_with_its_checks_and_a_resumed_run_follows_it(tmp_path: Path) -> None:
    """Other rows at the second try, which would have led elsewhere, change nothing."""
    registry = opened(tmp_path)
    trainer(registry).run("t1", lambda: LEARNABLE)
    with pytest.raises(Killed):
        trainer(Fragile(registry, 2, after=True)).run("t2", lambda: REPLACED)
    (noted,) = registry.notes.judgements("v2")
    assert (noted.decision, noted.champion, noted.generation, noted.trigger_id) == ("promote", "v1", 1, "t2")
    compared = next(check for check in noted.checks if check["name"] == "fresh rows")
    assert compared["figures"]["challenger"] < compared["figures"]["champion"] and compared["status"] == "passed"
    outcome = trainer(opened(tmp_path)).run("t2", lambda: LEARNABLE)
    assert (outcome.status, outcome.reason) == ("promoted", noted.reason)


def test_a_champion_is_not_judged_on_rows_it_may_have_been_fitted_on(tmp_path: Path) -> None:
    """It held back a tenth; a later run that holds back half judges on the tenth alone."""
    registry = opened(tmp_path)
    tenth, half = (Settings(trainer=TrainerSettings(min_rows=100, test_share=share)) for share in (0.1, 0.5))
    first = trainer(registry, settings=tenth).run("t1", lambda: LEARNABLE)
    second = trainer(registry, settings=half).run("t2", lambda: REPLACED)
    assert first.metrics is not None and f"same {first.metrics['rows_test']} fresh test rows" in second.reason


def test_history_is_judged_too_where_there_is_some(folder: Path) -> None:
    registry = opened(folder)
    trainer(registry).run("t2", lambda: replace(REPLACED, history=LEARNABLE.rows))
    (noted,) = registry.notes.judgements("v2")
    (past,) = (check for check in noted.checks if check["name"] == "history")
    assert past["status"] == "warned" and "the world it describes is gone" in past["detail"]


def test_the_framing_file_goes_into_the_manifest_and_a_wrong_one_stops_before_anything(tmp_path: Path) -> None:
    path = tmp_path / "framing.toml"
    framed = Settings(trainer=TrainerSettings(min_rows=100, framing=path))
    registry = opened(tmp_path / "registry")
    with pytest.raises(ConfigurationError, match=r"framing\.toml"):
        trainer(registry, settings=framed).run("t1", lambda: LEARNABLE)
    path.write_text('goal = "know the wear"\n[reference]\nkind = "figure"\nfigure = 0.000001')
    assert registry.versions() == []
    outcome = trainer(registry, settings=framed).run("t1", lambda: LEARNABLE)
    assert outcome.status == "rejected" and "of the figure in use: not shown to be better" in outcome.reason
    assert registry.manifest("v1")["framing"]["goal"] == "know the wear"
